/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * FailureLimit=: how many pages of a namespace are bad, or have become so lately.
 *
 * A page is bad if the ledger has a byte of it. Of a coarse range, in which bad pages
 * are somewhere, one counts: where there are coarse ones the limit of any rule is
 * reached by the others.
 *
 * A limit is reached once: by the new bad page with which there are so many, and not by
 * those after it, unless there were fewer in between. One that was exceeded before
 * anybody counted is reached by the next new page.
 */
#pragma once

#include "core/ledger.h"

#define DG_LIMIT_MAX 4096U /* pages */

struct dg_limit {
	uint32_t pages;     /* 0: there is none */
	uint64_t within_us; /* 0: that are bad; else: that have become so in this time */
};

/* Of one namespace. */
struct dg_tally {
	struct dg_tally *next;
	char ns[DG_NAME_MAX];
	bool counted; /* bad is known */
	bool reached;
	uint64_t bad; /* pages, when it was counted last */
	/* As they came, DG_LIMIT_MAX at most: the first are forgotten. */
	struct dg_tally_item *items;
	size_t n_items;
};

struct dg_tally_item {
	uint64_t at_us;
	uint64_t pages;
};

/* The one of this name, made if there is none. NULL: no memory. */
struct dg_tally *dg_tally_get(struct dg_tally **list, const char *ns);
void dg_tally_free_all(struct dg_tally **list);

/* page: bytes of one. */
uint64_t dg_tally_count(const struct dg_ledger *ledger, const char *ns, uint64_t page);

/* So many became bad at this time, which may be before that of others. -ENOMEM. */
int dg_tally_add(struct dg_tally *tally, uint64_t pages, uint64_t at_us);

/*
 * bad: what there is now. tally->counted must be true, and now_us never go back. True: the
 * limit is reached by what is new. *ret_count: what is compared with the limit.
 */
bool dg_tally_judge(struct dg_tally *tally, const struct dg_limit *limit, uint64_t bad,
		    uint64_t now_us, uint64_t *ret_count);
