/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Memory failures: seen by probes (source-failure.c), looked up (locate.c),
 * kept (record.c), announced (failure.c).
 */
#ifndef _DAXGUARD_FAILURE_H
#define _DAXGUARD_FAILURE_H

#include <linux/mm.h>
#include <linux/rbtree.h>

#include "daxguard.h"

/* Who was sent a SIGBUS by the kernel, with an address in this range. */
struct dg_told {
	u32 pid;
	u64 start_ns;
	u64 addr, len;
};

/* The same, and for which page. */
struct dg_noted {
	unsigned long pfn;
	struct dg_told told;
};

/* No device begins or ends within so many pages. */
#define DG_EVENT_PAGES	(1UL << (PMD_SHIFT - PAGE_SHIFT))

/*
 * Contiguous pages that failed one after the other. Unless widened, in one block of
 * DG_EVENT_PAGES: memory of two devices may be contiguous.
 */
struct dg_event {
	unsigned long pfn, end;		/* the first, and the one after the last */
	u64 time_ns;			/* of the last; CLOCK_BOOTTIME */
	u32 count;
	u8 result;			/* enum mf_result */
	bool widened;			/* has pages in it that did not fail */
	bool told_more;			/* not all who were told were noted */
	unsigned int first_noted, nr_noted;
};

/* The device of a record, as it was called when a page of it failed. */
struct dg_identity {
	char name[DAXGUARD_NAME_MAX];
	char nd_name[DAXGUARD_NAME_MAX];
	dev_t dev;
	u8 mode;			/* enum daxguard_mode */
	bool has_uuid;
	uuid_t uuid;
};

struct dg_failed_dev {
	struct list_head node;
	struct dg_identity id;
	struct rb_root records[DAXGUARD_SOURCE_BADBLOCKS + 1];	/* by offset */
	unsigned int nr;
};

/* A record; the first half of it describes what is found as well. */
struct dg_failure {
	u8 source;			/* enum daxguard_source */
	u8 result;			/* enum mf_result */
	u32 flags;			/* DAXGUARD_FAIL_*; those of the place are in it */
	bool has_phys;			/* the device has struct pages */
	u64 phys, offset, len;		/* offset on the device */
	u64 time_ns;
	u32 count;
	struct dg_place place;

	u64 serial;
	struct list_head node;		/* by serial */
	struct rb_node at;
	struct dg_failed_dev *dev;
	struct dg_told *told;
	unsigned int nr_told, max_told;
};

/* source-failure.c */
int dg_source_failure_init(void);
void dg_source_failure_exit(void);
int dg_events_take(int (*take)(const struct dg_event *event, const struct dg_noted *noted));

/* failure.c */
void dg_failures_init(void);
void dg_failures_exit(void);
void dg_failures_wake(void);	/* in any context */

/* locate.c; -EAGAIN: the device, or memory, could not be had now */
int dg_locate_event(const struct dg_event *event, const struct dg_noted *noted);
void dg_locate_end(void);	/* of a pass: forget what was looked up for it */
int dg_check_badblocks(struct dg_target *target);

/* record.c */
void dg_records_init(void);
void dg_records_exit(void);
/* Keep what was found; @noted: who was told of it. */
int dg_record(const struct dg_identity *id, const struct dg_failure *found,
	      const struct dg_noted *noted, unsigned int nr_noted);
void dg_records_forget(u64 serial);
u64 dg_records_last(void);	/* the last serial that is kept, or 0 */
unsigned int dg_records_count(void);
/* In order, those after @serial, until @fn returns not 0; under a mutex. */
int dg_records_each(u64 serial, int (*fn)(const struct dg_failure *failure, void *ctx), void *ctx);

#endif
