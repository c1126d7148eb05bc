/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "core/holder.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define TICK_NS (1000000000ULL / 100)
#define PID_INIT 1
#define PID_KTHREADD 2

bool dg_start_equal(uint64_t a_ns, uint64_t b_ns)
{
	return a_ns / TICK_NS == b_ns / TICK_NS;
}

bool dg_process_equal(struct dg_process a, struct dg_process b)
{
	return a.pid == b.pid && dg_start_equal(a.start_ns, b.start_ns);
}

const char *dg_exempt_name(enum dg_exempt exempt)
{
	static const char *const names[_DG_EXEMPT_MAX] = {
		[DG_EXEMPT_NONE] = "none",       [DG_EXEMPT_INIT] = "init",
		[DG_EXEMPT_KERNEL] = "kernel",   [DG_EXEMPT_SELF] = "self",
		[DG_EXEMPT_STEP] = "step",       [DG_EXEMPT_UNBINDER] = "unbinder",
		[DG_EXEMPT_SERVICE] = "service",
	};

	return (unsigned)exempt < _DG_EXEMPT_MAX ? names[exempt] : "unknown";
}

int dg_exemption_add(struct dg_exemption_list *list, struct dg_process process, enum dg_exempt why)
{
	struct dg_exemption *items;

	items = reallocarray(list->items, list->n_items + 1, sizeof(*items));
	if (!items)
		return -ENOMEM;
	items[list->n_items++] = (struct dg_exemption){.process = process, .why = why};
	list->items = items;
	return 0;
}

void dg_exemption_list_done(struct dg_exemption_list *list)
{
	free(list->items);
	*list = (struct dg_exemption_list){};
}

static int compare_u64(uint64_t a, uint64_t b)
{
	return a < b ? -1 : a > b;
}

/* By process; the kernel's rows, which have none, by the name it gave them. */
static int compare_rows(const void *a, const void *b)
{
	const struct dg_usage *x = *(const struct dg_usage *const *)a;
	const struct dg_usage *y = *(const struct dg_usage *const *)b;
	int r;

	r = compare_u64((uint64_t)x->pid, (uint64_t)y->pid);
	if (r == 0 && x->pid == 0)
		r = strncmp(x->comm, y->comm, sizeof(x->comm));
	if (r == 0)
		r = compare_u64(x->start_ns, y->start_ns);
	return r != 0 ? r : compare_u64(x->addr, y->addr);
}

static bool same_holder(const struct dg_holder *holder, const struct dg_usage *row)
{
	if (holder->process.pid != row->pid)
		return false;
	if (row->pid == 0)
		return strncmp(holder->comm, row->comm, sizeof(row->comm)) == 0;
	return dg_start_equal(holder->process.start_ns, row->start_ns);
}

static enum dg_exempt exempt_why(const struct dg_holder *holder,
				 const struct dg_exemption_list *exempt)
{
	if (holder->process.pid <= 0 || holder->process.pid == PID_KTHREADD)
		return DG_EXEMPT_KERNEL;
	if (holder->process.pid == PID_INIT)
		return DG_EXEMPT_INIT;
	for (size_t i = 0; exempt && i < exempt->n_items; i++)
		if (dg_process_equal(holder->process, exempt->items[i].process))
			return exempt->items[i].why;
	return holder->flags & DG_HOLDER_UNBINDER ? DG_EXEMPT_UNBINDER : DG_EXEMPT_NONE;
}

static void holder_begin(struct dg_holder *holder, const struct dg_usage *row)
{
	*holder = (struct dg_holder){
		.process = {.pid = row->pid, .start_ns = row->start_ns},
		.tid = row->tid,
		.uid = row->uid,
		.sig_caught = row->sig_caught,
		.sig_blocked = row->sig_blocked,
		.sig_ignored = row->sig_ignored,
	};
	memcpy(holder->comm, row->comm, sizeof(holder->comm));
	holder->comm[sizeof(holder->comm) - 1] = '\0';
}

static int holder_add(struct dg_holder *holder, const struct dg_usage *row)
{
	const uint32_t of_mapping = DG_HOLDER_SHARED | DG_HOLDER_WRITE | DG_HOLDER_EXEC;
	uint32_t count = row->count > 0 ? row->count : 1;
	struct dg_mapping *mappings;

	if (row->use == DG_USE_MAPPED && row->pid > 0) {
		mappings =
			reallocarray(holder->mappings, holder->n_mappings + 1, sizeof(*mappings));
		if (!mappings)
			return -ENOMEM;
		mappings[holder->n_mappings++] = (struct dg_mapping){
			.addr = row->addr,
			.len = row->len,
			.offset = row->offset,
			.fs_dev = row->fs_dev,
			.ino = row->ino,
			.flags = row->flags & of_mapping,
		};
		holder->mappings = mappings;
		holder->mapped_bytes += row->len;
	}
	holder->flags |= row->flags;
	if (row->shared_with > 0)
		holder->shared_with = row->shared_with;
	/* Saturates: a count is for people. */
	if (holder->counts[row->use] <= UINT32_MAX - count)
		holder->counts[row->use] += count;
	return 0;
}

static int merge_sorted(const struct dg_usage *const *rows, size_t n_rows,
			struct dg_holder_list *list)
{
	struct dg_holder *holder = NULL;
	int r;

	for (size_t i = 0; i < n_rows; i++) {
		if (!holder || !same_holder(holder, rows[i])) {
			holder = &list->items[list->n_items++];
			holder_begin(holder, rows[i]);
		}
		r = holder_add(holder, rows[i]);
		if (r < 0)
			return r;
	}
	return 0;
}

int dg_holders_merge(const struct dg_usage_list *rows, const struct dg_exemption_list *exempt,
		     struct dg_holder_list *ret)
{
	struct dg_holder_list list = {.truncated = rows->truncated};
	const struct dg_usage **sorted;
	size_t n_sorted = 0;
	int r = -ENOMEM;

	/* One more than needed, so that NULL means out of memory for empty lists too. */
	sorted = calloc(rows->n_items + 1, sizeof(*sorted));
	list.items = calloc(rows->n_items + 1, sizeof(*list.items));
	if (!sorted || !list.items)
		goto fail;

	for (size_t i = 0; i < rows->n_items; i++)
		if ((unsigned)rows->items[i].use < _DG_USE_MAX && rows->items[i].pid >= 0)
			sorted[n_sorted++] = &rows->items[i];
	qsort(sorted, n_sorted, sizeof(*sorted), compare_rows);
	r = merge_sorted(sorted, n_sorted, &list);
	if (r < 0)
		goto fail;
	for (size_t i = 0; i < list.n_items; i++)
		list.items[i].exempt = exempt_why(&list.items[i], exempt);

	free(sorted);
	*ret = list;
	return 0;

fail:
	free(sorted);
	dg_holder_list_done(&list);
	return r;
}

void dg_holder_list_done(struct dg_holder_list *list)
{
	for (size_t i = 0; i < list->n_items; i++)
		free(list->items[i].mappings);
	free(list->items);
	*list = (struct dg_holder_list){};
}

const struct dg_holder *dg_holders_find(const struct dg_holder_list *list,
					struct dg_process process)
{
	size_t low = 0, high = list->n_items;

	if (process.pid <= 0)
		return NULL;
	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (list->items[middle].process.pid < process.pid)
			low = middle + 1;
		else
			high = middle;
	}
	for (; low < list->n_items && list->items[low].process.pid == process.pid; low++)
		if (dg_process_equal(list->items[low].process, process))
			return &list->items[low];
	return NULL;
}

bool dg_holder_uses(const struct dg_holder *holder, enum dg_use use)
{
	return (unsigned)use < _DG_USE_MAX && holder->counts[use] > 0;
}

static bool has_signal(uint64_t set, int signo)
{
	return signo >= 1 && signo <= 64 && (set >> (signo - 1)) & 1;
}

bool dg_holder_catches(const struct dg_holder *holder, int signo)
{
	return has_signal(holder->sig_caught, signo) && !has_signal(holder->sig_ignored, signo);
}

bool dg_holder_blocks(const struct dg_holder *holder, int signo)
{
	return has_signal(holder->sig_blocked, signo);
}

bool dg_holder_ignores(const struct dg_holder *holder, int signo)
{
	return has_signal(holder->sig_ignored, signo);
}
