/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Reading and writing the ledger: a disk may take its time, or have none left. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "step/input.h"
#include "step/ledger-file.h"
#include "step/step.h"

#define READ_SIZE (1024U * 1024) /* of one reading; the daemon counts on it */

static int read_piece(int dir_fd, const char *offset)
{
	char *buffer = malloc(READ_SIZE), *end;
	uint64_t from;
	size_t n = 0;
	int r;

	if (!buffer)
		return -ENOMEM;
	errno = 0;
	from = strtoull(offset, &end, 10);
	r = *end || errno || from > INT64_MAX ? -EINVAL : 0;
	if (r >= 0)
		r = ledger_file_read(dir_fd, from, buffer, READ_SIZE, &n);
	if (r >= 0)
		r = step_write(buffer, n);
	free(buffer);
	return r;
}

static int write_lines(int dir_fd, const char *what)
{
	struct input input;
	int r;

	r = input_read(&input);
	if (r < 0)
		return r;
	if (strcmp(what, "append") == 0)
		r = ledger_file_append(dir_fd, input.text, input.n);
	else if (strcmp(what, "begin") == 0)
		r = ledger_file_begin(dir_fd, input.text, input.n);
	else
		r = ledger_file_go_on(dir_fd, input.text, input.n);
	input_done(&input);
	return r;
}

static int work(const char *dir, const char *what, const char *offset)
{
	bool reads = strcmp(what, "read") == 0;
	int dir_fd, r;

	r = ledger_dir_open(dir, !reads, &dir_fd);
	if (r < 0)
		return reads && r == -ENOENT ? 0 : r;
	if (reads)
		r = read_piece(dir_fd, offset);
	else if (strcmp(what, "replace") == 0)
		r = ledger_file_replace(dir_fd);
	else
		r = write_lines(dir_fd, what);
	close(dir_fd);
	return r;
}

int verb_ledger(struct step *step)
{
	static const char *const writing[] = {"append", "begin", "go-on", "replace"};
	const char *what = step->n_words > 1 ? step->words[1] : "";
	bool known = strcmp(what, "read") == 0 && step->n_words == 3;
	int r;

	for (size_t i = 0; i < sizeof(writing) / sizeof(writing[0]); i++)
		known |= strcmp(what, writing[i]) == 0 && step->n_words == 2;
	if (!known)
		return STEP_EXIT_USAGE;
	r = work(step->words[0], what, step->n_words > 2 ? step->words[2] : "");
	if (r >= 0)
		return STEP_EXIT_OK;
	dg_record_field_u64(&step->writer, "ERRNO", (uint64_t)-r);
	(void)!step_emit(step);
	return STEP_EXIT_LEFT;
}
