/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "step/checkpoint-store.h"
#include "step/write-all.h"

#define FILE_MAX (64U * 1024 * 1024)

int store_replace_file(int dir_fd, const char *name, const void *bytes, size_t n)
{
	char beside[NAME_MAX + 1];
	int fd, r;

	/* Two at a time have one each. */
	if ((size_t)snprintf(beside, sizeof(beside), ".%s.%d", name, getpid()) >= sizeof(beside))
		return -ENAMETOOLONG;
	fd = openat(dir_fd, beside, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return -errno;
	r = write_all(fd, bytes, n);
	if (r >= 0 && fsync(fd) < 0)
		r = -errno;
	close(fd);
	if (r >= 0 && renameat(dir_fd, beside, dir_fd, name) < 0)
		r = -errno;
	if (r < 0)
		(void)unlinkat(dir_fd, beside, 0);
	else if (fsync(dir_fd) < 0)
		r = -errno;
	return r;
}

static int read_all(int fd, char *text, size_t size, size_t *ret_n)
{
	size_t n = 0;

	while (n < size) {
		ssize_t k = read(fd, text + n, size - n);

		if (k < 0 && errno == EINTR)
			continue;
		if (k < 0)
			return -errno;
		if (k == 0)
			break;
		n += (size_t)k;
	}
	*ret_n = n;
	return 0;
}

static int read_whole(int fd, char **ret, size_t *ret_n)
{
	struct stat status;
	size_t n = 0;
	char *text;
	int r;

	if (fstat(fd, &status) < 0)
		return -errno;
	if (!S_ISREG(status.st_mode) || status.st_size > FILE_MAX)
		return -EFBIG;
	text = malloc((size_t)status.st_size + 1);
	if (!text)
		return -ENOMEM;
	r = read_all(fd, text, (size_t)status.st_size, &n);
	if (r < 0) {
		free(text);
		return r;
	}
	text[n] = '\0';
	*ret = text;
	*ret_n = n;
	return 0;
}

int store_read_file(int dir_fd, const char *name, char **ret, size_t *ret_n)
{
	int fd, r;

	fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
	if (fd < 0)
		return -errno;
	r = read_whole(fd, ret, ret_n);
	close(fd);
	return r;
}
