/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/record.h"
#include "step/foreign.h"
#include "step/input.h"
#include "step/ranges.h"

#define TIMEOUT_MAX_MS 600000

struct record {
	const char *text;
	size_t n;
};

/* Of a field that may be missing; then *ret is left alone. */
static int optional(struct record record, const char *key, uint64_t max, bool *ret_there,
		    uint64_t *ret)
{
	uint64_t value;
	int r = dg_record_get_u64(record.text, record.n, key, &value);

	if (r == -ENOENT)
		return 0;
	if (r < 0 || value > max)
		return -EBADMSG;
	*ret_there = true;
	*ret = value;
	return 0;
}

static int read_head(struct record record, struct ranges *ranges)
{
	uint64_t timeout_ms = RANGES_TIMEOUT_MS;
	bool is_there;

	if (!record.text || dg_record_get_dev(record.text, record.n, "DEV", &ranges->dev) < 0 ||
	    optional(record, "TIMEOUT_MSEC", TIMEOUT_MAX_MS, &is_there, &timeout_ms) < 0)
		return -EBADMSG;
	ranges->until_us = foreign_now_us() + timeout_ms * 1000;
	return 0;
}

static int read_file(struct record record, struct range *range)
{
	uint64_t generation = 0;
	bool is_there = false;
	int r;

	r = dg_record_get_dev(record.text, record.n, "FS_DEV", &range->fs_dev);
	if (r == -ENOENT)
		return 0;
	if (r < 0 || dg_record_get_u64(record.text, record.n, "INO", &range->ino) < 0 ||
	    range->ino == 0 ||
	    dg_record_get_u64(record.text, record.n, "FILE_OFFSET", &range->file_offset) < 0 ||
	    optional(record, "GENERATION", UINT32_MAX, &is_there, &generation) < 0 || !is_there)
		return -EBADMSG;
	range->generation = (uint32_t)generation;
	range->told = true;
	return 0;
}

static int read_range(struct record record, struct range *range)
{
	const char *source = dg_record_get(record.text, record.n, "SOURCE") ?: "badblocks";
	uint64_t listed = 0, seen = 0;
	bool is_there;

	*range = (struct range){.memory_failure = strcmp(source, "memory-failure") == 0};
	if (!range->memory_failure && strcmp(source, "badblocks") != 0)
		return -EBADMSG;
	if (dg_record_get_u64(record.text, record.n, "OFFSET", &range->offset) < 0 ||
	    dg_record_get_u64(record.text, record.n, "LEN", &range->len) < 0 || range->len == 0 ||
	    range->offset + range->len < range->offset)
		return -EBADMSG;
	if (optional(record, "LISTED", 1, &is_there, &listed) < 0 ||
	    optional(record, "SEEN", 1, &is_there, &seen) < 0)
		return -EBADMSG;
	range->listed = listed != 0;
	range->seen = seen != 0;
	return read_file(record, range);
}

static int read_all(struct input *input, struct ranges *ranges)
{
	struct record record;
	int r;

	record.text = input_next(input, &record.n);
	r = read_head(record, ranges);
	if (r < 0)
		return r;
	ranges->items = calloc(RANGES_MAX, sizeof(*ranges->items));
	if (!ranges->items)
		return -ENOMEM;
	while (r >= 0 && (record.text = input_next(input, &record.n)))
		r = ranges->n_items < RANGES_MAX
			    ? read_range(record, &ranges->items[ranges->n_items++])
			    : -E2BIG;
	/* Half a record is as good as none, and so is the rest of what was meant. */
	if (r >= 0 && (ranges->n_items == 0 || input->cursor != input->text + input->n))
		r = -EBADMSG;
	return r;
}

int ranges_read(struct ranges *ret)
{
	struct ranges ranges = {};
	struct input input;
	int r;

	r = input_read(&input);
	if (r < 0)
		return r;
	r = read_all(&input, &ranges);
	input_done(&input);
	if (r < 0) {
		ranges_done(&ranges);
		return r;
	}
	*ret = ranges;
	return 0;
}

void ranges_done(struct ranges *ranges)
{
	free(ranges->items);
	*ranges = (struct ranges){};
}
