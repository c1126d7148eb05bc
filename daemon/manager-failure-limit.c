/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * FailureLimit=: how many pages of a namespace are bad is what the ledger says; which
 * of them are new is what it says more than before. What has been counted outlives the
 * daemon in the records.
 */
#include <stdio.h>
#include <unistd.h>

#include "manager-failure.h"

static uint64_t page_size(void)
{
	return (uint64_t)sysconf(_SC_PAGESIZE);
}

static struct dg_tally *tally_of(struct manager *m, const struct dg_story *story)
{
	return dg_tally_get(&m->tallies, dg_story_namespace(story) ?: story->device);
}

void limits_past(void *userdata, const struct dg_ledger *past)
{
	struct manager *m = userdata;

	for (struct dg_tally *tally = m->tallies; tally; tally = tally->next) {
		if (tally->counted)
			continue;
		tally->bad = dg_tally_count(past, tally->ns, page_size());
		tally->counted = true;
	}
}

void limit_recall(struct manager *m, const struct dg_story *story)
{
	struct dg_tally *tally = story->limit.known ? tally_of(m, story) : NULL;

	if (!tally)
		return;
	(void)!dg_tally_add(tally, story->limit.new, story->limit.at_us);
	tally->reached = story->limit.reached;
}

static void write_limit(struct failure *failure, const struct dg_tally *tally, uint64_t new,
			uint64_t count)
{
	const struct dg_story_limit *last = &failure->story->limit;
	const struct dg_limit *limit = &failure->rule->limit;
	struct entry entry;

	if (last->known && last->bad == tally->bad && last->reached == tally->reached)
		return;
	entry_begin(&entry, "limit");
	entry_number(&entry, "bad", tally->bad);
	entry_number(&entry, "new", last->new + new);
	entry_number(&entry, "count", count);
	entry_number(&entry, "pages", limit->pages);
	entry_number(&entry, "within_us", limit->within_us);
	entry_number(&entry, "reached", tally->reached);
	failure_write(failure, &entry);
}

static bool judge(struct failure *failure, struct dg_tally *tally, uint64_t bad)
{
	uint64_t before = tally->bad, count;
	bool reached;

	reached =
		dg_tally_judge(tally, &failure->rule->limit, bad, manager_now(failure->m), &count);
	write_limit(failure, tally, bad > before ? bad - before : 0, count);
	return reached;
}

/* What was repaired since the last one is not bad any more. */
void limit_begin(struct failure *failure)
{
	const struct dg_story_limit *before = &failure->story->limit;
	const struct dg_ledger *ledger = keeper_ledger(failure->m->keeper);
	struct dg_tally *tally;

	if (failure->rule->limit.pages == 0)
		return;
	/* There must be one when the ledger has been read, see limits_past(). */
	tally = tally_of(failure->m, failure->story);
	if (!tally || (!before->known && !ledger))
		return;
	/* An earlier one that was not judged as yet counts what is new since then. */
	for (const struct failure *f = failures_first(failure->m); f; f = f->next)
		if (!before->known && tally->counted && f->dev == failure->dev && !f->judged)
			return;
	/* The ledger has by now what the daemon that died has not counted. */
	tally->bad = before->known ? before->bad : dg_tally_count(ledger, tally->ns, page_size());
	tally->counted = true;
	(void)judge(failure, tally, tally->bad);
}

bool limit_is_reached(struct failure *failure)
{
	const struct dg_ledger *ledger = keeper_ledger(failure->m->keeper);
	struct dg_tally *tally;

	if (failure->rule->limit.pages == 0 || !ledger)
		return false;
	tally = tally_of(failure->m, failure->story);
	return tally && judge(failure, tally, dg_tally_count(ledger, tally->ns, page_size()));
}

void limit_give_up(struct failure *failure)
{
	struct entry entry;

	if (!limit_is_unknown(failure))
		return;
	entry_begin(&entry, "note");
	entry_text(&entry, "text",
		   "the ledger was not read in time: nobody knows whether the limit "
		   "of the device's rule is reached");
	failure_write(failure, &entry);
}

bool limit_is_unknown(const struct failure *failure)
{
	return failure->rule->limit.pages > 0 && !keeper_ledger(failure->m->keeper);
}
