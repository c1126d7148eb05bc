/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* How a step is started: part of steps.c, which owns what comes of it. */
#pragma once

#include <stdint.h>
#include <sys/types.h>

/* Close-on-exec; the reading end [0] non-blocking, the writing end as programs expect it. */
int spawn_pipe(int ret[2]);

/*
 * binary with verb as its arguments, a clean environment and signal state,
 * output and error (neither is 0, 1 or 2) as stdout and stderr, nothing else
 * open. Returns after the exec.
 */
int spawn_step(const char *binary, const char *const verb[], int output, int error, pid_t *ret);

/* Of a child that nobody has reaped, so that pid is its own. 0: not to be read. */
uint64_t spawn_start_ns(pid_t pid);
