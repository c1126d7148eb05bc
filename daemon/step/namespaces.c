/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <linux/nsfs.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "step/namespaces.h"

struct walk {
	int proc_fd;
	uint64_t host, host_user;
	struct mount_namespaces found;
};

static int open_namespace(int proc_fd, const char *task)
{
	char path[PROC_PATH_MAX];
	int fd;

	snprintf(path, sizeof(path), "%s/ns/mnt", task);
	fd = openat(proc_fd, path, O_RDONLY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

/* Who owns it; where the kernel does not say, its task's own user namespace. */
static bool is_foreign(const struct walk *walk, const char *task)
{
	uint64_t user = walk->host_user;
	struct stat st;
	int fd, owner;

	fd = open_namespace(walk->proc_fd, task);
	owner = fd < 0 ? -1 : ioctl(fd, NS_GET_USERNS);
	if (owner >= 0 && fstat(owner, &st) == 0)
		user = st.st_ino;
	else
		(void)proc_namespace(walk->proc_fd, task, "user", &user);
	if (owner >= 0)
		close(owner);
	if (fd >= 0)
		close(fd);
	return user != walk->host_user;
}

static int each_task(void *userdata, const char *task, pid_t pid, pid_t tid)
{
	struct walk *walk = userdata;
	struct mount_namespaces *found = &walk->found;
	struct mount_namespace *space = NULL;
	uint64_t inode;

	/* It ended, is a zombie, or is not for us to see. */
	if (proc_namespace(walk->proc_fd, task, "mnt", &inode) < 0)
		return 0;
	for (size_t i = 0; i < found->n_items && !space; i++)
		if (found->items[i].inode == inode)
			space = &found->items[i];
	if (space && space->whole)
		return 0;
	if (!space) {
		space = reallocarray(found->items, found->n_items + 1, sizeof(*space));
		if (!space)
			return -ENOMEM;
		found->items = space;
		space += found->n_items++;
		*space = (struct mount_namespace){
			.inode = inode,
			.host = inode == walk->host,
			.foreign = is_foreign(walk, task),
		};
	} else if (!proc_root_is_whole(walk->proc_fd, task)) {
		return 0;
	}
	space->whole = proc_root_is_whole(walk->proc_fd, task);
	space->pid = pid;
	snprintf(space->task, sizeof(space->task), "%s", task);
	return 0;
}

/* Propagation takes most of the work off whoever comes later; who may make us wait comes last. */
static int rank(const struct mount_namespace *space)
{
	return space->host ? 0 : space->foreign ? 2 : 1;
}

static int compare(const void *a, const void *b)
{
	const struct mount_namespace *left = a, *right = b;

	if (rank(left) != rank(right))
		return rank(left) - rank(right);
	return left->pid < right->pid ? -1 : left->pid > right->pid;
}

int mount_namespaces_read(int proc_fd, struct mount_namespaces *ret)
{
	struct walk walk = {.proc_fd = proc_fd};
	int r;

	/* Not root, in a test: then our own view is all there is. */
	if (proc_namespace(proc_fd, "1", "mnt", &walk.host) < 0 ||
	    proc_namespace(proc_fd, "1", "user", &walk.host_user) < 0) {
		r = proc_namespace(proc_fd, "self", "mnt", &walk.host);
		if (r >= 0)
			r = proc_namespace(proc_fd, "self", "user", &walk.host_user);
		if (r < 0)
			return r;
	}
	r = proc_foreach_task(proc_fd, each_task, &walk);
	if (r < 0) {
		mount_namespaces_done(&walk.found);
		return r;
	}
	if (walk.found.n_items > 0)
		qsort(walk.found.items, walk.found.n_items, sizeof(*walk.found.items), compare);
	*ret = walk.found;
	return 0;
}

void mount_namespaces_done(struct mount_namespaces *namespaces)
{
	free(namespaces->items);
	*namespaces = (struct mount_namespaces){0};
}

int mount_namespace_enter(int proc_fd, const struct mount_namespace *space)
{
	uint64_t here;
	struct stat st;
	int fd, r = 0;

	fd = open_namespace(proc_fd, space->task);
	if (fd < 0)
		return fd == -ENOENT ? -ESRCH : fd;
	if (fstat(fd, &st) < 0) {
		r = -errno;
	} else if (st.st_ino != space->inode) {
		r = -ESRCH;
	} else if (setns(fd, CLONE_NEWNS) < 0) {
		r = -errno;
		/* Without privileges: good enough where we are already. */
		if (r == -EPERM && proc_namespace(proc_fd, "self", "mnt", &here) == 0 &&
		    here == space->inode && chdir("/") == 0)
			r = 0;
	}
	close(fd);
	return r;
}
