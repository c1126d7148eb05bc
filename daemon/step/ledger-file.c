/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "step/ledger-file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "step/write-all.h"

#define FILE_NAME "ledger"
#define NEXT_NAME "ledger.new"

int ledger_dir_open(const char *path, bool writes, int *ret_fd)
{
	int fd, r = 0;

	if (writes && mkdir(path, 0700) < 0 && errno != EEXIST)
		return -errno;
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return -errno;
	if (flock(fd, (writes ? LOCK_EX : LOCK_SH) | LOCK_NB) < 0)
		r = errno == EWOULDBLOCK ? -EBUSY : -errno;
	if (r < 0)
		close(fd);
	else
		*ret_fd = fd;
	return r;
}

/* What somebody else has put there is not written to, nor believed. */
static int check_file(int fd, uint64_t *ret_size)
{
	struct stat status;

	if (fstat(fd, &status) < 0)
		return -errno;
	if (!S_ISREG(status.st_mode) || status.st_nlink > 1)
		return -EMEDIUMTYPE;
	if (status.st_uid != geteuid() || status.st_mode & (S_IWGRP | S_IWOTH))
		return -EPERM;
	*ret_size = (uint64_t)status.st_size;
	return 0;
}

static int open_file(int dir_fd, const char *name, int flags, uint64_t *ret_size)
{
	int fd, r;

	fd = openat(dir_fd, name, flags | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, 0600);
	if (fd < 0)
		return -errno;
	r = check_file(fd, ret_size);
	if (r < 0) {
		close(fd);
		return r;
	}
	return fd;
}

/* Half a line that somebody left who was killed: it gets an end, so that ours is none of it. */
static int end_line(int fd, uint64_t size)
{
	char last = '\n';

	if (size > 0 && pread(fd, &last, 1, (off_t)size - 1) < 0)
		return -errno;
	return last == '\n' ? 0 : write_all(fd, "\n", 1);
}

int ledger_file_append(int dir_fd, const void *lines, size_t n)
{
	uint64_t size = 0;
	int fd, r;

	fd = open_file(dir_fd, FILE_NAME, O_RDWR | O_APPEND | O_CREAT, &size);
	if (fd < 0)
		return fd;
	r = end_line(fd, size);
	if (r >= 0)
		r = write_all(fd, lines, n);
	if (r >= 0 && fdatasync(fd) < 0)
		r = -errno;
	/*
	 * What failed is written again from memory: a second fdatasync() would not tell
	 * what the first one has lost. If this fails too, the numbers of the records do.
	 */
	if (r < 0)
		(void)!ftruncate(fd, (off_t)size);
	close(fd);
	/* It may be new here. */
	if (r >= 0 && fsync(dir_fd) < 0)
		r = -errno;
	return r;
}

static int add_to_next(int dir_fd, int flags, const void *lines, size_t n)
{
	uint64_t size = 0;
	int fd, r;

	fd = open_file(dir_fd, NEXT_NAME, O_WRONLY | O_APPEND | flags, &size);
	if (fd < 0)
		return fd;
	r = write_all(fd, lines, n);
	close(fd);
	/* The room that it takes may be what is missing. */
	if (r < 0)
		(void)!unlinkat(dir_fd, NEXT_NAME, 0);
	return r;
}

int ledger_file_begin(int dir_fd, const void *lines, size_t n)
{
	if (unlinkat(dir_fd, NEXT_NAME, 0) < 0 && errno != ENOENT)
		return -errno;
	return add_to_next(dir_fd, O_CREAT | O_EXCL, lines, n);
}

int ledger_file_go_on(int dir_fd, const void *lines, size_t n)
{
	return add_to_next(dir_fd, 0, lines, n);
}

int ledger_file_replace(int dir_fd)
{
	uint64_t size = 0;
	int fd, r = 0;

	fd = open_file(dir_fd, NEXT_NAME, O_WRONLY, &size);
	if (fd < 0)
		return fd;
	if (fsync(fd) < 0)
		r = -errno;
	close(fd);
	if (r >= 0 && renameat(dir_fd, NEXT_NAME, dir_fd, FILE_NAME) < 0)
		r = -errno;
	if (r < 0)
		(void)!unlinkat(dir_fd, NEXT_NAME, 0);
	else if (fsync(dir_fd) < 0)
		r = -errno;
	return r;
}

int ledger_file_read(int dir_fd, uint64_t offset, void *buffer, size_t size, size_t *ret_n)
{
	uint64_t file_size;
	size_t n = 0;
	int fd, r = 0;

	fd = open_file(dir_fd, FILE_NAME, O_RDONLY, &file_size);
	if (fd == -ENOENT) {
		*ret_n = 0;
		return 0;
	}
	if (fd < 0)
		return fd;
	while (n < size) {
		ssize_t k = pread(fd, (char *)buffer + n, size - n, (off_t)(offset + n));

		if (k < 0 && errno == EINTR)
			continue;
		if (k < 0)
			r = -errno;
		if (k <= 0)
			break;
		n += (size_t)k;
	}
	close(fd);
	if (r >= 0)
		*ret_n = n;
	return r;
}
