/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Whether all of a part of a file is on blocks of its own, which are written: then
 * whatever is stored there changes nothing that its file system knows.
 */
#pragma once

#include <linux/fiemap.h>
#include <stddef.h>
#include <stdint.h>

struct extents_odd {
	uint64_t offset;
	const char *what; /* "a hole", to be said behind "is" */
};

/*
 * [*at, end) as far as these go, the next ones of the file: 1, and what is odd there; or
 * 0, and *at is where they end. None of them: a hole.
 */
int extents_judge(const struct fiemap_extent *items, size_t n, uint64_t *at, uint64_t end,
		  struct extents_odd *ret);

/* 1: something of [start, end) is odd, and the first of that. -ETIME: not known in time. */
int extents_find_odd(int fd, uint64_t start, uint64_t end, uint64_t deadline_us,
		     struct extents_odd *ret);
