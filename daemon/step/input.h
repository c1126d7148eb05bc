/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a verb is told on stdin: records, see core/record.h. */
#pragma once

#include <stddef.h>

struct input {
	char *text;
	size_t n;
	const char *cursor;
};

/* To its end. -EFBIG: more than a MiB. */
int input_read(struct input *ret);
void input_done(struct input *input);

/* The next record, or NULL. */
const char *input_next(struct input *input, size_t *ret_n);
