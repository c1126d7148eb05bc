/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Which of the known words somebody meant.
 */
#pragma once

#include "core/piece.h"

/* Longer than this is no word, but something else. */
#define DG_NEAREST_LONGEST 32

/*
 * How many single-character edits make a of b, a swap of neighbours being
 * one; DG_NEAREST_LONGEST if one of them is longer than that.
 */
size_t dg_distance(struct dg_piece a, const char *b);

/*
 * The search begins with the word alone; each known one is shown to it. nearest
 * is the best so far, or NULL: what is farther than a third is another word.
 */
struct dg_nearest {
	struct dg_piece word;
	size_t distance; /* 0 before the first */
	const char *nearest;
};
void dg_nearest_try(struct dg_nearest *search, const char *known);
