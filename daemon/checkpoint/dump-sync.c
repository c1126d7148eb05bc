/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Mappings with MAP_SYNC. CRIU keeps of a mapping's flags that it is shared, and so it
 * goes on without: who then stores into a block that its file has only from that moment
 * on, and flushes it from the CPU's caches, believes that it stays after a power cut;
 * but that the block is the file's is in the journal, and not on the medium. Where all
 * blocks are there already, and were synced by the removal, the flag has nothing to do,
 * as long as it is on a DAX: the restore asks for that, see restore-checks.c.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "checkpoint/dump.h"
#include "checkpoint/extents.h"
#include "checkpoint/smaps.h"
#include "step/proc.h"

#define LINK_MAX_LEN (PROC_PATH_MAX + 64)

struct looked {
	struct dump *dump;
	const struct tree_process *process;
};

static int refuse(const struct looked *looked, const char *link, uint64_t offset, const char *what)
{
	char path[PATH_MAX];
	ssize_t n = readlinkat(looked->dump->proc_fd, link, path, sizeof(path) - 1);

	path[n > 0 ? n : 0] = '\0';
	return result_end(looked->dump->result, "map-sync",
			  "process %d (%s) maps %.512s with MAP_SYNC, whose byte %" PRIu64
			  " is %s: CRIU would have it go on without that flag",
			  looked->process->pid, looked->process->comm, path, offset, what);
}

static int each_synced(void *userdata, const struct smaps_mapping *mapping)
{
	const struct looked *looked = userdata;
	struct dump *dump = looked->dump;
	struct extents_odd odd;
	char link[LINK_MAX_LEN];
	struct stat status;
	int fd, r;

	snprintf(link, sizeof(link), "%d/map_files/%" PRIx64 "-%" PRIx64, looked->process->pid,
		 mapping->start, mapping->end);
	/* Nobody is waited for who has a lease on it. */
	fd = openat(dump->proc_fd, link, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	/* Unmapped meanwhile, by who still runs. */
	if (fd < 0 && errno == ENOENT)
		return 0;
	if (fd < 0)
		return result_end_error(dump->result, link, -errno);
	r = extents_find_odd(fd, mapping->offset, mapping->offset + (mapping->end - mapping->start),
			     dump->request->deadline_us, &odd);
	if (fstat(fd, &status) == 0)
		dump_mark_synced(dump, &status);
	else
		r = -errno;
	close(fd);
	if (r == -ETIME)
		return result_end(dump->result, "timeout",
				  "where the file at %s lies was not known in time", link);
	if (r < 0)
		return refuse(looked, link, mapping->offset,
			      "in what its file system does not tell");
	return r > 0 ? refuse(looked, link, odd.offset, odd.what) : 0;
}

static int check_process(struct dump *dump, const struct tree_process *process)
{
	struct looked looked = {dump, process};
	char path[PROC_PATH_MAX];
	FILE *file;
	int fd, r;

	snprintf(path, sizeof(path), "%d/smaps", process->pid);
	fd = openat(dump->proc_fd, path, O_RDONLY | O_CLOEXEC);
	file = fd < 0 ? NULL : fdopen(fd, "r");
	if (!file) {
		r = -errno;
		if (fd >= 0)
			close(fd);
		return r;
	}
	r = smaps_foreach_synced(file, each_synced, &looked);
	fclose(file);
	return r;
}

int dump_check_sync(struct dump *dump)
{
	int r = 0;

	for (size_t i = 0; r >= 0 && i < dump->tree.n_items; i++) {
		r = check_process(dump, &dump->tree.items[i]);
		/* It has ended, and maps nothing. */
		if (r == -ENOENT || r == -ESRCH)
			r = 0;
	}
	return r < 0 ? result_end_error(dump->result, "/proc/PID/smaps", r) : 0;
}
