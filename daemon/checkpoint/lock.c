/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "checkpoint/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "step/checkpoint-run.h"

#define GAP_MS 20

int lock_wait(int fd, uint64_t deadline_us)
{
	while (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		if (errno != EWOULDBLOCK && errno != EINTR)
			return -errno;
		if (checkpoint_now_us() >= deadline_us)
			return -ETIME;
		(void)poll(NULL, 0, GAP_MS);
	}
	return 0;
}

/* -EAGAIN: who had it before has removed it. */
static int check_name(int dir_fd, const char *name, int fd)
{
	struct stat ours, theirs;

	if (fstat(fd, &ours) < 0)
		return -errno;
	if (fstatat(dir_fd, name, &theirs, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? -EAGAIN : -errno;
	return ours.st_ino == theirs.st_ino ? 0 : -EAGAIN;
}

int lock_file(int dir_fd, const char *name, uint64_t deadline_us, int *ret_fd)
{
	int fd, r;

	do {
		fd = openat(dir_fd, name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
		if (fd < 0)
			return -errno;
		r = lock_wait(fd, deadline_us);
		if (r >= 0)
			r = check_name(dir_fd, name, fd);
		if (r < 0)
			close(fd);
	} while (r == -EAGAIN && checkpoint_now_us() < deadline_us);
	if (r >= 0)
		*ret_fd = fd;
	return r == -EAGAIN ? -ETIME : r;
}

void lock_file_done(int dir_fd, const char *name, int fd)
{
	/* While it is locked: it is nobody else's. */
	(void)unlinkat(dir_fd, name, 0);
	close(fd);
}
