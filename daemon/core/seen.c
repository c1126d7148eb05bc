/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "core/seen.h"

#include <stdlib.h>
#include <string.h>

#include "core/grow.h"

void dg_seen_done(struct dg_seen_list *list)
{
	free(list->items);
	*list = (struct dg_seen_list){};
}

static size_t position(const struct dg_seen_list *list, uint64_t serial)
{
	size_t low = 0, high = list->n_items;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (list->items[middle].serial < serial)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

int dg_seen_reserve(struct dg_seen_list *list)
{
	return DG_GROW(list->items, list->n_items);
}

struct dg_seen *dg_seen_insert(struct dg_seen_list *list, uint64_t serial)
{
	size_t at = position(list, serial);
	struct dg_seen *seen = &list->items[at];

	memmove(seen + 1, seen, (list->n_items++ - at) * sizeof(*seen));
	*seen = (struct dg_seen){.serial = serial, .dump = list->dump};
	return seen;
}

struct dg_seen *dg_seen_find(struct dg_seen_list *list, uint64_t serial)
{
	size_t at = position(list, serial);

	if (at == list->n_items || list->items[at].serial != serial)
		return NULL;
	list->items[at].dump = list->dump;
	return &list->items[at];
}

void dg_seen_mark_over(struct dg_seen_list *list, uint64_t failure, unsigned round)
{
	for (size_t i = 0; i < list->n_items; i++)
		if (list->items[i].failure == failure && list->items[i].round <= round)
			list->items[i].over = true;
}

void dg_seen_drop_gone(struct dg_seen_list *list)
{
	size_t n = 0;

	for (size_t i = 0; i < list->n_items; i++)
		if (!list->items[i].over || list->items[i].dump == list->dump)
			list->items[n++] = list->items[i];
	list->n_items = n;
}

void dg_seen_drop_up_to(struct dg_seen_list *list, uint64_t serial)
{
	size_t n = serial < UINT64_MAX ? position(list, serial + 1) : list->n_items;

	list->n_items -= n;
	memmove(list->items, list->items + n, list->n_items * sizeof(*list->items));
}
