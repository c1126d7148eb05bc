/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Locks that CRIU would lose. One of fcntl(2) is let go as soon as its process closes
 * any descriptor of the file; and who goes on has first a lock, then a mapping, whose
 * descriptor CRIU closes. Those of flock(2), and of open files, stay.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "checkpoint/dump.h"
#include "checkpoint/uses.h"

struct lock {
	int pid;
	unsigned int dev_major, dev_minor;
	uint64_t ino;
	char path[PATH_MAX]; /* of the file that is_mapped() found */
};

static int is_mapped(void *userdata, const struct stat *status, int dir_fd, const char *link)
{
	struct lock *lock = userdata;
	ssize_t n;

	if (status->st_ino != lock->ino || major(status->st_dev) != lock->dev_major ||
	    minor(status->st_dev) != lock->dev_minor)
		return 0;
	n = readlinkat(dir_fd, link, lock->path, sizeof(lock->path) - 1);
	lock->path[n > 0 ? n : 0] = '\0';
	return 1;
}

/* "1: POSIX  ADVISORY  WRITE 812 103:00:13 0 EOF"; who waits for one has an arrow in it. */
static bool read_lock(const char *line, struct lock *ret)
{
	return sscanf(line, "%*d: POSIX %*s %*s %d %x:%x:%" SCNu64, &ret->pid, &ret->dev_major,
		      &ret->dev_minor, &ret->ino) == 4;
}

int dump_check_locks(struct dump *dump)
{
	int fd = openat(dump->proc_fd, "locks", O_RDONLY | O_CLOEXEC), r = 0;
	FILE *file = fd < 0 ? NULL : fdopen(fd, "r");
	const struct tree_process *process;
	char *line = NULL;
	size_t size = 0;
	struct lock lock;

	if (!file) {
		r = result_end_error(dump->result, "/proc/locks", -errno);
		if (fd >= 0)
			close(fd);
		return r;
	}
	while (r == 0 && getline(&line, &size, file) > 0)
		if (read_lock(line, &lock) && (process = tree_find(&dump->tree, lock.pid)) &&
		    uses_foreach_mapped(dump->proc_fd, lock.pid, is_mapped, &lock) > 0)
			r = result_end(dump->result, "failed",
				       "process %d (%s) has a lock of fcntl(2) on %s, which it "
				       "maps, too: CRIU would have it go on without the lock",
				       lock.pid, process->comm, lock.path);
	free(line);
	fclose(file);
	return r;
}
