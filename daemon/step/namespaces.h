/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The mount namespaces of this machine, each by one task that lives in it.
 *
 * One without any task is told by the kernel, from 6.12 on; before, it is
 * found where the host has it as a bind mount. Else (a descriptor keeps it) what
 * is mounted there shows only in the module's own look at the file systems.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "step/mount-table.h"
#include "step/proc.h"

struct mount_namespace {
	uint64_t inode;
	char task[PROC_TASK_MAX]; /* "": it has none */
	int fd;                   /* of the namespace, where it has none; else -1 */
	pid_t pid;
	bool host;    /* pid 1's */
	bool foreign; /* of another user namespace: mounts from outside are locked there */
	bool whole;   /* the task is in no chroot: its mountinfo shows all */
};

/* The host's first, then those of its user namespace, then the others. */
struct mount_namespaces {
	struct mount_namespace *items;
	size_t n_items;
};

int mount_namespaces_read(int proc_fd, struct mount_namespaces *ret);
void mount_namespaces_done(struct mount_namespaces *namespaces);

/*
 * Its mounts, as far as its task sees them. May leave us in it. -ENOENT,
 * -ESRCH: the task has left. -E2BIG: a foreign one with too many.
 */
int mount_namespace_table(int proc_fd, const struct mount_namespace *space,
			  struct mount_table *ret);
/* The same once we are in it, where paths are those that we can walk. */
int mount_namespace_own_table(int proc_fd, const struct mount_namespace *space,
			      struct mount_table *ret);
/* False for a foreign one when they have had their share, see foreign.h. */
bool mount_namespace_has_time(const struct mount_namespace *space);

/*
 * Go there, root and current directory become that namespace's root. The
 * process must have one thread. -ESRCH: the task has left.
 */
int mount_namespace_enter(int proc_fd, const struct mount_namespace *space);
