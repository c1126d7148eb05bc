/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The mount namespaces of this machine, each by one task that lives in it.
 *
 * One without any task (held by a bind mount or a descriptor) is not found;
 * what is mounted there shows in the module's own look at the file systems.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "step/proc.h"

struct mount_namespace {
	uint64_t inode;
	char task[PROC_TASK_MAX];
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
 * Go there, root and current directory become that namespace's root. The
 * process must have one thread. -ESRCH: the task has left.
 */
int mount_namespace_enter(int proc_fd, const struct mount_namespace *space);
