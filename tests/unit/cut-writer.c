/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cut-writer.h"

struct cut *shared;
bool armed;

/* It is this call's turn. */
static bool is_cut(void)
{
	return armed && ++shared->n_calls == shared->cut_at;
}

static bool fails(void)
{
	if (!is_cut())
		return false;
	if (shared->mode == KILL || shared->mode == KILL_HALFWAY)
		_exit(KILLED);
	errno = ENOSPC;
	return true;
}

ssize_t __real_write(int fd, const void *bytes, size_t n);
ssize_t __wrap_write(int fd, const void *bytes, size_t n);
int __real_fsync(int fd);
int __wrap_fsync(int fd);
int __real_fdatasync(int fd);
int __wrap_fdatasync(int fd);
int __real_renameat(int from_fd, const char *from, int to_fd, const char *to);
int __wrap_renameat(int from_fd, const char *from, int to_fd, const char *to);
int __real_openat64(int fd, const char *path, int flags, mode_t mode);
int __wrap_openat64(int fd, const char *path, int flags, mode_t mode);
int __real_unlinkat(int fd, const char *path, int flags);
int __wrap_unlinkat(int fd, const char *path, int flags);
int __real_ftruncate64(int fd, off_t size);
int __wrap_ftruncate64(int fd, off_t size);

ssize_t __wrap_write(int fd, const void *bytes, size_t n)
{
	if (!is_cut())
		return __real_write(fd, bytes, n);
	if (shared->mode != KILL)
		(void)!__real_write(fd, bytes, n / 2);
	if (shared->mode == KILL || shared->mode == KILL_HALFWAY)
		_exit(KILLED);
	errno = ENOSPC;
	return -1;
}

static void note_synced(int fd)
{
	struct stat status, entry;
	unsigned i = 0;

	assert_int_equal(fstat(fd, &status), 0);
	if (S_ISDIR(status.st_mode)) {
		if (fstatat(fd, "ledger", &entry, 0) == 0)
			shared->entry = entry.st_ino;
		return;
	}
	while (i < shared->n_inodes && shared->inodes[i].ino != status.st_ino)
		i++;
	assert_in_range(i, 0, INODES_MAX - 1);
	if (i == shared->n_inodes)
		shared->n_inodes++;
	shared->inodes[i].ino = status.st_ino;
	shared->inodes[i].synced = status.st_size;
}

int __wrap_fsync(int fd)
{
	if (fails())
		return -1;
	if (armed)
		note_synced(fd);
	return __real_fsync(fd);
}

int __wrap_fdatasync(int fd)
{
	if (fails())
		return -1;
	if (armed)
		note_synced(fd);
	return __real_fdatasync(fd);
}

int __wrap_renameat(int from_fd, const char *from, int to_fd, const char *to)
{
	struct stat status;
	int fd;

	if (fails())
		return -1;
	fd = __real_openat64(to_fd, to, O_RDONLY, 0);
	if (fd >= 0) {
		assert_int_equal(fstat(fd, &status), 0);
		shared->old_ino = status.st_ino;
		shared->n_old = (size_t)read(fd, shared->old, CONTENT_MAX);
		close(fd);
	}
	return __real_renameat(from_fd, from, to_fd, to);
}

int __wrap_openat64(int fd, const char *path, int flags, mode_t mode)
{
	return fails() ? -1 : __real_openat64(fd, path, flags, mode);
}

int __wrap_unlinkat(int fd, const char *path, int flags)
{
	return fails() ? -1 : __real_unlinkat(fd, path, flags);
}

int __wrap_ftruncate64(int fd, off_t size)
{
	struct stat status;

	if (armed && shared->mode == FAIL_FOR_GOOD) {
		errno = EIO;
		return -1;
	}
	if (fails())
		return -1;
	if (armed && fstat(fd, &status) == 0)
		for (unsigned i = 0; i < shared->n_inodes; i++)
			if (shared->inodes[i].ino == status.st_ino &&
			    shared->inodes[i].synced > size)
				shared->inodes[i].synced = size;
	return __real_ftruncate64(fd, size);
}
