/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "core/ledger-private.h"

/* The least of which it is known whether it is good again, also where pages are larger. */
#define PAGE 4096ULL

/* range, which is not in new as a whole, goes on beside it. */
static void make_way(struct dg_ledger *ledger, struct ledger_range *range,
		     const struct ledger_range *new)
{
	if (range->f.offset < new->f.offset)
		ledger_resize(ledger, range, new->f.offset);
	else
		ledger_begin_at(ledger, range, ledger_end(new));
}

/* offset is in it, and not its begin: there another begins. */
static int cut(struct dg_ledger *ledger, struct ledger_range *range, uint64_t offset)
{
	struct ledger_range *rest =
		ledger_range_new(ledger, &range->f, offset, ledger_end(range) - offset);

	if (!rest)
		return -ENOMEM;
	ledger_resize(ledger, range, offset);
	ledger_insert(ledger, rest);
	return 0;
}

/* One that contains all of f, and more on both sides, becomes two. */
static int split_around(struct dg_ledger *ledger, const struct dg_failure *f)
{
	struct ledger_range *range = ledger_tree_floor(&ledger->bad, f->ns, f->offset);
	uint64_t end = f->offset + f->length;

	if (!range || range->f.offset == f->offset || ledger_end(range) <= end ||
	    ledger_is_same(&range->f, f))
		return 0;
	return cut(ledger, range, end);
}

/*
 * What is listed is good again when it is so no more, page by page; what is not is another
 * range.
 */
static int cut_unlisted(struct dg_ledger *ledger, const struct dg_failure *report, uint64_t offset)
{
	struct ledger_range *range = ledger_tree_floor(&ledger->bad, report->ns, offset);

	if (!range || range->f.offset == offset || ledger_end(range) <= offset ||
	    dg_failure_is_listed(&range->f))
		return 0;
	return cut(ledger, range, offset);
}

/* The first that ends at offset, or after it. */
static struct ledger_range *touching(const struct dg_ledger *ledger, const char *ns,
				     uint64_t offset)
{
	struct ledger_range *range =
		offset > 0 ? ledger_tree_floor(&ledger->bad, ns, offset - 1) : NULL;

	if (range && ledger_end(range) >= offset)
		return range;
	range = ledger_tree_floor(&ledger->bad, ns, offset);
	if (range && range->f.offset == offset)
		return range;
	range = ledger_tree_above(&ledger->bad, ns, offset);
	return ledger_is_of(range, ns) ? range : NULL;
}

/* A list is read again and again, and says each time what it has. */
static bool is_list(const struct dg_failure *report)
{
	return report->sources == DG_SOURCE_BADBLOCKS;
}

/* All of it is bad by now. */
static bool is_known(const struct dg_ledger *ledger, const struct dg_failure *report)
{
	uint64_t at = report->offset, end = report->offset + report->length;

	while (at < end) {
		const struct ledger_range *range = ledger_tree_floor(&ledger->bad, report->ns, at);

		if (!range || ledger_end(range) <= at)
			return false;
		at = ledger_end(range);
	}
	return true;
}

/* Of what is known already there is no news but that it was seen again. */
static void see_again(struct ledger_range *range, const struct dg_failure *report)
{
	struct dg_failure f = *report;

	if (is_list(report))
		f.times = 0;
	if (report->offset > range->f.offset || report->offset + report->length < ledger_end(range))
		f.type[0] = f.result[0] = '\0';
	ledger_absorb(&range->f, &f);
}

/*
 * A report of unknown content meets what is known: that stays, and *new goes on behind
 * it. 1: there is nothing behind it.
 */
static int pass(struct dg_ledger *ledger, struct ledger_range *range,
		const struct dg_failure *report, struct ledger_range **new)
{
	struct ledger_range *before = *new, *rest = NULL;
	uint64_t end = ledger_end(before), from = ledger_end(range);

	see_again(range, report);
	if (from < end)
		rest = ledger_range_new(ledger, report, from, end - from);
	*new = rest;
	if (range->f.offset > before->f.offset) {
		before->f.length = range->f.offset - before->f.offset;
		ledger_insert(ledger, before);
	} else {
		ledger_range_free(ledger, before);
	}
	if (from >= end)
		return 1;
	return rest ? 0 : -ENOMEM;
}

/* It meets another one. As pass(). */
static int meet(struct dg_ledger *ledger, struct ledger_range *range,
		const struct dg_failure *report, struct ledger_range **new)
{
	if (ledger_is_same(&range->f, &(*new)->f)) {
		ledger_unite(&(*new)->f, &range->f);
	} else if (ledger_end(range) <= (*new)->f.offset || range->f.offset >= ledger_end(*new)) {
		return 0; /* neighbours */
	} else if (report->content == DG_CONTENT_UNKNOWN) {
		return pass(ledger, range, report, new);
	} else {
		ledger_absorb(&(*new)->f, &range->f);
		if (range->f.offset < (*new)->f.offset || ledger_end(range) > ledger_end(*new)) {
			make_way(ledger, range, *new);
			return 0;
		}
	}
	ledger_take_out(ledger, range);
	ledger_range_free(ledger, range);
	return 0;
}

static int add_part(struct dg_ledger *ledger, const struct dg_failure *report)
{
	struct ledger_range *new, *range, *next;
	int r = 0;

	/* The one allocation that there must be before anything is changed. */
	if (report->content != DG_CONTENT_UNKNOWN)
		r = split_around(ledger, report);
	if (r < 0)
		return r;
	new = ledger_range_new(ledger, report, report->offset, report->length);
	if (!new)
		return -ENOMEM;
	range = touching(ledger, report->ns, report->offset);
	for (; r == 0 && ledger_is_of(range, report->ns) && range->f.offset <= ledger_end(new);
	     range = next) {
		next = ledger_following(ledger, range);
		r = meet(ledger, range, report, &new);
	}
	/* Otherwise there is nothing left of it to be inserted. */
	if (r == 0)
		return ledger_insert_new(ledger, new);
	(void)!ledger_trim(ledger);
	return r < 0 ? r : 0;
}

/* How far, from at on, there are pages of which a list has something; or of which none has. */
static uint64_t part_end(const struct dg_ledger *ledger, const struct dg_failure *report,
			 uint64_t at, bool *ret_listed)
{
	uint64_t end = report->offset + report->length;
	struct ledger_range *range = touching(ledger, report->ns, at);

	for (; ledger_is_of(range, report->ns) && range->f.offset < end;
	     range = ledger_following(ledger, range)) {
		uint64_t from = range->f.offset & ~(PAGE - 1);
		uint64_t to = (ledger_end(range) + PAGE - 1) & ~(PAGE - 1);

		if (!dg_failure_is_listed(&range->f) || to <= at)
			continue;
		*ret_listed = from <= at;
		if (from > at)
			return from < end ? from : end;
		return to < end ? to : end;
	}
	*ret_listed = false;
	return end;
}

static int add_list(struct dg_ledger *ledger, const struct dg_failure *report)
{
	uint64_t end = (report->offset + report->length + PAGE - 1) & ~(PAGE - 1);
	struct dg_failure f = *report;
	int r;

	if (is_list(report) && is_known(ledger, report))
		f.times = 0;
	r = cut_unlisted(ledger, report, report->offset & ~(PAGE - 1));
	if (r >= 0)
		r = cut_unlisted(ledger, report, end);
	return r < 0 ? r : add_part(ledger, &f);
}

int dg_ledger_add(struct dg_ledger *ledger, const struct dg_failure *report)
{
	uint64_t at = report->offset, end = at + report->length;
	bool listed;
	int r = 0;

	if (!ledger_is_valid(report))
		return -EINVAL;
	if (dg_failure_is_listed(report))
		return add_list(ledger, report);
	while (r >= 0 && at < end) {
		struct dg_failure part = *report;

		part.offset = at;
		part.file_offset += at - report->offset;
		at = part_end(ledger, report, at, &listed);
		part.length = at - part.offset;
		if (listed)
			part.sources |= DG_SOURCE_BADBLOCKS;
		r = add_part(ledger, &part);
	}
	return r;
}
