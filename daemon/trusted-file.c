/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "trusted-file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

const char *trusted_why_not(uid_t uid, mode_t mode)
{
	if (uid != 0)
		return "refused: it is not owned by root";
	if (mode & (S_IWGRP | S_IWOTH))
		return "refused: others than its owner may write to it";
	return NULL;
}

static bool is_null_device(const struct stat *status)
{
	return S_ISCHR(status->st_mode) && status->st_rdev == makedev(1, 3);
}

static const char *why_refused(const struct stat *status, size_t max, unsigned flags)
{
	const char *why = NULL;

	if (!S_ISREG(status->st_mode))
		return "not a regular file";
	if (!(flags & TRUSTED_ANY_OWNER))
		why = trusted_why_not(status->st_uid, status->st_mode);
	if (!why && (size_t)status->st_size > max)
		why = "refused: it is too large";
	return why;
}

/* Reading is bounded by one more than may be, so that growth meanwhile shows. */
static ssize_t read_whole(int fd, char *text, size_t size)
{
	size_t n = 0;

	while (n < size) {
		ssize_t k = read(fd, text + n, size - n);

		if (k < 0)
			return -errno;
		if (k == 0)
			break;
		n += (size_t)k;
	}
	return (ssize_t)n;
}

static int read_open(int fd, size_t max, unsigned flags, struct trusted_file *file)
{
	struct stat status;
	ssize_t n = 0;

	if (fstat(fd, &status) < 0) {
		file->error = strerror(errno);
		return 0;
	}
	if (!(flags & TRUSTED_NULL && is_null_device(&status))) {
		file->error = why_refused(&status, max, flags);
		if (file->error)
			return 0;
	}
	file->text = malloc(max + 1);
	if (!file->text)
		return -ENOMEM;
	n = read_whole(fd, file->text, max + 1);
	if (n < 0)
		file->error = strerror((int)-n);
	else if ((size_t)n > max)
		file->error = "refused: it is too large";
	else
		file->n_text = (size_t)n;
	if (file->error) {
		free(file->text);
		file->text = NULL;
	}
	return 0;
}

int trusted_file_read(const char *path, size_t max, unsigned flags, struct trusted_file *ret)
{
	struct trusted_file file = {};
	int fd, r = 0;

	/* Non-blocking: somebody may have put a pipe there. */
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (fd < 0 && errno == ENOENT)
		return -ENOENT;
	if (fd < 0)
		file.error = strerror(errno);
	else
		r = read_open(fd, max, flags, &file);
	if (fd >= 0)
		close(fd);
	if (r == 0)
		*ret = file;
	return r;
}
