/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A memory failure as the kernel side keeps it: one contiguous range of one
 * device, with one place. See kmod/uapi/daxguard.h for what stays how long.
 */
#pragma once

#include "core/holder.h"

#define DG_FAILURE_WORD 32 /* the kernel's own names, and their NUL */

/* Who knows of it. */
enum dg_failure_source {
	DG_FAILURE_HANDLED,   /* the kernel handled a failed page */
	DG_FAILURE_BADBLOCKS, /* it is in the disk's list of bad blocks */
	_DG_FAILURE_SOURCE_MAX,
};
const char *dg_failure_source_name(enum dg_failure_source source); /* "memory-failure" */

enum {
	DG_FAIL_NO_FILE = 1 << 0,   /* of no file that is or was mapped */
	DG_FAIL_SHARED = 1 << 1,    /* of several files */
	DG_FAIL_WIDENED = 1 << 2,   /* good pages are in it */
	DG_FAIL_REMOVING = 1 << 3,  /* while its device was being removed */
	DG_FAIL_TOLD_MORE = 1 << 4, /* not all that were told are listed */
	DG_FAIL_MORE = 1 << 5,      /* the dump has more than was sent */
};

/* Somebody to whom the kernel itself has sent a SIGBUS, with an address in there. */
struct dg_failure_told {
	struct dg_process process;
	uint64_t addr, len;
};

struct dg_failure_record {
	uint64_t serial;
	enum dg_failure_source source;
	uint32_t flags;                                      /* DG_FAIL_* */
	char type[DG_FAILURE_WORD], result[DG_FAILURE_WORD]; /* the kernel's words; may be "" */
	char name[DG_NAME_MAX];                              /* of the disk: pmem0 */
	char ns_device[DG_NAME_MAX];
	dg_dev_t dev;
	enum dg_mode mode;
	bool has_uuid;
	uint8_t uuid[DG_UUID_LEN];
	struct dg_range range;
	bool unaddressed; /* its begin is not known: of a disk whose memory nobody maps */
	bool has_disk_offset;
	uint64_t disk_offset; /* of its begin */
	uint32_t count;       /* events of the kernel */
	uint64_t time_ns;     /* of the last one, since boot, suspend included */
	bool has_file;
	dg_dev_t fs_dev;
	uint64_t ino, file_offset;
	uint32_t generation;
	struct dg_failure_told *told;
	size_t n_told;
};

/* The words go to records, the ledger and the bus: what is not printable ASCII becomes ?. */
void dg_failure_clean_words(struct dg_failure_record *record);
void dg_failure_record_done(struct dg_failure_record *record);
