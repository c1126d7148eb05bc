/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "checkpoint/tree.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <unistd.h>

#include "core/grow.h"
#include "core/holder.h"
#include "step/checkpoint-run.h"
#include "step/proc.h"

struct all {
	int proc_fd;
	struct dg_procstat *items;
	size_t n_items;
};

static int each_process(void *userdata, pid_t pid)
{
	struct all *all = userdata;
	char task[PROC_TASK_MAX];
	struct dg_procstat stat;

	snprintf(task, sizeof(task), "%d", pid);
	if (proc_stat(all->proc_fd, task, &stat) < 0)
		return 0;
	if (DG_GROW(all->items, all->n_items) < 0)
		return -ENOMEM;
	all->items[all->n_items++] = stat;
	return 0;
}

static int add(struct tree *tree, int proc_fd, const struct dg_procstat *stat)
{
	struct tree_process process = {
		.pid = stat->pid,
		.ppid = stat->ppid,
		.session = stat->session,
		.start_ns = proc_start_ns(stat),
		.stopped = stat->state == 'T',
		.zombie = stat->state == 'Z',
		.kernel_thread = stat->kernel_thread,
		.tty = stat->tty,
		.pidfd = -1,
	};
	char task[PROC_TASK_MAX];

	snprintf(task, sizeof(task), "%d", stat->pid);
	if (proc_read(proc_fd, task, "comm", process.comm, sizeof(process.comm)) < 0)
		process.comm[0] = '\0';
	process.comm[strcspn(process.comm, "\n")] = '\0';
	if (tree->n_items >= DG_CHECKPOINT_TREE_MAX)
		return -E2BIG;
	if (DG_GROW(tree->items, tree->n_items) < 0)
		return -ENOMEM;
	tree->items[tree->n_items++] = process;
	return 0;
}

static int build(const struct all *all, pid_t root, struct tree *tree)
{
	int r = 0;

	for (size_t i = 0; r >= 0 && i < all->n_items; i++)
		if (all->items[i].pid == root)
			r = add(tree, all->proc_fd, &all->items[i]);
	/* Each one's children behind, until nobody has any more. */
	for (size_t next = 0; r >= 0 && next < tree->n_items; next++) {
		pid_t parent = tree->items[next].pid;

		for (size_t i = 0; r >= 0 && i < all->n_items; i++)
			if (all->items[i].ppid == parent)
				r = add(tree, all->proc_fd, &all->items[i]);
	}
	return r >= 0 && tree->n_items == 0 ? -ESRCH : r;
}

int tree_read(int proc_fd, pid_t root, struct tree *ret)
{
	struct all all = {.proc_fd = proc_fd};
	struct tree tree = {};
	int r;

	r = proc_foreach(proc_fd, ".", each_process, &all);
	if (r >= 0)
		r = build(&all, root, &tree);
	free(all.items);
	if (r < 0)
		tree_done(&tree);
	else
		*ret = tree;
	return r;
}

void tree_done(struct tree *tree)
{
	for (size_t i = 0; i < tree->n_items; i++)
		if (tree->items[i].pidfd >= 0)
			close(tree->items[i].pidfd);
	free(tree->items);
	*tree = (struct tree){};
}

static bool is_one_of(pid_t pid, const pid_t *pids, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (pids[i] == pid)
			return true;
	return false;
}

pid_t tree_find_root(int proc_fd, pid_t pid, const pid_t *holders, size_t n_holders)
{
	char task[PROC_TASK_MAX];
	struct dg_procstat stat;
	pid_t root = pid;

	for (;;) {
		snprintf(task, sizeof(task), "%d", pid);
		if (proc_stat(proc_fd, task, &stat) < 0 || stat.ppid <= 1)
			return root;
		pid = stat.ppid;
		if (is_one_of(pid, holders, n_holders))
			root = pid;
	}
}

int tree_check(int proc_fd, pid_t pid, uint64_t start_ns)
{
	char task[PROC_TASK_MAX];
	struct dg_procstat stat;

	snprintf(task, sizeof(task), "%d", pid);
	if (proc_stat(proc_fd, task, &stat) < 0 || stat.state == 'Z' || stat.state == 'X')
		return -ESRCH;
	return dg_start_equal(proc_start_ns(&stat), start_ns) ? 0 : -ESRCH;
}

const struct tree_process *tree_find(const struct tree *tree, pid_t pid)
{
	for (size_t i = 0; i < tree->n_items; i++)
		if (tree->items[i].pid == pid)
			return &tree->items[i];
	return NULL;
}

int tree_join(struct tree *tree, struct tree *other)
{
	int r = 0;

	for (size_t i = 0; i < other->n_items && r >= 0; i++) {
		if (tree_find(tree, other->items[i].pid))
			continue;
		r = DG_GROW(tree->items, tree->n_items) < 0 ? -ENOMEM : 0;
		if (r < 0)
			break;
		tree->items[tree->n_items++] = other->items[i];
		other->items[i].pidfd = -1;
	}
	tree_done(other);
	return r;
}

int tree_open(struct tree *tree, int proc_fd)
{
	int r = 0;

	for (size_t i = 0; i < tree->n_items; i++) {
		struct tree_process *process = &tree->items[i];

		if (process->pidfd >= 0)
			continue;
		process->pidfd = pidfd_open(process->pid, 0);
		if (process->pidfd < 0 && errno != ESRCH)
			r = -errno;
		/* Whoever has the number by now is none of ours. */
		if (process->pidfd >= 0 && !process->zombie &&
		    tree_check(proc_fd, process->pid, process->start_ns) < 0) {
			close(process->pidfd);
			process->pidfd = -1;
		}
	}
	return r;
}

void tree_kill(const struct tree *tree)
{
	for (size_t i = 0; i < tree->n_items; i++)
		if (tree->items[i].pidfd >= 0)
			(void)pidfd_send_signal(tree->items[i].pidfd, SIGKILL, NULL, 0);
}

void tree_continue(const struct tree *tree)
{
	for (size_t i = 0; i < tree->n_items; i++)
		if (tree->items[i].pidfd >= 0 && !tree->items[i].stopped)
			(void)pidfd_send_signal(tree->items[i].pidfd, SIGCONT, NULL, 0);
}

bool tree_wait_gone(const struct tree *tree, uint64_t deadline_us)
{
	for (size_t i = 0; i < tree->n_items; i++) {
		struct pollfd pollfd = {.fd = tree->items[i].pidfd, .events = POLLIN};
		uint64_t now = checkpoint_now_us();
		int left_ms = deadline_us > now ? (int)((deadline_us - now) / 1000) : 0;

		if (pollfd.fd >= 0 && poll(&pollfd, 1, left_ms) <= 0)
			return false;
	}
	return true;
}

bool tree_is_shell_job(const struct tree *tree)
{
	bool job = false;

	for (size_t i = 0; i < tree->n_items; i++) {
		if (tree->items[i].tty != 0)
			return false;
		if (!tree_find(tree, tree->items[i].session))
			job = true;
	}
	return job;
}
