/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A mount on whose root another stands, so that no path leads to it.
 *
 * In a copy of the namespace, what stands on it can be taken off without
 * anybody's noticing. There it has a path; and where the mount below it passes
 * changes on (mount_namespaces(7), as systemd sets it up), an unmount in the
 * copy is one here: the kernel takes the mount away from under what covers it.
 */
#pragma once

#include "step/mount-table.h"

/*
 * mount: from a table of the namespace that we are in, to which we return.
 * Its root, as by mount_point_open(). -ESTALE: it cannot be laid bare.
 */
int covered_open(int proc_fd, const struct mount *mount);

/* As mount_point_unmount(). -ESTALE: likewise, or nothing is passed on. */
int covered_unmount(int proc_fd, const struct mount *mount, int flags);
