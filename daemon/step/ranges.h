/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The ranges of a disk that `place` and `repaired` are asked about, on stdin. */
#pragma once

#include <stdbool.h>

#include "core/event.h"

#define RANGES_MAX 4096
#define RANGES_TIMEOUT_MS 10000 /* where none is given */

struct range {
	uint64_t offset, len; /* of the disk, bytes */
	bool told;            /* the module knows the file: */
	dg_dev_t fs_dev;
	uint64_t ino, file_offset;
	uint32_t generation;
	bool memory_failure; /* SOURCE; else it was listed as bad blocks */
	bool listed;         /* it has been in the disk's list */
	bool seen;           /* … since this disk is there */
};

struct ranges {
	dg_dev_t dev; /* of the disk */
	uint64_t until_us;
	struct range *items;
	size_t n_items;
};

/* -EBADMSG: they are malformed, or none. -E2BIG: more than RANGES_MAX. */
int ranges_read(struct ranges *ret);
void ranges_done(struct ranges *ranges);
