/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "core/badblocks.h"

#define SECTOR_SHIFT 9
/* Of an entry in the kernel: 54 bits of sector, and no more sectors than this. */
#define SECTORS_MAX (1ULL << 54)
/* The longest line; where less is left in the page, another may not have fitted. */
#define LINE_MAX_BYTES 40U

struct run {
	uint64_t start, end; /* sectors */
};

static bool take_number(const char **at, const char *end, char stop, uint64_t *ret)
{
	const char *p = *at;
	uint64_t value = 0;

	for (; p < end && *p >= '0' && *p <= '9'; p++) {
		value = value * 10 + (uint64_t)(*p - '0');
		if (value > SECTORS_MAX)
			return false;
	}
	if (p == *at || p == end || *p != stop)
		return false;
	*at = p + 1;
	*ret = value;
	return true;
}

static bool take_run(const char **at, const char *end, struct run *ret)
{
	uint64_t start, count;

	if (!take_number(at, end, ' ', &start) || !take_number(at, end, '\n', &count))
		return false;
	*ret = (struct run){start, start + count};
	return true;
}

enum dg_badblocks dg_badblocks_find(const char *text, size_t n, uint64_t offset, uint64_t len)
{
	const char *at = text, *end = text + n;
	bool is_full = n + LINE_MAX_BYTES > DG_BADBLOCKS_PAGE;
	uint64_t first, last, shown = 0;
	struct run run;

	if (len == 0 || offset + (len - 1) < offset)
		return DG_BADBLOCKS_UNKNOWN;
	first = offset >> SECTOR_SHIFT;
	last = (offset + (len - 1)) >> SECTOR_SHIFT;
	while (at < end) {
		if (!take_run(&at, end, &run))
			/* Cut off by the end of the page; else it is no such list. */
			return is_full && shown > last ? DG_BADBLOCKS_NOT_LISTED
						       : DG_BADBLOCKS_UNKNOWN;
		if (run.start <= last && run.end > first)
			return DG_BADBLOCKS_LISTED;
		shown = run.start > shown ? run.start : shown;
	}
	return is_full && shown <= last ? DG_BADBLOCKS_UNKNOWN : DG_BADBLOCKS_NOT_LISTED;
}

/* Where the first run that has something of from..end begins, and ends; else both are end. */
static bool next_run(const char *text, size_t n, uint64_t from, uint64_t end, uint64_t *ret_begin,
		     uint64_t *ret_end)
{
	const char *at = text;
	struct run run;

	*ret_begin = *ret_end = end;
	while (at < text + n) {
		if (!take_run(&at, text + n, &run))
			return false;
		if (run.end <= from >> SECTOR_SHIFT || run.start << SECTOR_SHIFT >= end)
			continue;
		*ret_begin = run.start << SECTOR_SHIFT;
		*ret_end = run.end > end >> SECTOR_SHIFT ? end : run.end << SECTOR_SHIFT;
		return true;
	}
	return true;
}

bool dg_badblocks_next_good(const char *text, size_t n, uint64_t offset, uint64_t len,
			    uint64_t unit, uint64_t *ret_offset, uint64_t *ret_len)
{
	uint64_t at = offset, end = offset + len, begin, next, to;

	while (at < end && next_run(text, n, at, end, &begin, &next)) {
		/* Of a unit that goes on outside of what is asked for, what is asked for counts. */
		to = begin < end ? begin & ~(unit - 1) : end;
		if (to > at && dg_badblocks_find(text, n, at, to - at) == DG_BADBLOCKS_NOT_LISTED) {
			*ret_offset = at;
			*ret_len = to - at;
			return true;
		}
		if (next >= end)
			return false;
		at = (next + unit - 1) & ~(unit - 1);
		if (at < next)
			return false;
	}
	return false;
}
