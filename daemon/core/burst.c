/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "core/burst.h"

#include <errno.h>
#include <stdlib.h>

#include "core/grow.h"

void dg_burst_init(struct dg_burst *burst, struct dg_told_list *told,
		   const struct dg_selection *selection, uint64_t page, bool unmap, uint64_t now_us)
{
	*burst = (struct dg_burst){
		.told = told,
		.selection = selection,
		.page = page,
		.unmap = unmap,
		.began_us = now_us,
		.last_us = now_us,
	};
}

void dg_burst_done(struct dg_burst *burst)
{
	dg_holder_list_done(&burst->holders);
	free(burst->fresh);
	free(burst->work);
	*burst = (struct dg_burst){};
}

static uint64_t end_of(const struct dg_burst_range *range)
{
	return range->start + range->len;
}

/* Bad blocks are sectors; who maps a part of a page maps all of it. */
static struct dg_range whole_pages(const struct dg_burst *burst, const struct dg_range *range)
{
	uint64_t mask = burst->page - 1, start = range->start & ~mask;
	uint64_t end = range->start + range->len;

	end = end > UINT64_MAX - mask ? ~mask : (end + mask) & ~mask;
	return (struct dg_range){start, end - start};
}

/* Side by side also on the device, and of one kind. */
static bool continues(const struct dg_burst_range *a, const struct dg_burst_range *b)
{
	return a->widened == b->widened && a->placed == b->placed &&
	       (!a->placed || a->offset - a->start == b->offset - b->start);
}

/* Of what becomes one: what was not put off is not given up with what was. */
static void put_off_with(struct dg_burst_range *range, const struct dg_burst_range *other)
{
	if (range->put_off_us == 0 || other->put_off_us == 0)
		range->put_off_us = 0;
	else if (other->put_off_us > range->put_off_us)
		range->put_off_us = other->put_off_us;
}

static int add_range(struct dg_burst *burst, const struct dg_burst_range *range)
{
	struct dg_burst_range *last = burst->n_fresh > 0 ? &burst->fresh[burst->n_fresh - 1] : NULL;
	size_t n = burst->n_fresh;

	if (last && range->start == end_of(last) && continues(last, range)) {
		last->len += range->len;
		put_off_with(last, range);
		return 0;
	}
	if (n >= DG_BURST_RANGES_MAX)
		return -ENOSPC;
	if (DG_GROW(burst->fresh, n) < 0)
		return -ENOMEM;
	burst->fresh[burst->n_fresh++] = *range;
	return 0;
}

/* A record that has grown has them again. */
static void add_told_by_kernel(struct dg_burst *burst, const struct dg_failure_record *record,
			       struct dg_range pages)
{
	for (size_t i = 0; i < record->n_told; i++) {
		const struct dg_failure_told *by_kernel = &record->told[i];
		struct dg_told told = {by_kernel->process, by_kernel->addr, by_kernel->len, pages};
		uint64_t addr;

		if (dg_told_misses(burst->told, &told, &addr))
			(void)!dg_told_add(burst->told, &told);
	}
}

int dg_burst_add(struct dg_burst *burst, const struct dg_failure_record *record, uint64_t now_us)
{
	struct dg_range range = whole_pages(burst, &record->range);
	uint64_t before = record->range.start - range.start, lasts_us;
	struct dg_burst_range new = {
		.start = range.start,
		.len = range.len,
		.widened = record->flags & DG_FAIL_WIDENED,
		.placed = record->has_disk_offset && record->disk_offset >= before,
	};
	int r;

	/* What is put off keeps it open, and nobody else waits for that. */
	lasts_us = burst->delay_us > 0 ? DG_BURST_LASTS_MAX_US : DG_BURST_LASTS_US;
	if (burst->phase == DG_BURST_OVER || now_us > burst->began_us + lasts_us)
		return -ENOSPC;
	/* There is always room for what is put off. */
	if (burst->n_fresh + burst->n_work >= DG_BURST_RANGES_MAX)
		return -ENOSPC;
	if (new.placed)
		new.offset = record->disk_offset - before;
	if (!record->unaddressed) {
		r = add_range(burst, &new);
		if (r < 0)
			return r;
		burst->news = true;
		burst->wake_us = 0;
	}
	add_told_by_kernel(burst, record, range);
	burst->counts.n_ranges++;
	return 0;
}

static int compare(const void *a, const void *b)
{
	const struct dg_burst_range *x = a, *y = b;

	if (x->start != y->start)
		return x->start < y->start ? -1 : 1;
	return x->len < y->len ? -1 : x->len > y->len;
}

static void unite_two(struct dg_burst_range *range, const struct dg_burst_range *next)
{
	put_off_with(range, next);
	if (end_of(next) > end_of(range))
		range->len = end_of(next) - range->start;
}

/* In order, and what touches is one, if it is of one kind. */
static size_t unite(struct dg_burst_range *ranges, size_t n)
{
	size_t to = 0;

	qsort(ranges, n, sizeof(*ranges), compare);
	for (size_t i = 1; i < n; i++) {
		if (ranges[i].start > end_of(&ranges[to]) || !continues(&ranges[to], &ranges[i]))
			ranges[++to] = ranges[i];
		else
			unite_two(&ranges[to], &ranges[i]);
	}
	return to + 1;
}

static void begin_round(struct dg_burst *burst, uint64_t now_us)
{
	burst->work = burst->fresh;
	burst->n_work = unite(burst->work, burst->n_fresh);
	burst->fresh = NULL;
	burst->n_fresh = 0;
	burst->spans[0] = (struct dg_burst_span){0, burst->n_work};
	burst->n_spans = 1;
	burst->tries = 0;
	burst->news = burst->left_over = false;
	burst->round_us = now_us;
	burst->phase = DG_BURST_SCANS;
	burst->counts.n_rounds++;
}

/* Of the top of spans[]. */
static struct dg_range range_of(const struct dg_burst *burst)
{
	const struct dg_burst_span *span = &burst->spans[burst->n_spans - 1];
	uint64_t start = burst->work[span->low].start, end = start;

	for (size_t i = span->low; i < span->high; i++)
		if (end_of(&burst->work[i]) > end)
			end = end_of(&burst->work[i]);
	return (struct dg_range){start, end - start};
}

/* What a round has not come to. */
static void keep_rest(struct dg_burst *burst, uint64_t now_us)
{
	bool kept = now_us < burst->began_us + DG_BURST_GIVE_UP_US;

	if (kept)
		burst->news = burst->left_over = true;
	for (size_t i = 0; i < burst->n_spans && kept; i++)
		for (size_t k = burst->spans[i].low; k < burst->spans[i].high && kept; k++)
			kept = add_range(burst, &burst->work[k]) >= 0;
	if (!kept)
		burst->marks |= DG_BURST_UNTOLD;
	burst->n_spans = 0;
}

static void end_round(struct dg_burst *burst, uint64_t now_us)
{
	uint64_t delay_us = burst->delay_us > 0 ? burst->delay_us * 2 : DG_BURST_RETRY_US;

	free(burst->work);
	burst->work = NULL;
	burst->n_work = 0;
	if (!burst->left_over)
		delay_us = 0;
	burst->delay_us = delay_us < DG_BURST_RETRY_MAX_US ? delay_us : DG_BURST_RETRY_MAX_US;
	burst->wake_us = burst->news ? 0 : now_us + burst->delay_us;
	burst->phase = DG_BURST_RESTS;
	burst->last_us = now_us;
	burst->finished = !burst->left_over;
}

/* The range on top is done, or put off; the round with the last of them. */
static void leave_range(struct dg_burst *burst, uint64_t now_us)
{
	dg_holder_list_done(&burst->holders);
	burst->n_spans--;
	burst->tries = 0;
	burst->phase = DG_BURST_SCANS;
	if (burst->n_spans > 0 && now_us > burst->round_us + DG_BURST_ROUND_US)
		keep_rest(burst, now_us);
	if (burst->n_spans == 0)
		end_round(burst, now_us);
}

static const struct dg_burst_range *single(const struct dg_burst *burst)
{
	return &burst->work[burst->spans[burst->n_spans - 1].low];
}

/* The single range on top: the next round has it again. False: that has been long enough. */
static bool put_off(struct dg_burst *burst, uint64_t now_us)
{
	struct dg_burst_range range = *single(burst);

	if (range.put_off_us == 0)
		range.put_off_us = now_us;
	if (now_us >= range.put_off_us + DG_BURST_PUT_OFF_US ||
	    now_us >= burst->began_us + DG_BURST_GIVE_UP_US || add_range(burst, &range) < 0)
		return false;
	burst->left_over = true;
	return true;
}

/* The lower half comes first. */
static void halve(struct dg_burst *burst)
{
	struct dg_burst_span *top = &burst->spans[burst->n_spans - 1];
	size_t low = top->low, middle = low + (top->high - low) / 2;

	top->low = middle;
	burst->spans[burst->n_spans++] = (struct dg_burst_span){low, middle};
}

static bool is_single(const struct dg_burst *burst)
{
	const struct dg_burst_span *top = &burst->spans[burst->n_spans - 1];

	return top->high - top->low == 1;
}

void dg_burst_scanned(struct dg_burst *burst, struct dg_holder_list *holders, uint64_t now_us)
{
	burst->asked = false;
	if (burst->phase != DG_BURST_SCANS)
		return;
	burst->counts.n_scans++;
	burst->mapped = holders->n_items > 0;
	if (!burst->mapped && !holders->truncated) {
		leave_range(burst, now_us);
		return;
	}
	if (!is_single(burst)) {
		halve(burst);
		return;
	}
	burst->truncated = holders->truncated;
	dg_holder_list_done(&burst->holders);
	burst->holders = *holders;
	*holders = (struct dg_holder_list){};
	burst->next = 0;
	burst->tries++;
	burst->acted = burst->missed = false;
	burst->phase = DG_BURST_TELLS;
}

void dg_burst_not_scanned(struct dg_burst *burst, int error, uint64_t now_us)
{
	burst->asked = false;
	if (burst->phase != DG_BURST_SCANS)
		return;
	burst->counts.n_scans++;
	if (error == -ENODEV || error == -ENOENT) {
		dg_burst_stop(burst, DG_BURST_GONE);
	} else if (is_single(burst)) {
		if (!put_off(burst, now_us))
			burst->marks |= DG_BURST_UNTOLD;
		leave_range(burst, now_us);
	} else {
		halve(burst);
	}
}

/* The next one who was not told, or false. */
static bool next_deed(struct dg_burst *burst, struct dg_burst_order *ret)
{
	for (; burst->next < burst->holders.n_items; burst->next++) {
		const struct dg_holder *holder = &burst->holders.items[burst->next];
		struct dg_process_facts facts;
		uint64_t addr;

		if (holder->process.pid <= 0 ||
		    !dg_told_misses_holder(burst->told, holder, range_of(burst), &addr))
			continue;
		/* Who cannot be remembered would be told by each scan. */
		if (dg_told_add_holder(burst->told, holder, range_of(burst)) < 0) {
			burst->acted = burst->missed = true;
			continue;
		}
		/* Who has the same memory has been told of it. */
		if (holder->shared_with > 0)
			continue;
		dg_facts_of_holder(holder, &facts);
		*ret = (struct dg_burst_order){
			.kind = DG_BURST_TELL,
			.range = range_of(burst),
			.holder = holder,
			.rule = dg_selection_match(burst->selection, &facts),
			.addr = addr,
			.placed = single(burst)->placed,
			.offset = single(burst)->offset,
		};
		burst->asked = true;
		return true;
	}
	return false;
}

void dg_burst_told(struct dg_burst *burst, enum dg_burst_answer answer)
{
	const struct dg_holder *holder;

	burst->asked = false;
	if (burst->phase != DG_BURST_TELLS)
		return;
	holder = &burst->holders.items[burst->next++];
	burst->acted = true;
	burst->counts.n_told += answer == DG_BURST_DONE;
	if (answer == DG_BURST_FAILED)
		burst->marks |= DG_BURST_UNTOLD;
	if (answer == DG_BURST_SKIPPED)
		burst->marks |= DG_BURST_LEFT;
	if (answer != DG_BURST_MISSED)
		return;
	burst->missed = true;
	dg_told_drop_holder(burst->told, holder, range_of(burst));
}

/* All that were found have been told: does a second look find others? */
static void look_again(struct dg_burst *burst, uint64_t now_us)
{
	if (burst->acted && !burst->missed && burst->tries < DG_BURST_TRIES) {
		burst->phase = DG_BURST_SCANS;
		return;
	}
	/* If the last look found somebody nobody has looked since. */
	if (burst->acted || burst->truncated) {
		if (put_off(burst, now_us)) {
			leave_range(burst, now_us);
			return;
		}
		burst->marks |= DG_BURST_UNTOLD;
	}
	if (burst->unmap && burst->mapped && !single(burst)->widened) {
		burst->phase = DG_BURST_UNMAPS;
		return;
	}
	if (burst->unmap && burst->mapped)
		burst->marks |= DG_BURST_STILL_MAPPED;
	leave_range(burst, now_us);
}

void dg_burst_unmapped(struct dg_burst *burst, int error, bool complete, uint64_t now_us)
{
	burst->asked = false;
	if (burst->phase != DG_BURST_UNMAPS)
		return;
	if (error >= 0 && complete)
		burst->marks |= DG_BURST_UNMAPPED;
	else if (!put_off(burst, now_us))
		burst->marks |= DG_BURST_STILL_MAPPED;
	leave_range(burst, now_us);
}

void dg_burst_stop(struct dg_burst *burst, uint32_t marks)
{
	if (burst->phase == DG_BURST_OVER)
		return;
	burst->marks |= marks;
	dg_holder_list_done(&burst->holders);
	burst->n_spans = burst->n_fresh = 0;
	burst->asked = false;
	burst->phase = DG_BURST_OVER;
	burst->finished = true;
}

static struct dg_burst_order ask(struct dg_burst *burst, enum dg_burst_order_kind kind)
{
	burst->asked = true;
	return (struct dg_burst_order){.kind = kind, .range = range_of(burst)};
}

static struct dg_burst_order rest(struct dg_burst *burst, uint64_t now_us)
{
	uint64_t end_us = burst->last_us + DG_BURST_LINGER_US;

	if (now_us < end_us)
		return (struct dg_burst_order){.kind = DG_BURST_WAIT, .wake_us = end_us};
	burst->phase = DG_BURST_OVER;
	return (struct dg_burst_order){.kind = DG_BURST_END};
}

void dg_burst_next(struct dg_burst *burst, uint64_t now_us, struct dg_burst_order *ret)
{
	*ret = (struct dg_burst_order){.kind = DG_BURST_WAIT, .wake_us = UINT64_MAX};
	if (burst->asked)
		return;
	if (burst->finished) {
		burst->finished = false;
		ret->kind = DG_BURST_ROUND;
		return;
	}
	if (burst->phase == DG_BURST_TELLS) {
		if (next_deed(burst, ret))
			return;
		look_again(burst, now_us);
		dg_burst_next(burst, now_us, ret);
		return;
	}
	if (burst->phase == DG_BURST_RESTS && burst->n_fresh > 0 && now_us >= burst->wake_us)
		begin_round(burst, now_us);
	if (burst->phase == DG_BURST_OVER)
		ret->kind = DG_BURST_END;
	else if (burst->phase == DG_BURST_RESTS && burst->n_fresh > 0)
		ret->wake_us = burst->wake_us;
	else if (burst->phase == DG_BURST_RESTS)
		*ret = rest(burst, now_us);
	else
		*ret = ask(burst, burst->phase == DG_BURST_UNMAPS ? DG_BURST_UNMAP : DG_BURST_SCAN);
}

const char *dg_burst_outcome(const struct dg_burst *burst)
{
	if (burst->marks & DG_BURST_REMOVED)
		return "removal";
	if (burst->marks & DG_BURST_GONE)
		return "gone";
	if (burst->marks & DG_BURST_NO_LIST)
		return "protected-unknown";
	if (burst->marks & (DG_BURST_UNTOLD | DG_BURST_STILL_MAPPED))
		return "untold";
	if (burst->marks & DG_BURST_LEFT)
		return "left";
	return burst->counts.n_told > 0 ? "told" : "nobody";
}
