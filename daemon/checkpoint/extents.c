/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "checkpoint/extents.h"

#include <errno.h>
#include <linux/fs.h>
#include <sys/ioctl.h>

#include "step/checkpoint-run.h"

#define BATCH 64

static const char *odd_of(uint32_t flags)
{
	static const struct {
		uint32_t flag;
		const char *what;
	} odds[] = {
		{FIEMAP_EXTENT_UNWRITTEN, "not written yet"},
		{FIEMAP_EXTENT_DELALLOC, "without a block"},
		{FIEMAP_EXTENT_SHARED, "shared with another file"},
		{FIEMAP_EXTENT_DATA_INLINE, "in no block of its own"},
		{FIEMAP_EXTENT_UNKNOWN, "in no known block"},
		{FIEMAP_EXTENT_ENCODED, "encoded"},
		{FIEMAP_EXTENT_NOT_ALIGNED, "in no block of its own"},
	};

	for (size_t i = 0; i < sizeof(odds) / sizeof(*odds); i++)
		if (flags & odds[i].flag)
			return odds[i].what;
	return NULL;
}

int extents_judge(const struct fiemap_extent *items, size_t n, uint64_t *at, uint64_t end,
		  struct extents_odd *ret)
{
	uint64_t begin = *at;

	for (size_t i = 0; i < n && *at < end; i++) {
		uint64_t next = items[i].fe_logical + items[i].fe_length;

		if (next <= *at)
			continue;
		ret->offset = *at;
		ret->what = items[i].fe_logical > *at ? "a hole" : odd_of(items[i].fe_flags);
		if (ret->what)
			return 1;
		*at = next;
	}
	if (*at > begin || begin >= end)
		return 0;
	*ret = (struct extents_odd){begin, "a hole"};
	return 1;
}

/*
 * Without FIEMAP_FLAG_SYNC, which would write back all of a large file: a file that can
 * be mapped with MAP_SYNC has no page cache, and so nothing in it whose block, or
 * whether it is written, would only be known after that.
 */
int extents_find_odd(int fd, uint64_t start, uint64_t end, uint64_t deadline_us,
		     struct extents_odd *ret)
{
	union {
		struct fiemap map;
		char room[sizeof(struct fiemap) + BATCH * sizeof(struct fiemap_extent)];
	} asked;
	int r = 0;

	/* Each time from where the last ones ended: they are never asked for twice. */
	for (uint64_t at = start; r == 0 && at < end;) {
		if (checkpoint_now_us() > deadline_us)
			return -ETIME;
		asked.map = (struct fiemap){
			.fm_start = at,
			.fm_length = end - at,
			.fm_extent_count = BATCH,
		};
		if (ioctl(fd, FS_IOC_FIEMAP, &asked.map) < 0)
			return -errno;
		r = extents_judge(asked.map.fm_extents, asked.map.fm_mapped_extents, &at, end, ret);
	}
	return r;
}
