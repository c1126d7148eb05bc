/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A program that a rule names, and what it is told of the incident. */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct hook {
	char **argv; /* points into the input */
	char **env;
	char *json; /* NUL-ended */
	uint64_t timeout_us;
};

/* From the two records that verb_hook() reads. -EBADMSG, -ENOMEM. */
int hook_read(const char *what, size_t n_what, const char *facts, size_t n_facts, struct hook *ret);
void hook_done(struct hook *hook);

enum hook_how {
	HOOK_EXITED,
	HOOK_SIGNALED,
	HOOK_TIMEOUT,
};

#define HOOK_OUTPUT_MAX 1024

struct hook_end {
	enum hook_how how;
	int status;                   /* exit status or signal */
	char output[HOOK_OUTPUT_MAX]; /* its first bytes */
	size_t n_output;
};

/*
 * Runs it, with all that it starts, in this process, whose children end with it.
 * proc_fd: /proc.
 */
int hook_run(const struct hook *hook, int proc_fd, struct hook_end *ret);
