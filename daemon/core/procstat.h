/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The text of /proc/PID/stat, see proc_pid_stat(5).
 *
 * The start time there is cut to clock ticks, and shifted by the reader's
 * time namespace. Daemon and steps live in the first one (as pid 1 does), so
 * it is the kernel's number with the last digits cut off.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct dg_procstat {
	pid_t pid;
	char state; /* R, S, D, Z, T, t, X, … */
	pid_t ppid;
	pid_t session;
	int tty; /* its controlling terminal; 0: none */
	bool kernel_thread;
	bool exiting; /* on its way out; it may have let go of its memory already */
	uint64_t start_ticks;
};

/* text: NUL-ended. -EINVAL: not of this form. */
int dg_procstat_parse(const char *text, struct dg_procstat *ret);

/* ticks_per_s: sysconf(_SC_CLK_TCK). Nanoseconds since boot. */
uint64_t dg_procstat_start_ns(const struct dg_procstat *stat, long ticks_per_s);
