/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the ledger is made of; for ledger*.c only. */
#pragma once

#include "core/ledger-tree.h"

struct dg_ledger {
	struct ledger_tree bad;
	struct ledger_range *oldest, *newest; /* of history */
	size_t ranges_max, paths_max;
	size_t n_path_bytes;
	struct dg_ledger_counts counts;
};

static inline uint64_t ledger_sum(uint64_t a, uint64_t b)
{
	return a > UINT64_MAX - b ? UINT64_MAX : a + b;
}

bool ledger_has_place(const struct dg_failure *f);   /* a namespace, and a range in it */
bool ledger_has_content(const struct dg_failure *f); /* one there is, and a path or none */
bool ledger_is_valid(const struct dg_failure *f);    /* also the rest of it */

/* The part of f from offset on, with a path of its own; NULL: no memory. */
struct ledger_range *ledger_range_new(struct dg_ledger *ledger, const struct dg_failure *f,
				      uint64_t offset, uint64_t length);
void ledger_range_free(struct dg_ledger *ledger, struct ledger_range *range); /* NULL is fine */

/* Side by side they are one range of which the same is known. */
bool ledger_is_same(const struct dg_failure *a, const struct dg_failure *b);
/* What was seen of another range was seen of this one. */
void ledger_absorb(struct dg_failure *f, const struct dg_failure *other);
/* They touch each other, and are the same: one that is both. */
void ledger_unite(struct dg_failure *f, const struct dg_failure *other);

/* Bad ranges. None of these has an eye on the limit. */
void ledger_insert(struct dg_ledger *ledger, struct ledger_range *range);
void ledger_take_out(struct dg_ledger *ledger, struct ledger_range *range);
void ledger_resize(struct dg_ledger *ledger, struct ledger_range *range, uint64_t end);
void ledger_begin_at(struct dg_ledger *ledger, struct ledger_range *range, uint64_t offset);
bool ledger_is_of(const struct ledger_range *range, const char *ns); /* NULL is of none */
struct ledger_range *ledger_following(const struct dg_ledger *ledger,
				      const struct ledger_range *range);

/* It is inserted, and the limit is kept. -ENOSPC: then it is gone, and counted. */
int ledger_insert_new(struct dg_ledger *ledger, struct ledger_range *new);

/*
 * Forgets and widens until the limit is kept: any range may be another, or gone, after
 * it. -ENOSPC: no two can become one.
 */
int ledger_trim(struct dg_ledger *ledger);
