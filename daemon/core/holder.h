/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Who uses the device: the rows of a scan, merged into processes.
 *
 * A process is pid and start time; a pid alone names whoever has it today.
 * The kernel's own uses (pid 0) are holders too, one for each name it gives.
 */
#pragma once

#include "core/event.h"

struct dg_process {
	pid_t pid;
	uint64_t start_ns; /* since boot, suspend included */
};

/*
 * /proc/PID/stat shows the start cut to a clock tick (USER_HZ is 100 wherever
 * pmem is), the module shows nanoseconds: equal within a tick is equal, and a
 * pid cannot be used twice within one.
 */
bool dg_start_equal(uint64_t a_ns, uint64_t b_ns);
bool dg_process_equal(struct dg_process a, struct dg_process b);

/* Why somebody is never signalled. */
enum dg_exempt {
	DG_EXEMPT_NONE,
	DG_EXEMPT_INIT,     /* pid 1 */
	DG_EXEMPT_KERNEL,   /* no process, or kthreadd */
	DG_EXEMPT_SELF,     /* this daemon */
	DG_EXEMPT_STEP,     /* a step of ours */
	DG_EXEMPT_UNBINDER, /* who removes the device: it waits for us */
	DG_EXEMPT_SERVICE,  /* journald, udevd, the bus, logind, polkitd */
	_DG_EXEMPT_MAX,
};
const char *dg_exempt_name(enum dg_exempt exempt);

struct dg_exemption {
	struct dg_process process;
	enum dg_exempt why;
};

struct dg_exemption_list {
	struct dg_exemption *items;
	size_t n_items;
};

int dg_exemption_add(struct dg_exemption_list *list, struct dg_process process,
		     enum dg_exempt why); /* -ENOMEM */
void dg_exemption_list_done(struct dg_exemption_list *list);

struct dg_mapping {
	uint64_t addr, len, offset;
	dg_dev_t fs_dev;
	uint64_t ino;
	uint32_t flags; /* DG_HOLDER_SHARED, _WRITE, _EXEC */
};

struct dg_process_facts;

struct dg_holder {
	struct dg_process process;
	pid_t tid;         /* a live thread */
	pid_t shared_with; /* another process with the same memory, that leads; 0: none */
	uid_t uid;
	char comm[DG_COMM_LEN];
	uint64_t sig_caught, sig_blocked, sig_ignored;
	uint32_t flags;               /* DG_HOLDER_*, all rows together */
	uint32_t counts[_DG_USE_MAX]; /* how often, by kind of use */
	struct dg_mapping *mappings;  /* by ascending address */
	size_t n_mappings;
	uint64_t mapped_bytes;
	enum dg_exempt exempt;
	bool cooperates; /* it has asked to be told, over a socket of its own */
	/* What /proc says of it, see core/look.h; NULL: not known. Not owned. */
	const struct dg_process_facts *looked;
};

struct dg_holder_list {
	struct dg_holder *items; /* by ascending pid */
	size_t n_items;
	bool truncated; /* who is not listed may still be one */
};

/* Rows of an unknown kind of use are left out. -ENOMEM. */
int dg_holders_merge(const struct dg_usage_list *rows, const struct dg_exemption_list *exempt,
		     struct dg_holder_list *ret);
void dg_holder_list_done(struct dg_holder_list *list);

/* NULL: not in the list. Never finds the kernel. */
const struct dg_holder *dg_holders_find(const struct dg_holder_list *list,
					struct dg_process process);

bool dg_holder_uses(const struct dg_holder *holder, enum dg_use use);
bool dg_holder_catches(const struct dg_holder *holder, int signo);
bool dg_holder_blocks(const struct dg_holder *holder, int signo); /* in every thread */
bool dg_holder_ignores(const struct dg_holder *holder, int signo);
