/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Which failed ranges are so no more, as the step `repaired` tells. */
#pragma once

#include "core/event.h"

enum dg_repair {
	DG_REPAIR_UNKNOWN, /* nobody can say; why is told */
	DG_REPAIR_STILL,
	DG_REPAIR_REPAIRED,
	_DG_REPAIR_MAX,
};

const char *dg_repair_name(enum dg_repair repair); /* "unknown" outside the range */

struct dg_repair_answer {
	enum dg_repair repair; /* DG_REPAIR_UNKNOWN of a range that has no answer */
	const char *why;       /* in the step's output; "" where none was told */
};

/*
 * ret: n_ranges of them, in the order in which they were asked for. The first
 * answer to a range counts. Records of an unknown form are passed over.
 */
void dg_repair_read(const char *output, size_t n_output, struct dg_repair_answer *ret,
		    size_t n_ranges);

/* A part of a range that is not good as a whole: this much of it is. */
struct dg_repair_part {
	size_t range;
	uint64_t offset, len; /* of the disk, bytes */
};

/*
 * The next of them in the step's output, from *cursor on, which is moved. False: there is
 * none. It lies where the step says; whether that is in the range is for the caller.
 */
bool dg_repair_next_part(const char **cursor, const char *end, size_t n_ranges,
			 struct dg_repair_part *ret);
