/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One mount of the namespace that we are in, reached by its path and known by
 * its id: whatever stands at the path by now, only that mount is touched. No
 * symbolic link is followed.
 */
#pragma once

#include "step/mount-table.h"

/*
 * Its root, open for reading: a directory, or a regular file. -ESTALE:
 * another mount stands at its path. -ENOTSUP: it is neither.
 */
int mount_point_open(int proc_fd, const struct mount *mount);

/*
 * umount2() with these flags and UMOUNT_NOFOLLOW. -ESTALE as above. -EINVAL:
 * the mount is locked, or the root of this namespace.
 */
int mount_point_unmount(const struct mount *mount, int flags);
