/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "core/told.h"

#include <errno.h>
#include <stdlib.h>

#include "core/grow.h"

#define N_HEADS 4096U /* a power of two */

struct dg_told_item {
	struct dg_told told;     /* a length of 0: dropped */
	uint32_t next, previous; /* of the same chain: older, newer; 0: none */
};

static uint32_t *head_of(const struct dg_told_list *list, pid_t pid)
{
	return &list->heads[(uint32_t)pid & (N_HEADS - 1)];
}

void dg_told_init(struct dg_told_list *list, size_t n_max)
{
	*list = (struct dg_told_list){.n_max = n_max > 0 ? n_max : DG_TOLD_MAX};
}

void dg_told_done(struct dg_told_list *list)
{
	free(list->items);
	free(list->heads);
	*list = (struct dg_told_list){};
}

static int make_room(struct dg_told_list *list)
{
	if (!list->heads)
		list->heads = calloc(N_HEADS, sizeof(*list->heads));
	if (!list->heads)
		return -ENOMEM;
	return DG_GROW(list->items, list->n_items);
}

/* The oldest of all: the last one of its chain. */
static void unlink_oldest(struct dg_told_list *list, uint32_t number)
{
	const struct dg_told_item *item = &list->items[number - 1];

	if (item->previous != 0)
		list->items[item->previous - 1].next = 0;
	else
		*head_of(list, item->told.process.pid) = 0;
}

/* A place for one more; the oldest one's, if there is no other. */
static uint32_t take_place(struct dg_told_list *list)
{
	uint32_t number;

	if (list->n_items < list->n_max)
		return (uint32_t)++list->n_items;
	number = (uint32_t)++list->oldest;
	list->oldest %= list->n_max;
	unlink_oldest(list, number);
	list->n_forgotten += list->items[number - 1].told.len > 0;
	return number;
}

int dg_told_add(struct dg_told_list *list, const struct dg_told *told)
{
	uint32_t number, *head;

	if (told->len == 0)
		return 0;
	if (list->n_items < list->n_max && make_room(list) < 0)
		return -ENOMEM;
	number = take_place(list);
	head = head_of(list, told->process.pid);
	list->items[number - 1] = (struct dg_told_item){*told, *head, 0};
	if (*head != 0)
		list->items[*head - 1].previous = number;
	*head = number;
	return 0;
}

static bool meets(struct dg_range a, struct dg_range b)
{
	return a.start < b.start + b.len && b.start < a.start + a.len;
}

/* The entry of this chain that has addr, from number on; 0: none. */
static uint32_t find(const struct dg_told_list *list, uint32_t number, const struct dg_told *told,
		     uint64_t addr)
{
	for (; number != 0; number = list->items[number - 1].next) {
		const struct dg_told *other = &list->items[number - 1].told;

		if (addr >= other->addr && addr - other->addr < other->len &&
		    meets(other->pages, told->pages) &&
		    dg_process_equal(other->process, told->process))
			return number;
	}
	return 0;
}

/* The newest of all is as if it had never been: who is tried again and again fills no list. */
static bool take_back(struct dg_told_list *list, uint32_t number)
{
	uint32_t *head = head_of(list, list->items[number - 1].told.process.pid);

	if (list->oldest != 0 || number != list->n_items || *head != number)
		return false;
	*head = list->items[number - 1].next;
	if (*head != 0)
		list->items[*head - 1].previous = 0;
	list->n_items--;
	return true;
}

void dg_told_drop(struct dg_told_list *list, const struct dg_told *told)
{
	uint32_t number = list->heads ? *head_of(list, told->process.pid) : 0;

	for (; number != 0; number = list->items[number - 1].next) {
		struct dg_told *other = &list->items[number - 1].told;

		if (other->addr != told->addr || other->len != told->len ||
		    other->pages.start != told->pages.start ||
		    other->pages.len != told->pages.len ||
		    !dg_process_equal(other->process, told->process))
			continue;
		if (!take_back(list, number))
			other->len = 0;
		return;
	}
}

bool dg_told_misses(const struct dg_told_list *list, const struct dg_told *told, uint64_t *ret_addr)
{
	uint32_t head = list->heads ? *head_of(list, told->process.pid) : 0, number;
	uint64_t addr = told->addr, end = told->addr + told->len;

	while (addr < end && (number = find(list, head, told, addr)) != 0)
		addr = list->items[number - 1].told.addr + list->items[number - 1].told.len;
	if (addr >= end)
		return false;
	*ret_addr = addr;
	return true;
}

/* One page may be mapped at very many places, and each is looked up among all of them. */
static bool is_span(const struct dg_holder *holder)
{
	return holder->n_mappings > DG_TOLD_MAPPINGS_MAX;
}

static size_t n_told_of(const struct dg_holder *holder)
{
	return is_span(holder) ? 1 : holder->n_mappings;
}

static struct dg_told told_of(const struct dg_holder *holder, size_t n, struct dg_range pages)
{
	const struct dg_mapping *first = &holder->mappings[n], *last = first;

	if (is_span(holder))
		last = &holder->mappings[holder->n_mappings - 1];
	return (struct dg_told){
		.process = holder->process,
		.addr = first->addr,
		.len = last->addr + last->len - first->addr,
		.pages = pages,
	};
}

int dg_told_add_holder(struct dg_told_list *list, const struct dg_holder *holder,
		       struct dg_range pages)
{
	for (size_t i = 0; i < n_told_of(holder); i++) {
		struct dg_told told = told_of(holder, i, pages);

		if (dg_told_add(list, &told) >= 0)
			continue;
		while (i-- > 0) {
			told = told_of(holder, i, pages);
			dg_told_drop(list, &told);
		}
		return -ENOMEM;
	}
	return 0;
}

void dg_told_drop_holder(struct dg_told_list *list, const struct dg_holder *holder,
			 struct dg_range pages)
{
	for (size_t i = n_told_of(holder); i-- > 0;) {
		struct dg_told told = told_of(holder, i, pages);

		dg_told_drop(list, &told);
	}
}

bool dg_told_misses_holder(const struct dg_told_list *list, const struct dg_holder *holder,
			   struct dg_range pages, uint64_t *ret_addr)
{
	for (size_t i = 0; i < n_told_of(holder); i++) {
		struct dg_told told = told_of(holder, i, pages);

		if (!dg_told_misses(list, &told, ret_addr))
			continue;
		/* Between two of them there may be nothing. */
		if (is_span(holder))
			*ret_addr = told.addr;
		return true;
	}
	return false;
}
