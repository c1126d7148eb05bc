/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Bad ranges in order, a treap by namespace and offset; for ledger*.c only.
 *
 * Each knows how far it is to the next one of its namespace, and the nearest such
 * pair below it in the tree: which to widen is then a walk down.
 */
#pragma once

#include "core/ledger.h"

#define LEDGER_GAP_NONE UINT64_MAX

struct ledger_range {
	struct dg_failure f; /* the first: what the outside is given */
	struct ledger_range *left, *right;
	uint32_t priority;
	uint64_t gap;         /* to the next one of the same namespace; LEDGER_GAP_NONE */
	uint64_t nearest_gap; /* of these of all in this subtree */
	struct ledger_range *older, *newer; /* in history */
};

struct ledger_tree {
	struct ledger_range *root;
	uint64_t chance; /* of priorities; not 0 */
};

/* It must overlap no other one. */
void ledger_tree_insert(struct ledger_tree *tree, struct ledger_range *range);
void ledger_tree_remove(struct ledger_tree *tree, struct ledger_range *range);
/* Its length is another; where it begins is not. */
void ledger_tree_resized(struct ledger_tree *tree, struct ledger_range *range);

/* The last that begins at offset or before, in this namespace; NULL: none. */
struct ledger_range *ledger_tree_floor(const struct ledger_tree *tree, const char *ns,
				       uint64_t offset);
/* The first that begins after offset; in any namespace. ns NULL: the first of all. */
struct ledger_range *ledger_tree_above(const struct ledger_tree *tree, const char *ns,
				       uint64_t offset);
/* The first of the two that are nearest to each other; NULL: no namespace has two. */
struct ledger_range *ledger_tree_nearest(const struct ledger_tree *tree);

static inline uint64_t ledger_end(const struct ledger_range *range)
{
	return range->f.offset + range->f.length;
}
