/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "core/repair.h"

#include <string.h>

#include "core/record.h"

static const char *const names[_DG_REPAIR_MAX] = {
	[DG_REPAIR_UNKNOWN] = "unknown",
	[DG_REPAIR_STILL] = "still",
	[DG_REPAIR_REPAIRED] = "repaired",
};

const char *dg_repair_name(enum dg_repair repair)
{
	return repair < _DG_REPAIR_MAX ? names[repair] : "unknown";
}

static void read_answer(struct dg_repair_answer *answer, const char *name, const char *why)
{
	for (int i = 0; i < _DG_REPAIR_MAX && !answer->why; i++)
		if (strcmp(names[i], name) == 0)
			*answer = (struct dg_repair_answer){(enum dg_repair)i, why ?: ""};
}

void dg_repair_read(const char *output, size_t n_output, struct dg_repair_answer *ret,
		    size_t n_ranges)
{
	const char *cursor = output, *end = output + n_output, *record, *name;
	uint64_t range;
	size_t n;

	memset(ret, 0, n_ranges * sizeof(*ret));
	while ((record = dg_record_next(&cursor, end, &n))) {
		name = dg_record_get(record, n, "RESULT");
		if (name && dg_record_get_u64(record, n, "RANGE", &range) >= 0 && range < n_ranges)
			read_answer(&ret[range], name, dg_record_get(record, n, "WHY"));
	}
	for (size_t i = 0; i < n_ranges; i++)
		ret[i].why = ret[i].why ?: "";
}

bool dg_repair_next_part(const char **cursor, const char *end, size_t n_ranges,
			 struct dg_repair_part *ret)
{
	const char *record;
	uint64_t range;
	size_t n;

	while ((record = dg_record_next(cursor, end, &n))) {
		struct dg_repair_part part;

		if (dg_record_get_u64(record, n, "RANGE", &range) < 0 || range >= n_ranges ||
		    dg_record_get_u64(record, n, "GOOD_OFFSET", &part.offset) < 0 ||
		    dg_record_get_u64(record, n, "GOOD_LEN", &part.len) < 0 || part.len == 0 ||
		    part.len > UINT64_MAX - part.offset)
			continue;
		part.range = (size_t)range;
		*ret = part;
		return true;
	}
	return false;
}
