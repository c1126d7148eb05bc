/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "core/limit.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/grow.h"

struct dg_tally *dg_tally_get(struct dg_tally **list, const char *ns)
{
	struct dg_tally *tally = *list;

	while (tally && strcmp(tally->ns, ns) != 0)
		tally = tally->next;
	if (tally)
		return tally;
	tally = calloc(1, sizeof(*tally));
	if (!tally)
		return NULL;
	memcpy(tally->ns, ns, strnlen(ns, sizeof(tally->ns) - 1));
	tally->next = *list;
	*list = tally;
	return tally;
}

void dg_tally_free_all(struct dg_tally **list)
{
	while (*list) {
		struct dg_tally *tally = *list;

		*list = tally->next;
		free(tally->items);
		free(tally);
	}
}

/* Ranges come by their place: a page in which several end and begin is one. */
uint64_t dg_tally_count(const struct dg_ledger *ledger, const char *ns, uint64_t page)
{
	const struct dg_failure *f = dg_ledger_find(ledger, ns, 0);
	uint64_t n = 0, end = 0; /* of the page that was counted last */

	for (; f && strcmp(f->ns, ns) == 0; f = dg_ledger_next(ledger, f)) {
		uint64_t from = f->offset / page * page;
		uint64_t to = (f->offset + f->length + page - 1) / page * page;

		if (from < end)
			from = end;
		if (from >= to)
			continue;
		n += f->coarse ? 1 : (to - from) / page;
		end = to;
	}
	return n;
}

int dg_tally_add(struct dg_tally *tally, uint64_t pages, uint64_t at_us)
{
	size_t n = tally->n_items;

	if (pages == 0)
		return 0;
	if (n == DG_LIMIT_MAX)
		memmove(tally->items, tally->items + 1, --n * sizeof(*tally->items));
	else if (DG_GROW(tally->items, n) < 0)
		return -ENOMEM;
	tally->items[n] = (struct dg_tally_item){at_us, pages};
	tally->n_items = n + 1;
	return 0;
}

static uint64_t recent(const struct dg_tally *tally, uint64_t within_us, uint64_t now_us)
{
	uint64_t n = 0;

	for (size_t i = 0; i < tally->n_items; i++) {
		uint64_t at_us = tally->items[i].at_us;

		if (at_us <= now_us && now_us - at_us <= within_us)
			n += tally->items[i].pages;
	}
	return n;
}

bool dg_tally_judge(struct dg_tally *tally, const struct dg_limit *limit, uint64_t bad,
		    uint64_t now_us, uint64_t *ret_count)
{
	uint64_t before = limit->within_us ? recent(tally, limit->within_us, now_us) : tally->bad;
	uint64_t new = bad > tally->bad ? bad - tally->bad : 0;

	/* Without memory they are not among the recent ones, and among the bad all the same. */
	(void)!dg_tally_add(tally, new, now_us);
	tally->bad = bad;
	*ret_count = limit->within_us ? recent(tally, limit->within_us, now_us) : bad;
	if (before < limit->pages || *ret_count < limit->pages)
		tally->reached = false;
	if (new == 0 || *ret_count < limit->pages || tally->reached)
		return false;
	tally->reached = true;
	return true;
}
