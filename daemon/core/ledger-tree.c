/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "core/ledger-tree.h"

#include <string.h>

static int compare(const char *ns, uint64_t offset, const struct ledger_range *range)
{
	int order = strcmp(ns, range->f.ns);

	if (order != 0)
		return order;
	return offset < range->f.offset ? -1 : offset > range->f.offset;
}

static void pull(struct ledger_range *range)
{
	range->nearest_gap = range->gap;
	if (range->left && range->left->nearest_gap < range->nearest_gap)
		range->nearest_gap = range->left->nearest_gap;
	if (range->right && range->right->nearest_gap < range->nearest_gap)
		range->nearest_gap = range->right->nearest_gap;
}

/* Those before and those after range. As deep as the tree, which is some tens. */
static void split(struct ledger_range *root, const struct ledger_range *range,
		  struct ledger_range **ret_before, struct ledger_range **ret_after)
{
	if (!root) {
		*ret_before = *ret_after = NULL;
		return;
	}
	if (compare(range->f.ns, range->f.offset, root) > 0) {
		split(root->right, range, &root->right, ret_after);
		*ret_before = root;
	} else {
		split(root->left, range, ret_before, &root->left);
		*ret_after = root;
	}
	pull(root);
}

/* All of left are before all of right. */
static struct ledger_range *join(struct ledger_range *left, struct ledger_range *right)
{
	if (!left || !right)
		return left ? left : right;
	if (left->priority > right->priority) {
		left->right = join(left->right, right);
		pull(left);
		return left;
	}
	right->left = join(left, right->left);
	pull(right);
	return right;
}

static struct ledger_range *insert(struct ledger_range *root, struct ledger_range *range)
{
	if (!root)
		return range;
	if (range->priority > root->priority) {
		split(root, range, &range->left, &range->right);
		pull(range);
		return range;
	}
	if (compare(range->f.ns, range->f.offset, root) < 0)
		root->left = insert(root->left, range);
	else
		root->right = insert(root->right, range);
	pull(root);
	return root;
}

static struct ledger_range *cut(struct ledger_range *root, const struct ledger_range *range)
{
	if (!root)
		return NULL;
	if (root == range)
		return join(root->left, root->right);
	if (compare(range->f.ns, range->f.offset, root) < 0)
		root->left = cut(root->left, range);
	else
		root->right = cut(root->right, range);
	pull(root);
	return root;
}

/* Its gap is another: so may be the nearest one of those above it. */
static void refresh(struct ledger_range *root, const struct ledger_range *range)
{
	if (!root)
		return;
	if (root != range)
		refresh(compare(range->f.ns, range->f.offset, root) < 0 ? root->left : root->right,
			range);
	pull(root);
}

static uint64_t gap_after(const struct ledger_tree *tree, const struct ledger_range *range)
{
	const struct ledger_range *next = ledger_tree_above(tree, range->f.ns, range->f.offset);

	if (!next || strcmp(next->f.ns, range->f.ns) != 0)
		return LEDGER_GAP_NONE;
	return next->f.offset - ledger_end(range);
}

void ledger_tree_resized(struct ledger_tree *tree, struct ledger_range *range)
{
	range->gap = gap_after(tree, range);
	refresh(tree->root, range);
}

static struct ledger_range *before(const struct ledger_tree *tree, const struct ledger_range *range)
{
	return range->f.offset > 0 ? ledger_tree_floor(tree, range->f.ns, range->f.offset - 1)
				   : NULL;
}

/* xorshift64*: a tree that is shaped by chance has no worst order of insertions. */
static uint32_t chance(struct ledger_tree *tree)
{
	tree->chance ^= tree->chance >> 12;
	tree->chance ^= tree->chance << 25;
	tree->chance ^= tree->chance >> 27;
	return (uint32_t)((tree->chance * 0x2545f4914f6cdd1d) >> 32);
}

void ledger_tree_insert(struct ledger_tree *tree, struct ledger_range *range)
{
	struct ledger_range *previous;

	range->left = range->right = NULL;
	range->priority = chance(tree);
	range->gap = range->nearest_gap = gap_after(tree, range);
	tree->root = insert(tree->root, range);
	previous = before(tree, range);
	if (previous)
		ledger_tree_resized(tree, previous);
}

void ledger_tree_remove(struct ledger_tree *tree, struct ledger_range *range)
{
	struct ledger_range *previous = before(tree, range);

	tree->root = cut(tree->root, range);
	range->left = range->right = NULL;
	if (previous)
		ledger_tree_resized(tree, previous);
}

struct ledger_range *ledger_tree_floor(const struct ledger_tree *tree, const char *ns,
				       uint64_t offset)
{
	struct ledger_range *found = NULL;

	for (struct ledger_range *range = tree->root; range;) {
		if (compare(ns, offset, range) < 0) {
			range = range->left;
		} else {
			found = range;
			range = range->right;
		}
	}
	return found && strcmp(found->f.ns, ns) == 0 ? found : NULL;
}

struct ledger_range *ledger_tree_above(const struct ledger_tree *tree, const char *ns,
				       uint64_t offset)
{
	struct ledger_range *found = NULL;

	for (struct ledger_range *range = tree->root; range;) {
		if (!ns || compare(ns, offset, range) < 0) {
			found = range;
			range = range->left;
		} else {
			range = range->right;
		}
	}
	return found;
}

struct ledger_range *ledger_tree_nearest(const struct ledger_tree *tree)
{
	struct ledger_range *range = tree->root;

	if (!range || range->nearest_gap == LEDGER_GAP_NONE)
		return NULL;
	while (range->gap != range->nearest_gap)
		range = range->left && range->left->nearest_gap == range->nearest_gap
				? range->left
				: range->right;
	return range;
}
