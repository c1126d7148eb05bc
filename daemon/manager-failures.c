/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Memory failures: which of them the kernel keeps, which are worked on here, and
 * what it may forget. The dump is the truth; a record is forgotten only after a
 * dump has shown all those before it, each of them has been dealt with, and
 * each is in the ledger, on the medium.
 */
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>

#include "core/grow.h"
#include "core/seen.h"
#include "manager-failure.h"
#include "names.h"

#define DUMP_AGAIN_US 200000ULL     /* at the earliest after the last one */
#define TAKEN_MAX 1024U             /* of one dump: a turn of the loop is not to take long */
#define LEDGER_AGAIN_US 10000000ULL /* for what is not written as yet */

/* What an earlier daemon did not finish. */
struct unfinished {
	uint64_t id;
	char device[DG_NAME_MAX];
};

struct failures {
	struct manager *m;
	struct dg_told_list told;
	struct failure *open; /* by ascending id */
	struct dg_seen_list seen;
	uint64_t forgotten; /* up to this one the kernel was told */
	uint64_t shown;     /* the highest of the dump that is being read */
	uint64_t refused;   /* the lowest of it that was not taken; UINT64_MAX: none */
	unsigned n_taken;   /* since the last dump began */
	bool unwritten;     /* the ledger could not be written, since the last one */
	sd_event_source *dump_timer;
	uint64_t dumped_us;
	bool recalled;
	struct unfinished *unfinished;
	size_t n_unfinished;
	struct failure_log *log;
};

static void recall_one(void *userdata, const struct dg_story *story)
{
	struct failures *f = userdata;
	struct unfinished *last;

	limit_recall(f->m, story);
	if (dg_state_is_final(story->state) || DG_GROW(f->unfinished, f->n_unfinished) < 0)
		return;
	last = &f->unfinished[f->n_unfinished++];
	last->id = story->id;
	memcpy(last->device, story->device, sizeof(last->device));
}

/* It was written off since, as nobody went on with it. */
static bool is_over(struct failures *f, uint64_t id)
{
	const struct dg_story *story = manager_incident_find(f->m, id);

	return story && dg_state_is_final(story->state);
}

/* The number of what an earlier daemon began for this device, the last of it, or a new one. */
static uint64_t number_for(struct failures *f, const struct dg_failure_record *record)
{
	for (size_t i = f->n_unfinished; i-- > 0;) {
		uint64_t id = f->unfinished[i].id;

		if (strcmp(f->unfinished[i].device, record->name) != 0 || is_over(f, id))
			continue;
		memmove(&f->unfinished[i], &f->unfinished[i + 1],
			(--f->n_unfinished - i) * sizeof(*f->unfinished));
		return id;
	}
	return DG_FAILURE_ID + record->serial;
}

/* That takes more ranges. */
static struct failure *find(struct failures *f, dg_dev_t dev)
{
	struct failure *failure = f->open;

	while (failure && (failure->dev != dev || failure->settled))
		failure = failure->next;
	return failure;
}

static int open_one(struct failures *f, const struct dg_failure_record *record,
		    struct failure **ret)
{
	struct failure **at = &f->open;
	uint64_t id;
	int r;

	if (failures_open(f->m) >= DG_INCIDENTS_OPEN_MAX)
		return -ENOSPC;
	id = number_for(f, record);
	r = failure_open(f->m, record, id, &f->told, ret);
	if (r < 0)
		return r;
	while (*at && (*at)->id < id)
		at = &(*at)->next;
	(*ret)->next = *at;
	*at = *ret;
	f->m->n_total++;
	OBSERVE(f->m, incident_began, (*ret)->story);
	return 0;
}

/* The dump after it says that it may be forgotten, and what was seen. */
static void on_written(void *userdata, int error)
{
	struct manager *m = userdata;

	if (error < 0 && m->failures)
		m->failures->unwritten = true;
	failures_look(m);
}

static void report(struct failures *f, const struct dg_failure_record *record, struct dg_seen *seen,
		   bool recorded)
{
	int r = ledger_report(f->m, record, on_written, &seen->seq);

	if (r >= 0)
		seen->kept = DG_SEEN_LEDGER;
	else if (r == -EINVAL && recorded)
		seen->kept = DG_SEEN_RECORD;
}

/* 0: it is worked on. Otherwise it is one of a later dump. */
static int take(struct failures *f, const struct dg_failure_record *record)
{
	struct failure *failure = find(f, record->dev);
	struct dg_seen *seen;
	int r = f->n_taken < TAKEN_MAX ? dg_seen_reserve(&f->seen) : -EAGAIN;

	if (r >= 0 && !failure)
		r = open_one(f, record, &failure);
	if (r >= 0)
		r = dg_burst_add(&failure->core, record, manager_now(f->m));
	if (r < 0)
		return r;
	f->n_taken++;
	seen = dg_seen_insert(&f->seen, record->serial);
	seen->failure = failure->id;
	seen->round = failure->core.counts.n_rounds + 1;
	report(f, record, seen, failure_keep(failure, record) >= 0);
	places_add(failure, record);
	failure_go_on(failure);
	return 0;
}

static void recall(struct failures *f)
{
	if (f->recalled)
		return;
	f->recalled = true;
	if (f->m->store && history_recall(f->m, &f->told, ledger_counted(f->m), recall_one, f) < 0)
		log_message(f->m, LOG_WARNING, NULL,
			    "Who has been told of failed memory is not known: some may be told "
			    "again");
}

void failures_seen(struct manager *m, const struct dg_failure_record *record)
{
	struct failures *f = m->failures;
	struct dg_seen *seen;

	if (!f || !m->registered || record->serial <= f->forgotten)
		return;
	recall(f);
	seen = dg_seen_find(&f->seen, record->serial);
	if (seen) {
		if (seen->kept == DG_SEEN_NOWHERE)
			report(f, record, seen, false);
	} else if (take(f, record) < 0) {
		if (record->serial < f->refused)
			f->refused = record->serial;
		failures_look(m);
	}
	if (record->flags & DG_FAIL_MORE)
		failures_look(m);
}

static void on_record(void *userdata, const struct dg_failure_record *record)
{
	struct manager *m = userdata;

	if (record->serial > m->failures->shown)
		m->failures->shown = record->serial;
	failures_seen(m, record);
}

static bool is_kept(struct failures *f, struct dg_seen *seen)
{
	if (seen->kept == DG_SEEN_LEDGER)
		return ledger_has(f->m, &seen->seq);
	return seen->kept == DG_SEEN_RECORD;
}

/* What nobody needs to hear of again. */
static uint64_t done_up_to(struct failures *f)
{
	uint64_t serial = f->shown;

	if (f->refused <= serial)
		serial = f->refused - 1;
	for (size_t i = 0; i < f->seen.n_items; i++) {
		struct dg_seen *seen = &f->seen.items[i];

		if (seen->serial <= serial && (!seen->over || !is_kept(f, seen)))
			return seen->serial - 1;
	}
	return serial;
}

/* All of it that has been dealt with is in the ledger, or is nothing for it. */
static bool is_written(struct failures *f, const struct failure *failure)
{
	for (size_t i = 0; i < f->seen.n_items; i++) {
		struct dg_seen *seen = &f->seen.items[i];

		if (seen->failure == failure->id && seen->over && !is_kept(f, seen))
			return false;
	}
	return true;
}

static void say_seen(struct failure *failure)
{
	failure->unsaid = false;
	OBSERVE(failure->m, failure_seen, failure->story);
}

/* What is written, and what could not be. */
static void say_all_seen(struct failures *f)
{
	for (struct failure *failure = f->open; failure; failure = failure->next)
		if (failure->unsaid && (f->unwritten || is_written(f, failure)))
			say_seen(failure);
	f->unwritten = false;
}

/* True: some were. */
static bool forget(struct failures *f)
{
	uint64_t serial = done_up_to(f);

	if (serial <= f->forgotten || klink_forget(f->m->link, serial) < 0)
		return false;
	f->forgotten = serial;
	dg_seen_drop_up_to(&f->seen, serial);
	return true;
}

/* There is a look to come, by then. */
static bool is_due_by(const struct failures *f, uint64_t at_us)
{
	uint64_t due_us;

	return sd_event_source_get_enabled(f->dump_timer, NULL) > 0 &&
	       sd_event_source_get_time(f->dump_timer, &due_us) >= 0 && due_us <= at_us;
}

/* Unless it does before that. */
static void look_within(struct failures *f, uint64_t time_us)
{
	uint64_t at_us = f->dumped_us + time_us;

	if (is_due_by(f, at_us))
		return;
	if (sd_event_source_set_time(f->dump_timer, at_us) >= 0)
		sd_event_source_set_enabled(f->dump_timer, SD_EVENT_ONESHOT);
}

/* However long it took: others have their turns before the next one. */
static void rest(struct failures *f)
{
	uint64_t at_us;

	f->dumped_us = manager_now(f->m);
	at_us = f->dumped_us + DUMP_AGAIN_US;
	if (is_due_by(f, at_us))
		sd_event_source_set_time(f->dump_timer, at_us);
}

static void dump(struct failures *f)
{
	struct manager *m = f->m;
	int r;

	if (!m->registered)
		return;
	f->seen.dump++;
	f->shown = 0;
	f->refused = UINT64_MAX;
	f->n_taken = 0;
	f->dumped_us = manager_now(m);
	r = klink_get_failures(m->link, on_record, m);
	/* Of half a dump it is not known what was left out. */
	if (r >= 0) {
		dg_seen_drop_gone(&f->seen);
		if (forget(f)) {
			/* One that had grown before that has all its events still. */
			f->refused = UINT64_MAX;
			if (klink_get_failures(m->link, on_record, m) >= 0 &&
			    f->refused == UINT64_MAX)
				ledger_forgotten(m, f->forgotten);
		}
		if (f->seen.n_items > 0 && f->seen.items[0].over)
			look_within(f, LEDGER_AGAIN_US);
	} else if (r != -EOPNOTSUPP && r != -ENOENT) {
		failures_look(m);
	}
	say_all_seen(f);
	rest(f);
}

static int on_dump(sd_event_source *source, uint64_t usec, void *userdata)
{
	dump(userdata);
	return 0;
}

void failures_look(struct manager *m)
{
	if (m->failures)
		look_within(m->failures, DUMP_AGAIN_US);
}

void failures_registered(struct manager *m)
{
	if (m->failures)
		dump(m->failures);
}

static void mark_over(struct failure *failure, unsigned round)
{
	dg_seen_mark_over(&failure->m->failures->seen, failure->id, round);
}

void failures_round(struct failure *failure)
{
	mark_over(failure, failure->core.counts.n_rounds);
	failure->unsaid = true;
	failures_look(failure->m);
}

void failures_settled(struct failure *failure)
{
	if (failure->settled)
		return;
	failure->settled = true;
	failure->settled_us = manager_now(failure->m);
	mark_over(failure, UINT_MAX);
	/* There may be some that it did not take any more. */
	failures_look(failure->m);
}

/* As incident_over(). */
void failures_over(struct failure *failure)
{
	struct manager *m = failure->m;
	struct failure **at = &m->failures->open;
	struct dg_story *story = failure->story;
	bool written;
	int r;

	written = is_written(m->failures, failure);
	if (failure->unsaid)
		say_seen(failure);
	while (*at != failure)
		at = &(*at)->next;
	*at = failure->next;
	failure->story = NULL;
	failure_free(failure);
	failure_log_tell(m->failures->log, story, written);
	r = history_keep(m, story);
	OBSERVE(m, incident_ended, story);
	if (r >= 0) {
		history_trim(m);
	} else {
		OBSERVE(m, incident_forgotten, story->id);
		story_free(story);
	}
}

struct failure *failures_first(const struct manager *m)
{
	return m->failures ? m->failures->open : NULL;
}

void failures_removal(struct manager *m, const struct dg_request *request)
{
	struct failure *failure = m->failures ? m->failures->open : NULL;

	for (; failure; failure = failure->next)
		for (size_t i = 0; i < request->n_targets; i++)
			if (failure->dev == request->targets[i].dev)
				failure_go_on(failure);
}

void failures_hold(struct manager *m, bool holding)
{
	struct failure *failure = m->failures ? m->failures->open : NULL;

	for (; failure; failure = failure->next)
		if (holding)
			places_hold(failure);
		else
			places_ask(failure);
}

size_t failures_open(const struct manager *m)
{
	size_t n = 0;

	while (failures_story(m, n))
		n++;
	return n;
}

const struct dg_story *failures_story(const struct manager *m, size_t n)
{
	const struct failure *failure = m->failures ? m->failures->open : NULL;

	while (failure && n-- > 0)
		failure = failure->next;
	return failure ? failure->story : NULL;
}

int failures_new(struct manager *m)
{
	struct failures *f = calloc(1, sizeof(*f));
	int r;

	if (!f)
		return -ENOMEM;
	f->m = m;
	f->refused = UINT64_MAX;
	dg_told_init(&f->told, 0);
	r = sd_event_add_time(m->event, &f->dump_timer, CLOCK_MONOTONIC, 0, 1, on_dump, f);
	if (r >= 0)
		r = sd_event_source_set_enabled(f->dump_timer, SD_EVENT_OFF);
	if (r >= 0)
		r = failure_log_new(m, &f->log);
	m->failures = f;
	if (r < 0)
		failures_free(m);
	return r;
}

void failures_free(struct manager *m)
{
	struct failures *f = m->failures;

	if (!f)
		return;
	while (f->open) {
		struct failure *failure = f->open;

		f->open = failure->next;
		failure_free(failure);
	}
	sd_event_source_disable_unref(f->dump_timer);
	failure_log_free(f->log);
	dg_told_done(&f->told);
	dg_seen_done(&f->seen);
	free(f->unfinished);
	free(f);
	m->failures = NULL;
}
