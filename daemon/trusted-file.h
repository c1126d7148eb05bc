/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A file of the administrator's, read as a whole if only he can have written it.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

enum {
	TRUSTED_ANY_OWNER = 1 << 0, /* whoever wrote it: it is only looked at */
	TRUSTED_NULL = 1 << 1,      /* /dev/null is an empty file */
};

struct trusted_file {
	char *text; /* to be freed; NULL if there is an error */
	size_t n_text;
	const char *error; /* why it was not read, for people; valid until the next strerror(3) */
};

/*
 * 0: it is there, see ret->error. -ENOENT: it is not. -ENOMEM. max: bytes that
 * it may have. Never waits for the other end of a pipe.
 */
int trusted_file_read(const char *path, size_t max, unsigned flags, struct trusted_file *ret);

/* Why what belongs to uid with that mode is not root's alone; NULL: it is. */
const char *trusted_why_not(uid_t uid, mode_t mode);
