/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#include "step/covered.h"
#include "step/mount-point.h"

/* More than this does not stand on one mount by accident. */
#define COVERS_MAX 64

/* What stood at the same place when the copy was made. */
static const struct mount *find_copy(const struct mount_table *table, const struct mount *mount)
{
	for (size_t i = 0; i < table->n_items; i++) {
		const struct mount *item = &table->items[i];

		if (item->dev == mount->dev && item->depth == mount->depth &&
		    strcmp(item->path, mount->path) == 0 && strcmp(item->root, mount->root) == 0)
			return item;
	}
	return NULL;
}

static const struct mount *find_top(const struct mount_table *table, const char *path)
{
	for (size_t i = 0; i < table->n_items; i++)
		if (!table->items[i].covered && strcmp(table->items[i].path, path) == 0)
			return &table->items[i];
	return NULL;
}

/* Reads the copy's table, and takes off one mount at a time until the wanted one is the topmost. */
static int lay_bare(int proc_fd, const struct mount *mount, struct mount_table *ret,
		    const struct mount **ret_copy)
{
	int r;

	for (unsigned n = 0; n < COVERS_MAX; n++) {
		struct mount_table table;
		const struct mount *copy, *top;

		r = mount_table_read(proc_fd, "thread-self", &table);
		if (r < 0)
			return r;
		copy = find_copy(&table, mount);
		if (copy && !copy->covered) {
			*ret = table;
			*ret_copy = copy;
			return 0;
		}
		top = copy ? find_top(&table, mount->path) : NULL;
		r = top ? mount_point_unmount(top, MNT_DETACH) : -ESTALE;
		mount_table_done(&table);
		if (r < 0)
			return r;
	}
	return -ESTALE;
}

/* To a copy of the namespace, of which nothing is passed on. *ret_home: the way back. */
static int leave(int proc_fd, int *ret_home)
{
	int home, r = 0;

	home = openat(proc_fd, "thread-self/ns/mnt", O_RDONLY | O_CLOEXEC);
	if (home < 0)
		return -errno;
	if (unshare(CLONE_NEWNS) < 0) {
		r = -errno;
		close(home);
		return r;
	}
	*ret_home = home;
	return mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ? -errno : 0;
}

static int come_home(int home, int r)
{
	if (setns(home, CLONE_NEWNS) < 0)
		r = -errno;
	close(home);
	return r;
}

static int open_copy(int proc_fd, const struct mount *mount)
{
	const struct mount *copy;
	struct mount_table table;
	int r;

	r = lay_bare(proc_fd, mount, &table, &copy);
	if (r < 0)
		return r;
	r = mount_point_open(proc_fd, copy);
	mount_table_done(&table);
	return r;
}

int covered_open(int proc_fd, const struct mount *mount)
{
	int home = -1, fd, r;

	fd = leave(proc_fd, &home);
	if (home < 0)
		return fd;
	if (fd == 0)
		fd = open_copy(proc_fd, mount);
	r = come_home(home, fd);
	if (r < 0 && fd >= 0)
		close(fd);
	return r;
}

/* What happens on the one happens on the other from now on. */
static int join_propagation(int proc_fd, int from, const struct mount *to)
{
	int fd = mount_point_open(proc_fd, to), r = 0;

	if (fd < 0)
		return fd;
	if (move_mount(from, "", fd, "",
		       MOVE_MOUNT_SET_GROUP | MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) <
	    0)
		r = -errno;
	close(fd);
	return r;
}

static int unmount_copy(int proc_fd, const struct mount *mount, int parent, int flags)
{
	const struct mount *copy;
	struct mount_table table;
	int r;

	r = lay_bare(proc_fd, mount, &table, &copy);
	if (r < 0)
		return r;
	r = copy->parent ? join_propagation(proc_fd, parent, copy->parent) : -ESTALE;
	if (r >= 0)
		r = mount_point_unmount(copy, flags);
	mount_table_done(&table);
	return r;
}

static int unmount_here(int proc_fd, const struct mount *mount, int flags)
{
	int home = -1, parent, r;

	if (!mount->parent || !strstr(mount->parent->propagation, "shared:"))
		return -ESTALE;
	parent = mount_point_open(proc_fd, mount->parent);
	if (parent < 0)
		return -ESTALE;
	r = leave(proc_fd, &home);
	if (r == 0)
		r = unmount_copy(proc_fd, mount, parent, flags);
	if (home >= 0)
		r = come_home(home, r);
	close(parent);
	return r;
}

int covered_unmount(int proc_fd, const struct mount *mount, int flags)
{
	const struct mount *now;
	struct mount_table table;
	int id = mount->id, r;

	/* What it stands on, and how deep, may have changed since it was looked at. */
	r = mount_table_read(proc_fd, "thread-self", &table);
	if (r < 0)
		return r;
	now = mount_table_find(&table, id);
	r = now && now->covered ? unmount_here(proc_fd, now, flags) : -ESTALE;
	mount_table_done(&table);
	if (r < 0)
		return r;
	r = mount_table_read(proc_fd, "thread-self", &table);
	if (r < 0)
		return r;
	r = mount_table_find(&table, id) ? -ESTALE : 0;
	mount_table_done(&table);
	return r;
}
