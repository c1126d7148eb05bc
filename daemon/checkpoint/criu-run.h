/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* CRIU as a child, with a deadline. It is never linked: its reasons are what it prints. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct criu_run {
	pid_t pid;
	int pidfd;
	int gate_fd; /* it waits for a byte of ours before it begins */
	int log_fd;  /* what it has printed */
};

#define CRIU_WORDS_MAX 24

/* At the first place that is free, of CRIU_WORDS_MAX. */
void criu_add(const char **argv, const char *word);

/* argv: NULL-ended. It waits for criu_go(). */
int criu_start(const char *const *argv, struct criu_run *ret);
int criu_go(struct criu_run *run);

/*
 * 0: it has done it. -EIO: it has not, see criu_reason(). -ETIME: the time is over, or
 * somebody wants us to end (SIGTERM, which is blocked): it is killed, with all that it
 * has started.
 */
int criu_wait(struct criu_run *run, uint64_t deadline_us);

/* The errors that it has printed, on one line, the last if there is no room for all. */
void criu_reason(const struct criu_run *run, char *text, size_t size);
void criu_done(struct criu_run *run);

/* "4.1.1"; "unknown". It is asked once, and what it says kept in run_fd: to start it takes time. */
void criu_version(const char *criu, int run_fd, char *text, size_t size, uint64_t deadline_us);
