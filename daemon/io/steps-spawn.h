/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* How a step is started: part of steps.c, which owns what comes of it. */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/*
 * Close-on-exec and not 0, 1 or 2; the end [ours] non-blocking, the other one as
 * programs expect it.
 */
int spawn_pipe(int ours, int ret[2]);

/* Likewise: with these bytes, to be read from the begin. */
int spawn_input(const void *bytes, size_t n, int *ret);

/* What a step gets; -1: /dev/null. */
struct spawn_fds {
	int input, output, error;
};
void spawn_fds_close(const struct spawn_fds *fds);

/*
 * binary with verb as its arguments, a clean environment and signal state,
 * these as stdin, stdout and stderr, nothing else open. Returns after the exec.
 */
int spawn_step(const char *binary, const char *const verb[], const struct spawn_fds *fds,
	       pid_t *ret);

/* Of a child that nobody has reaped, so that pid is its own. 0: not to be read. */
uint64_t spawn_start_ns(pid_t pid);
