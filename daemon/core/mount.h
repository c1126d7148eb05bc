/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Mounts of the device, as the steps `mounts`, `unmount` and `detach` tell.
 *
 * The strings lie in the step's output and live as long as it does.
 */
#pragma once

#include "core/event.h"

struct dg_mount {
	const char *path;   /* bytes */
	const char *type;   /* "" where the step did not say */
	const char *result; /* ok, busy, locked, overmounted, detached or an errno's name;
			       "" from `mounts` */
	dg_dev_t dev;       /* st_dev; 0 where it did not say */
	uint64_t ns;        /* inode of the mount namespace */
	pid_t pid;          /* of a process in it; 0: there is none */
	bool host;          /* the namespace of pid 1 */
	bool locked;        /* a user namespace's: may not be unmounted there */
};

/* A user that is no process. */
struct dg_kernel_user {
	const char *kind; /* loop, swap, overlay, nfsd */
	const char *name; /* of the loop device, or "" */
	const char *path; /* the file, or what is exported; or "" */
};

struct dg_mount_list {
	struct dg_mount *items;
	size_t n_items;
	const char **system; /* why it is a system device; none: it is not */
	size_t n_system;
	struct dg_kernel_user *kernel;
	size_t n_kernel;
	size_t n_locked;  /* by result, or by flag */
	size_t n_covered; /* overmounted */
	size_t n_failed;  /* all that is still there, these included */
};

/* Records of an unknown form are passed over. -EBADMSG: no records. -ENOMEM. */
int dg_mount_list_read(const char *output, size_t n_output, struct dg_mount_list *ret);
void dg_mount_list_done(struct dg_mount_list *list);
