/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A disk's list of bad blocks, as /sys/block/NAME/badblocks shows it: a line
 * "SECTOR COUNT" for each run, ascending, sectors of 512 bytes.
 *
 * The kernel shows one page of it. What does not fit is not shown, and the last
 * line may be cut; a list that fills the page says nothing of what lies behind.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DG_BADBLOCKS_PAGE 4096U

enum dg_badblocks {
	DG_BADBLOCKS_NOT_LISTED,
	DG_BADBLOCKS_LISTED,  /* a byte of the range, at least */
	DG_BADBLOCKS_UNKNOWN, /* it lies behind what is shown, or the text is none */
};

/* text: n bytes as they were read. offset, len: bytes of the disk. */
enum dg_badblocks dg_badblocks_find(const char *text, size_t n, uint64_t offset, uint64_t len);

/*
 * The first part of these bytes, in whole units, of which the list has nothing and says so.
 * unit: a power of two, a sector at least. False: there is none.
 */
bool dg_badblocks_next_good(const char *text, size_t n, uint64_t offset, uint64_t len,
			    uint64_t unit, uint64_t *ret_offset, uint64_t *ret_len);
