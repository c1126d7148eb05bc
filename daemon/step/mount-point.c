/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "step/mount-point.h"

static int open_without_links(int dir_fd, const char *path, uint64_t flags)
{
	struct open_how how = {
		.flags = flags | O_CLOEXEC,
		.resolve = RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS,
	};
	long fd = syscall(SYS_openat2, dir_fd, path, &how, sizeof(how));

	return fd < 0 ? -errno : (int)fd;
}

/*
 * Make the directory that holds the mount point the current one, so that
 * nobody can exchange what the path leads through between two calls; *ret is
 * the last part of the path. The mount itself is not held by this.
 */
static int approach(const struct mount *mount, const char **ret)
{
	const char *name = strrchr(mount->path, '/');
	char *parent;
	int fd, r = 0;

	if (!name)
		return -EINVAL;
	if (!name[1]) {
		*ret = "/";
		return 0;
	}
	parent = strndup(mount->path, (size_t)(name - mount->path));
	if (!parent)
		return -ENOMEM;
	fd = open_without_links(AT_FDCWD, *parent ? parent : "/", O_PATH | O_DIRECTORY);
	free(parent);
	if (fd < 0)
		return fd;
	if (fchdir(fd) < 0)
		r = -errno;
	close(fd);
	if (r < 0)
		return r;
	*ret = name + 1;
	return 0;
}

/* Back to where no mount is held but the root. */
static void retreat(void)
{
	if (chdir("/") < 0)
		perror("chdir /");
}

static int stat_mount(const struct mount *mount, int dir_fd, const char *name, int flags,
		      unsigned mask, struct statx *ret)
{
	if (statx(dir_fd, name, flags | AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | AT_STATX_DONT_SYNC,
		  mask, ret) < 0)
		return -errno;
	if (!(ret->stx_mask & STATX_MNT_ID) || ret->stx_mnt_id != (uint64_t)mount->id ||
	    DG_DEV(ret->stx_dev_major, ret->stx_dev_minor) != mount->dev)
		return -ESTALE;
	return 0;
}

/*
 * Some answer no statx(): XFS once it was shut down, for one. Which mount a name
 * leads to, the kernel says all the same along with the handle of a file, from
 * what it has in memory.
 */
static int check_by_handle(const struct mount *mount, const char *name)
{
	union {
		struct file_handle handle;
		char room[sizeof(struct file_handle) + MAX_HANDLE_SZ];
	} file = {.handle.handle_bytes = MAX_HANDLE_SZ};
	int id;

	if (name_to_handle_at(AT_FDCWD, name, &file.handle, &id, 0) < 0)
		return -errno;
	return id == (int)mount->id ? 0 : -ESTALE;
}

/*
 * Nothing is asked for, and the mount's id comes all the same: to a question of
 * any other thing a user's FUSE answers that this is none of ours (EACCES).
 */
static int check_name(const struct mount *mount, const char *name)
{
	struct statx stx;
	int r, by_handle;

	r = stat_mount(mount, AT_FDCWD, name, 0, 0, &stx);
	if (r == 0 || r == -ESTALE)
		return r;
	by_handle = check_by_handle(mount, name);
	return by_handle == 0 || by_handle == -ESTALE ? by_handle : r;
}

static int check_opened(const struct mount *mount, int fd)
{
	struct statx stx;
	int r;

	r = stat_mount(mount, fd, "", AT_EMPTY_PATH, STATX_TYPE | STATX_MNT_ID, &stx);
	if (r < 0)
		return r;
	return S_ISDIR(stx.stx_mode) || S_ISREG(stx.stx_mode) ? 0 : -ENOTSUP;
}

/* What an O_PATH descriptor stands for, opened for reading. */
static int reopen(int proc_fd, int fd)
{
	char path[40];
	int opened;

	snprintf(path, sizeof(path), "thread-self/fd/%d", fd);
	opened = openat(proc_fd, path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	return opened < 0 ? -errno : opened;
}

int mount_point_open(int proc_fd, const struct mount *mount)
{
	const char *name;
	int fd, r;

	r = approach(mount, &name);
	if (r < 0)
		return r;
	fd = open_without_links(AT_FDCWD, name, O_PATH | O_NOFOLLOW);
	retreat();
	if (fd < 0)
		return fd;
	r = check_opened(mount, fd);
	if (r == 0)
		r = reopen(proc_fd, fd);
	close(fd);
	return r;
}

int mount_point_unmount(const struct mount *mount, int flags)
{
	const char *name;
	int r;

	r = approach(mount, &name);
	if (r < 0)
		return r;
	r = check_name(mount, name);
	/*
	 * The root of a namespace is not unmounted: the kernel would make its
	 * file system read-only instead, for everybody.
	 */
	if (r == 0 && name[0] == '/')
		r = -EINVAL;
	if (r == 0 && umount2(name, flags | UMOUNT_NOFOLLOW) < 0)
		r = -errno;
	retreat();
	return r;
}
