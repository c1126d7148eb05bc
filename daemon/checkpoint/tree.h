/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A process and all that are below it. */
#pragma once

#include "core/manifest.h"

#define TREE_COMM_MAX 64 /* of a kernel to come; now it is 16 */

struct tree_process {
	pid_t pid, ppid, session;
	uint64_t start_ns;
	char comm[TREE_COMM_MAX];
	bool stopped; /* by a signal */
	bool zombie;
	bool kernel_thread;
	int tty;
	int pidfd; /* -1: not opened */
};

struct tree {
	struct tree_process *items; /* the root first, each after its parent */
	size_t n_items;
};

/* -ESRCH: there is no such process. -E2BIG: more than DG_CHECKPOINT_TREE_MAX. */
int tree_read(int proc_fd, pid_t root, struct tree *ret);
void tree_done(struct tree *tree);

/* The highest ancestor of pid, or itself, that is one of these. */
pid_t tree_find_root(int proc_fd, pid_t pid, const pid_t *holders, size_t n_holders);

/* -ESRCH: there is none, or it is another one by now. */
int tree_check(int proc_fd, pid_t pid, uint64_t start_ns);

const struct tree_process *tree_find(const struct tree *tree, pid_t pid);

/* Those of other that are not in it, behind; other has nothing left. */
int tree_join(struct tree *tree, struct tree *other);

/*
 * So that a signal reaches nobody else. Who has gone meanwhile has none. Where it fails,
 * all that can be are opened.
 */
int tree_open(struct tree *tree, int proc_fd);

void tree_kill(const struct tree *tree);
/* Those that no signal had stopped. */
void tree_continue(const struct tree *tree);

/* False: the time is over, and somebody is still there. */
bool tree_wait_gone(const struct tree *tree, uint64_t deadline_us);

/*
 * Of a session that somebody outside leads: CRIU has them go on in one of their own. Of
 * a terminal whose other end is outside CRIU would do likewise, if it had another one
 * then; there is none where they go on. So it is to refuse that while they live.
 */
bool tree_is_shell_job(const struct tree *tree);
