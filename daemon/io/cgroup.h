/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Control groups of version 2: which one a process is in, and what can be done
 * to all processes of one.
 *
 * Owns nothing. Nothing here waits for a process: to freeze and to kill is to
 * ask the kernel for it. See docs/decisions.md for what the calls may wait for.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define CGROUP_PATH_MAX 1024 /* NUL included; that must fit into a line of a record */

/* Where they are. */
struct cgroup_paths {
	const char *root; /* "/sys/fs/cgroup" */
	const char *proc; /* "/proc" */
};

/* "/system.slice/a.service". -ENOENT: it has ended, or is in none that we can name. */
int cgroup_of(const struct cgroup_paths *paths, pid_t pid, char ret[static CGROUP_PATH_MAX]);

/* Whether there is such a group, with all that is asked for here. */
bool cgroup_is_there(const struct cgroup_paths *paths, const char *group, size_t n_group);

/* Whether somebody wants it to be frozen. */
bool cgroup_is_frozen(const struct cgroup_paths *paths, const char *group, size_t n_group);

/*
 * Of the group that the first n_group bytes name, and all below it. -ENOENT: there
 * is none, or the kernel cannot do that.
 */
int cgroup_freeze(const struct cgroup_paths *paths, const char *group, size_t n_group);
int cgroup_thaw(const struct cgroup_paths *paths, const char *group, size_t n_group);
int cgroup_kill(const struct cgroup_paths *paths, const char *group, size_t n_group);

/*
 * A signal for each process in it and below. -E2BIG: there are more than are
 * signalled at once; *ret_n, if not NULL, is how many were, also on failure.
 */
#define CGROUP_SIGNALS_MAX 4096
int cgroup_signal(const struct cgroup_paths *paths, const char *group, size_t n_group, int signo,
		  size_t *ret_n);
