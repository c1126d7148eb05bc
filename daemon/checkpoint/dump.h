/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A dump, from its request to the end of the processes. */
#pragma once

#include <sys/stat.h>

#include "checkpoint/criu-run.h"
#include "checkpoint/result.h"
#include "checkpoint/tree.h"
#include "step/service-manager.h"

struct dump {
	struct request *request;
	struct result *result;
	const char *criu;
	int proc_fd;
	int store_fd;
	int part_fd;
	int root_lock_fd;
	char root_lock[32];              /* the name of its file */
	struct service_manager *manager; /* if there is a unit */
	pid_t main_pid;                  /* of a service; 0: there is none */
	char *cgroup;                    /* of that unit, or NULL */
	bool ends_unit;                  /* its main process is in the tree */
	struct tree tree;
	uint64_t journal; /* inode of the stream to journald that they have, or 0 */
	struct dg_manifest_file *files;
	size_t n_files;
	uint64_t began_us;
};

/* Always leaves a result. */
void dump_run(struct request *request, struct result *result);

/* dump-checks.c: that it can be done, and whose it is. -ECANCELED: the result says why not. */
int dump_check(struct dump *dump);
/* A part of that: what its processes may change until they are stopped. Likewise. */
int dump_check_processes(struct dump *dump);

/* dump-locks.c: that they go on with the locks that they have. Likewise. */
int dump_check_locks(struct dump *dump);

/*
 * dump-sync.c: that they do not need MAP_SYNC, which they go on without. Likewise. Of the
 * files that are found it marks those that are mapped so.
 */
int dump_check_sync(struct dump *dump);

/* dump-files.c: what of the tree lies on the devices. */
int dump_find_files(struct dump *dump);
/* One of these is to be on a DAX again. */
void dump_mark_synced(struct dump *dump, const struct stat *status);
void dump_files_done(struct dump *dump);

/* dump-end.c: stops the unit, and ends the tree, whose processes are stopped. */
int dump_end_tree(struct dump *dump);
bool dump_unit_is_stopping(struct service_manager *manager, const char *unit);
/* Of who is killed; says it if that takes long. */
void dump_wait_gone(const struct tree *tree, struct result *result);
/* The group that dump_end_tree() has frozen while it asks. */
void dump_thaw(const char *cgroup);

/* dump-tree.c: whom the dump may have stopped, for who puts it right after our death. */
int dump_write_tree(const struct dump *dump, bool ending);
void dump_abandon(struct request *request, const char *why);
