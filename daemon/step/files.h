/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Files of one file system, known by their inodes, and what they are called.
 *
 * A file is reached by its handle, and only as a name for it (O_PATH): no data of
 * it is read, and nobody who keeps it is waited for. What the kernel has no name
 * for in memory is looked for in the directories.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "step/mount-table.h"
#include "step/step.h"

#define FILES_MAX 1024               /* of one file system; of the others there is the inode */
#define FILE_PATHS_MAX 8             /* of one file */
#define FILES_PATHS_BYTES (1U << 20) /* of all of them */

struct file {
	uint64_t ino;
	uint64_t links;
	uint32_t generation;
	mode_t mode; /* 0: not known */
	bool deleted;
	char **paths; /* absolute, in the mount namespace that we are in */
	size_t n_paths;
	int error; /* why there is none: -ESTALE: there is no such inode (any more) */
};

struct files {
	int proc_fd, fd; /* fd: the root of the mount, open */
	const struct mount *mount;
	bool is_xfs;
	struct file **items; /* by ascending inode */
	size_t n_items;
	size_t n_bytes; /* of paths */
	bool searched;  /* all directories were read */
};

/* fd and mount are kept, not owned. */
void files_init(struct files *files, int proc_fd, const struct mount *mount, int fd);
void files_done(struct files *files);

/*
 * Looks at it, if nobody has before. generation: NULL if it is not known.
 * -E2BIG: they are FILES_MAX; then *ret is left alone.
 */
int files_get(struct files *files, uint64_t ino, const uint32_t *generation,
	      const struct file **ret);

/* Read directories for those without a path, until then. -ENOMEM. */
int files_search(struct files *files, uint64_t until_us);

/* A record of each. here: these are the paths of pid 1's mount namespace. */
int files_report(const struct files *files, struct step *step, bool here);

/* Of files.c, for the search. -ENOMEM. -E2BIG: there are enough. */
int file_add_path(struct files *files, struct file *file, const char *relative);
struct file *files_find(const struct files *files, uint64_t ino);
