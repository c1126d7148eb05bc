/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <linux/nsfs.h>
#include <sched.h>
#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "step/foreign.h"
#include "step/namespaces.h"

/* From 6.12 on; not in Debian 12's header. */
#ifndef NS_MNT_GET_NEXT
struct mnt_ns_info {
	uint32_t size, nr_mounts;
	uint64_t mnt_ns_id;
};
#define NS_MNT_GET_NEXT _IOR(NSIO, 11, struct mnt_ns_info)
#define NS_MNT_GET_PREV _IOR(NSIO, 12, struct mnt_ns_info)
#endif

/*
 * Anybody can make as many as there is memory for, all in one process that keeps
 * them by descriptors, of which a step has not that many.
 */
#define FOREIGN_KEPT_MAX 256
#define FOLLOW_US 2000000U /* of a step, however often it looks */

struct walk {
	int proc_fd;
	uint64_t host, host_user;
	void *tree; /* of struct mount_namespace, by inode: anybody can make a great many */
	size_t n_found;
	size_t n_kept; /* foreign ones, by a descriptor */
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
static bool is_foreign(const struct walk *walk, int fd, const char *task)
{
	uint64_t user = walk->host_user;
	struct stat st;
	int owner;

	owner = fd < 0 ? -1 : ioctl(fd, NS_GET_USERNS);
	if (owner >= 0 && fstat(owner, &st) == 0)
		user = st.st_ino;
	else if (task)
		(void)proc_namespace(walk->proc_fd, task, "user", &user);
	if (owner >= 0)
		close(owner);
	return user != walk->host_user;
}

static int compare_inode(const void *a, const void *b)
{
	const struct mount_namespace *left = a, *right = b;

	return left->inode < right->inode ? -1 : left->inode > right->inode;
}

static struct mount_namespace *find(const struct walk *walk, uint64_t inode)
{
	const struct mount_namespace wanted = {.inode = inode};
	struct mount_namespace **found = tfind(&wanted, &walk->tree, compare_inode);

	return found ? *found : NULL;
}

static struct mount_namespace *add(struct walk *walk, uint64_t inode)
{
	struct mount_namespace *space = malloc(sizeof(*space));

	if (!space)
		return NULL;
	*space = (struct mount_namespace){
		.inode = inode,
		.host = inode == walk->host,
		.fd = -1,
	};
	if (!tsearch(space, &walk->tree, compare_inode)) {
		free(space);
		return NULL;
	}
	walk->n_found++;
	return space;
}

static int each_task(void *userdata, const char *task, pid_t pid, pid_t tid)
{
	struct walk *walk = userdata;
	struct mount_namespace *space;
	uint64_t inode;
	int fd;

	/* It ended, is a zombie, or is not for us to see. */
	if (proc_namespace(walk->proc_fd, task, "mnt", &inode) < 0)
		return 0;
	space = find(walk, inode);
	if (space && (space->whole || !proc_root_is_whole(walk->proc_fd, task)))
		return 0;
	if (!space) {
		space = add(walk, inode);
		if (!space)
			return -ENOMEM;
		fd = open_namespace(walk->proc_fd, task);
		space->foreign = is_foreign(walk, fd, task);
		if (fd >= 0)
			close(fd);
	}
	space->whole = proc_root_is_whole(walk->proc_fd, task);
	space->pid = pid;
	snprintf(space->task, sizeof(space->task), "%s", task);
	return 0;
}

/*
 * A descriptor of one that has no task, which is duplicated. What of the foreign
 * ones is too much is not looked at: the module sees what is mounted there.
 */
static int add_taskless(struct walk *walk, int fd)
{
	struct mount_namespace *space;
	struct stat st;
	bool foreign;
	int kept;

	if (fstat(fd, &st) < 0 || find(walk, st.st_ino))
		return 0;
	foreign = is_foreign(walk, fd, NULL);
	if (foreign && walk->n_kept >= FOREIGN_KEPT_MAX)
		return 0;
	kept = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (kept < 0)
		return 0;
	space = add(walk, st.st_ino);
	if (!space) {
		close(kept);
		return -ENOMEM;
	}
	walk->n_kept += foreign;
	space->foreign = foreign;
	space->whole = true;
	space->fd = kept;
	return 0;
}

/*
 * From the host's on, in one direction. 1: all were told; 0: this kernel does
 * not tell, or they are so many that it takes too long.
 */
static int follow(struct walk *walk, unsigned long direction, uint64_t until_us)
{
	struct mnt_ns_info info;
	int fd = open_namespace(walk->proc_fd, "1"), next, r = 0;

	while (fd >= 0 && r == 0 && foreign_now_us() < until_us) {
		next = ioctl(fd, direction, &info);
		if (next < 0) {
			r = errno == ENOENT;
			break;
		}
		close(fd);
		fd = next;
		r = add_taskless(walk, fd);
	}
	if (fd >= 0)
		close(fd);
	return r;
}

/* Those that the host has as bind mounts. */
static int add_bound(struct walk *walk)
{
	struct mount_table table;
	struct stat st;
	int fd, r = 0;

	if (mount_table_read(walk->proc_fd, "1", &table) < 0)
		return 0;
	for (size_t i = 0; i < table.n_items && r >= 0; i++) {
		const struct mount *mount = &table.items[i];

		if (strcmp(mount->type, "nsfs") != 0 || strncmp(mount->root, "mnt:[", 5) != 0)
			continue;
		fd = open(mount->path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
		if (fd < 0)
			continue;
		if (fstat(fd, &st) == 0 && st.st_ino == strtoull(mount->root + 5, NULL, 10))
			r = add_taskless(walk, fd);
		close(fd);
	}
	mount_table_done(&table);
	return r;
}

static int add_without_tasks(struct walk *walk)
{
	static uint64_t spent_us;
	uint64_t began_us = foreign_now_us(), until_us = began_us;
	int r;

	if (spent_us < FOLLOW_US)
		until_us += FOLLOW_US - spent_us;
	r = follow(walk, NS_MNT_GET_NEXT, until_us);
	if (r > 0)
		r = follow(walk, NS_MNT_GET_PREV, until_us);
	spent_us += foreign_now_us() - began_us;
	return r == 0 ? add_bound(walk) : r;
}

/*
 * Propagation takes most of the work off whoever comes later; who may make us wait
 * comes last, and at the very end those of which one process may have hundreds.
 */
static int rank(const struct mount_namespace *space)
{
	if (!space->foreign)
		return space->host ? 0 : 1;
	return space->task[0] ? 2 : 3;
}

static int compare(const void *a, const void *b)
{
	const struct mount_namespace *left = a, *right = b;

	if (rank(left) != rank(right))
		return rank(left) - rank(right);
	return left->pid < right->pid ? -1 : left->pid > right->pid;
}

static void pick(const void *node, VISIT visit, void *closure)
{
	struct mount_namespaces *list = closure;

	if (visit == postorder || visit == leaf)
		list->items[list->n_items++] = **(const struct mount_namespace *const *)node;
}

static int make_list(const struct walk *walk, struct mount_namespaces *ret)
{
	struct mount_namespaces list = {.items = calloc(walk->n_found + 1, sizeof(*list.items))};

	if (!list.items)
		return -ENOMEM;
	twalk_r(walk->tree, pick, &list);
	qsort(list.items, list.n_items, sizeof(*list.items), compare);
	*ret = list;
	return 0;
}

static void close_and_free(void *node)
{
	struct mount_namespace *space = node;

	if (space->fd >= 0)
		close(space->fd);
	free(space);
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
	if (r >= 0)
		r = add_without_tasks(&walk);
	if (r >= 0)
		r = make_list(&walk, ret);
	/* Those of the list have the descriptors now. */
	tdestroy(walk.tree, r < 0 ? close_and_free : free);
	return r < 0 ? r : 0;
}

void mount_namespaces_done(struct mount_namespaces *namespaces)
{
	for (size_t i = 0; i < namespaces->n_items; i++)
		if (namespaces->items[i].fd >= 0)
			close(namespaces->items[i].fd);
	free(namespaces->items);
	*namespaces = (struct mount_namespaces){0};
}

static int read_table(int proc_fd, const struct mount_namespace *space, const char *task,
		      struct mount_table *ret)
{
	if (space->foreign && foreign_is_long(proc_fd, task))
		return -E2BIG;
	return mount_table_read(proc_fd, task, ret);
}

int mount_namespace_table(int proc_fd, const struct mount_namespace *space, struct mount_table *ret)
{
	int r;

	if (space->task[0])
		return read_table(proc_fd, space, space->task, ret);
	r = mount_namespace_enter(proc_fd, space);
	return r < 0 ? r : mount_namespace_own_table(proc_fd, space, ret);
}

int mount_namespace_own_table(int proc_fd, const struct mount_namespace *space,
			      struct mount_table *ret)
{
	return read_table(proc_fd, space, "thread-self", ret);
}

bool mount_namespace_has_time(const struct mount_namespace *space)
{
	return !space->foreign || foreign_has_time();
}

int mount_namespace_enter(int proc_fd, const struct mount_namespace *space)
{
	uint64_t here;
	struct stat st;
	int fd, r = 0;

	if (!space->task[0])
		return setns(space->fd, CLONE_NEWNS) < 0 ? -errno : 0;
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
