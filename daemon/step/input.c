/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "step/input.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/record.h"

#define INPUT_MAX (1024U * 1024)

int input_read(struct input *ret)
{
	struct input input = {.text = malloc(INPUT_MAX)};
	ssize_t n = 1;
	int r = 0;

	if (!input.text)
		return -ENOMEM;
	while (r == 0 && n > 0 && input.n < INPUT_MAX) {
		n = read(STDIN_FILENO, input.text + input.n, INPUT_MAX - input.n);
		if (n > 0)
			input.n += (size_t)n;
		else if (n < 0 && errno != EINTR)
			r = -errno;
		else if (n < 0)
			n = 1;
	}
	if (r == 0 && input.n == INPUT_MAX)
		r = -EFBIG;
	if (r < 0) {
		free(input.text);
		return r;
	}
	input.cursor = input.text;
	*ret = input;
	return 0;
}

void input_done(struct input *input)
{
	free(input->text);
	*input = (struct input){};
}

const char *input_next(struct input *input, size_t *ret_n)
{
	return dg_record_next(&input->cursor, input->text + input->n, ret_n);
}
