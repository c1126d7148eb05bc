/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "core/procstat.h"

/* PF_EXITING, PF_KTHREAD of the kernel's <linux/sched.h>, as field 9 shows them. */
#define FLAG_EXITING 0x00000004U
#define FLAG_KERNEL_THREAD 0x00200000U

int dg_procstat_parse(const char *text, struct dg_procstat *ret)
{
	struct dg_procstat stat = {0};
	unsigned long long start;
	unsigned int flags;
	const char *rest;
	int pid, ppid, session, tty;

	/* The name may hold anything, also ") R 1": its end is the last bracket. */
	rest = strrchr(text, ')');
	if (!rest || sscanf(text, "%d (", &pid) != 1)
		return -EINVAL;
	if (sscanf(rest,
		   ") %c %d %*d %d %d %*d %u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d "
		   "%llu",
		   &stat.state, &ppid, &session, &tty, &flags, &start) != 6)
		return -EINVAL;
	if (pid <= 0 || ppid < 0)
		return -EINVAL;
	stat.pid = pid;
	stat.ppid = ppid;
	stat.session = session;
	stat.tty = tty;
	stat.kernel_thread = flags & FLAG_KERNEL_THREAD;
	stat.exiting = flags & FLAG_EXITING;
	stat.start_ticks = start;
	*ret = stat;
	return 0;
}

uint64_t dg_procstat_start_ns(const struct dg_procstat *stat, long ticks_per_s)
{
	return stat->start_ticks * (UINT64_C(1000000000) / (uint64_t)ticks_per_s);
}
