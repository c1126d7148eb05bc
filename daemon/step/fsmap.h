/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Who owns which block of a file system: FS_IOC_GETFSMAP, asked for some spans
 * only. Its answer comes from the file system's own metadata; no file's data is read.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "core/event.h"

/* What is asked for. Bytes of the block device. */
struct fsmap_span {
	uint64_t offset, len;
	uint64_t disk_offset; /* of the caller: the same place on the disk, and */
	size_t range;         /* what it is a piece of */
	uint64_t told;        /* how far it has been told of */
	size_t n_owners;      /* of the place that was told last */
};

struct fsmap_piece {
	const struct fsmap_span *span;
	uint64_t offset, len; /* of the device, within the span */
	uint64_t owner, file_offset;
	uint32_t flags; /* FMR_OF_* */
};

#define FSMAP_OWNERS_MAX 256 /* of one place; the others are not told */

/*
 * spans: ascending by offset; each goes through func piece by piece, ascending,
 * with one piece for each owner. What the file system leaves out, or does not say
 * any more (error: -ETIMEDOUT, -E2BIG, or its own), goes through hole instead.
 * The first negative value that one of them returns.
 */
struct fsmap_funcs {
	int (*piece)(void *userdata, const struct fsmap_piece *piece);
	int (*hole)(void *userdata, const struct fsmap_span *span, uint64_t offset, uint64_t len,
		    int error);
	void *userdata;
};

/* fd: of a mount of the file system. dev: the device that is meant, of those it has. */
int fsmap_ask(int fd, dg_dev_t dev, struct fsmap_span *spans, size_t n_spans, uint64_t until_us,
	      const struct fsmap_funcs *funcs);
