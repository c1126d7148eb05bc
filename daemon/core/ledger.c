/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "core/ledger.h"

#include <errno.h>
#include <stdlib.h>

#include "core/ledger-private.h"

const char *dg_source_name(uint32_t source)
{
	if (source == DG_SOURCE_MEMORY_FAILURE)
		return "memory-failure";
	return source == DG_SOURCE_BADBLOCKS ? "badblocks" : "unknown";
}

const char *dg_content_name(enum dg_content content)
{
	static const char *const names[_DG_CONTENT_MAX] = {
		[DG_CONTENT_UNKNOWN] = "unknown",   [DG_CONTENT_FILE] = "file",
		[DG_CONTENT_METADATA] = "metadata", [DG_CONTENT_FREE] = "free",
		[DG_CONTENT_OUTSIDE] = "outside",
	};

	return content < _DG_CONTENT_MAX ? names[content] : "unknown";
}

struct dg_ledger *dg_ledger_new(size_t ranges_max, size_t paths_max)
{
	struct dg_ledger *ledger = calloc(1, sizeof(*ledger));

	if (!ledger)
		return NULL;
	ledger->bad.chance = 1;
	ledger->ranges_max = ranges_max > 0 ? ranges_max : DG_LEDGER_RANGES_MAX;
	ledger->paths_max = paths_max > 0 ? paths_max : DG_LEDGER_PATHS_MAX;
	return ledger;
}

struct dg_ledger *dg_ledger_free(struct dg_ledger *ledger)
{
	if (!ledger)
		return NULL;
	for (struct ledger_range *range; (range = ledger->bad.root);) {
		ledger_tree_remove(&ledger->bad, range);
		ledger_range_free(ledger, range);
	}
	for (struct ledger_range *range; (range = ledger->oldest);) {
		ledger->oldest = range->newer;
		ledger_range_free(ledger, range);
	}
	free(ledger);
	return NULL;
}

static void append(struct dg_ledger *ledger, struct ledger_range *range)
{
	range->older = ledger->newest;
	range->newer = NULL;
	if (ledger->newest)
		ledger->newest->newer = range;
	else
		ledger->oldest = range;
	ledger->newest = range;
	ledger->counts.n_repaired++;
}

static void remember(struct dg_ledger *ledger, struct ledger_range *range)
{
	struct ledger_range *newest = ledger->newest;

	/* What is repaired page by page is one range again. */
	if (!ledger_is_of(newest, range->f.ns) || !ledger_is_same(&newest->f, &range->f) ||
	    (ledger_end(newest) != range->f.offset && ledger_end(range) != newest->f.offset)) {
		append(ledger, range);
		return;
	}
	ledger_unite(&newest->f, &range->f);
	if (range->f.repaired_ns > newest->f.repaired_ns)
		newest->f.repaired_ns = range->f.repaired_ns;
	ledger_range_free(ledger, range);
}

/* What of it lies in the report becomes history; the rest goes on. */
static int repair(struct dg_ledger *ledger, struct ledger_range *range,
		  const struct dg_failure *report)
{
	uint64_t from = report->offset, to = from + report->length;
	uint64_t start = range->f.offset, end = ledger_end(range);
	struct ledger_range *was = range, *rest = NULL;

	from = from > start ? from : start;
	to = to < end ? to : end;
	if (from > start || to < end)
		was = ledger_range_new(ledger, &range->f, from, to - from);
	if (was && from > start && to < end)
		rest = ledger_range_new(ledger, &range->f, to, end - to);
	if (!was || (from > start && to < end && !rest)) {
		ledger_range_free(ledger, was);
		return -ENOMEM;
	}
	if (from > start)
		ledger_resize(ledger, range, from);
	else if (to < end)
		ledger_begin_at(ledger, range, to);
	else
		ledger_take_out(ledger, range);
	if (rest)
		ledger_insert(ledger, rest);
	was->f.repaired = true;
	was->f.repaired_ns = report->repaired_ns;
	if (report->seq > was->f.seq)
		was->f.seq = report->seq;
	remember(ledger, was);
	return 0;
}

static struct ledger_range *first_in(const struct dg_ledger *ledger, const char *ns,
				     uint64_t offset)
{
	struct ledger_range *range = ledger_tree_floor(&ledger->bad, ns, offset);

	if (range && ledger_end(range) > offset)
		return range;
	range = ledger_tree_above(&ledger->bad, ns, offset);
	return ledger_is_of(range, ns) ? range : NULL;
}

int dg_ledger_repair(struct dg_ledger *ledger, const struct dg_failure *report)
{
	struct ledger_range *range, *next;
	int r = ledger_has_place(report) ? 0 : -EINVAL;

	range = r < 0 ? NULL : first_in(ledger, report->ns, report->offset);
	for (; r >= 0 && ledger_is_of(range, report->ns) &&
	       range->f.offset < report->offset + report->length;
	     range = next) {
		next = ledger_following(ledger, range);
		r = repair(ledger, range, report);
	}
	/* Of a pair there is one: what was cut in two. */
	(void)!ledger_trim(ledger);
	return r;
}

int dg_ledger_tell(struct dg_ledger *ledger, const struct dg_failure *report)
{
	struct ledger_range *range;

	if (!ledger_has_place(report))
		return -EINVAL;
	range = first_in(ledger, report->ns, report->offset);
	for (; ledger_is_of(range, report->ns) && range->f.offset < report->offset + report->length;
	     range = ledger_following(ledger, range)) {
		range->f.told = ledger_sum(range->f.told, report->told);
		if (report->seq > range->f.seq)
			range->f.seq = report->seq;
	}
	return 0;
}

int dg_ledger_restore(struct dg_ledger *ledger, const struct dg_failure *f)
{
	struct ledger_range *range;

	if (!ledger_is_valid(f))
		return -EINVAL;
	range = first_in(ledger, f->ns, f->offset);
	if (!f->repaired && range && range->f.offset < f->offset + f->length)
		return dg_ledger_add(ledger, f);
	range = ledger_range_new(ledger, f, f->offset, f->length);
	if (!range)
		return -ENOMEM;
	if (!f->repaired)
		return ledger_insert_new(ledger, range);
	append(ledger, range);
	(void)!ledger_trim(ledger);
	return 0;
}

const struct dg_failure *dg_ledger_next(const struct dg_ledger *ledger,
					const struct dg_failure *after)
{
	const struct ledger_range *range = ledger_tree_above(&ledger->bad, after ? after->ns : NULL,
							     after ? after->offset : 0);

	return range ? &range->f : NULL;
}

const struct dg_failure *dg_ledger_find(const struct dg_ledger *ledger, const char *ns,
					uint64_t offset)
{
	const struct ledger_range *range = first_in(ledger, ns, offset);

	return range ? &range->f : NULL;
}

const struct dg_failure *dg_ledger_next_repaired(const struct dg_ledger *ledger,
						 const struct dg_failure *after)
{
	const struct ledger_range *range =
		after ? ((const struct ledger_range *)after)->newer : ledger->oldest;

	return range ? &range->f : NULL;
}

struct dg_ledger_counts dg_ledger_counts(const struct dg_ledger *ledger)
{
	return ledger->counts;
}
