/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "keeper.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "keeper-internal.h"
#include "names.h"

int text_add(struct text *text, const char *bytes, size_t n)
{
	size_t size = text->size > 0 ? text->size : 4096;
	char *grown;

	while (size - text->n < n)
		size *= 2;
	if (size > text->size) {
		grown = realloc(text->data, size);
		if (!grown)
			return -ENOMEM;
		text->data = grown;
		text->size = size;
	}
	memcpy(text->data + text->n, bytes, n);
	text->n += n;
	return 0;
}

void text_done(struct text *text)
{
	free(text->data);
	*text = (struct text){};
}

/* To be written. What cannot be kept for that is in the ledger, and so in the next file. */
static void keep(struct keeper *keeper, enum dg_ledger_kind kind, const struct dg_failure *f)
{
	struct dg_ledger_record record = {.kind = kind, .failure = *f};
	int n, r = 0;

	n = dg_ledger_record_format(&record, keeper->line, sizeof(keeper->line));
	if (n < 0 || keeper->pending.n + (size_t)n > DG_LEDGER_UNWRITTEN_MAX)
		r = -ENOBUFS;
	else
		r = text_add(&keeper->pending, keeper->line, (size_t)n);
	if (r < 0) {
		text_done(&keeper->pending);
		keeper->job_pending = 0;
		keeper->rewrite_seq = keeper->seq;
	}
}

/* What has no number as yet gets one when the past is known. */
static int add_one(struct keeper *keeper, const struct dg_failure *report)
{
	struct dg_failure f = *report;
	int r;

	f.seq = keeper->loaded ? keeper->seq + 1 : 0;
	f.repaired = false;
	f.repaired_ns = 0;
	r = dg_ledger_add(keeper->ledger, &f);
	if (r < 0 || !keeper->loaded)
		return r;
	keeper->seq++;
	keep(keeper, DG_LEDGER_BAD, &f);
	return 0;
}

static struct keeper_batch *new_batch(struct keeper *keeper, keeper_func func, void *userdata)
{
	struct keeper_batch *batch = calloc(1, sizeof(*batch));

	if (batch)
		*batch =
			(struct keeper_batch){.keeper = keeper, .func = func, .userdata = userdata};
	return batch;
}

/* It waits for all that was said up to now. */
static void enqueue(struct keeper_batch *batch)
{
	struct keeper *keeper = batch->keeper;

	batch->seq = keeper->loaded ? keeper->seq : UINT64_MAX;
	batch->previous = keeper->last;
	if (keeper->last)
		keeper->last->next = batch;
	else
		keeper->first = batch;
	keeper->last = batch;
	keeper_kick_soon(keeper);
}

int keeper_add(struct keeper *keeper, const struct dg_failure *reports, size_t n, keeper_func func,
	       void *userdata, struct keeper_batch **ret)
{
	struct keeper_batch *batch = new_batch(keeper, func, userdata);
	size_t n_taken = 0;

	if (!batch)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		int r = add_one(keeper, &reports[i]);

		n_taken += r >= 0;
		if (r < 0 && batch->error == 0)
			batch->error = r;
	}
	if (n_taken == 0) {
		int r = batch->error < 0 ? batch->error : -EINVAL;

		free(batch);
		return r;
	}
	enqueue(batch);
	*ret = batch;
	return 0;
}

int keeper_wait(struct keeper *keeper, keeper_func func, void *userdata, struct keeper_batch **ret)
{
	struct keeper_batch *batch = new_batch(keeper, func, userdata);

	if (!batch)
		return -ENOMEM;
	enqueue(batch);
	*ret = batch;
	return 0;
}

static void dequeue(struct keeper_batch *batch)
{
	struct keeper *keeper = batch->keeper;

	if (batch->previous)
		batch->previous->next = batch->next;
	else
		keeper->first = batch->next;
	if (batch->next)
		batch->next->previous = batch->previous;
	else
		keeper->last = batch->previous;
}

/* NULL: there is none. */
static struct keeper_batch *take_first(struct keeper *keeper)
{
	struct keeper_batch *batch = keeper->first;

	if (!batch)
		return NULL;
	keeper->first = batch->next;
	if (keeper->first)
		keeper->first->previous = NULL;
	else
		keeper->last = NULL;
	return batch;
}

struct keeper_batch *keeper_cancel(struct keeper_batch *batch)
{
	if (batch)
		dequeue(batch);
	free(batch);
	return NULL;
}

void keeper_tell_batches(struct keeper *keeper, int error)
{
	uint64_t seq = error < 0 ? UINT64_MAX : keeper->written;
	struct keeper_batch *batch;
	size_t n = 0;

	/* Who is told may report more, which is not meant. */
	for (batch = keeper->first; batch && batch->seq <= seq; batch = batch->next)
		n++;
	for (; n > 0 && (batch = take_first(keeper)); n--) {
		batch->func(batch->userdata, error < 0 ? error : batch->error);
		free(batch);
	}
}

int keeper_repaired(struct keeper *keeper, const struct dg_failure *place)
{
	struct dg_failure f = *place;
	int r;

	/* What is found in the past afterwards would be bad again, or this be good for ever. */
	if (!keeper->loaded)
		return -EAGAIN;
	f.seq = keeper->seq + 1;
	r = dg_ledger_repair(keeper->ledger, &f);
	if (r == -EINVAL)
		return r;
	keeper->seq++;
	if (r < 0)
		keeper->rewrite_seq = keeper->seq; /* of some of it only; the file says the same */
	else
		keep(keeper, DG_LEDGER_REPAIRED, &f);
	keeper_kick_soon(keeper);
	return r;
}

/* What is known before the past is goes into that as a part of what was reported. */
static int say_more(struct keeper *keeper, enum dg_ledger_kind kind,
		    int (*func)(struct dg_ledger *ledger, const struct dg_failure *f),
		    const struct dg_failure *place)
{
	struct dg_failure f = *place;
	int r;

	f.seq = keeper->loaded ? keeper->seq + 1 : 0;
	r = func(keeper->ledger, &f);
	if (r < 0 || !keeper->loaded)
		return r;
	keeper->seq++;
	keep(keeper, kind, &f);
	keeper_kick_soon(keeper);
	return 0;
}

int keeper_told(struct keeper *keeper, const struct dg_failure *place)
{
	return say_more(keeper, DG_LEDGER_TOLD, dg_ledger_tell, place);
}

int keeper_place(struct keeper *keeper, const struct dg_failure *place)
{
	return say_more(keeper, DG_LEDGER_PLACE, dg_ledger_place, place);
}

int keeper_take_past(struct keeper *keeper, struct dg_ledger *past, uint64_t seq)
{
	const struct dg_failure *f = NULL;
	int r = 0;

	if (keeper->past)
		keeper->past(keeper->userdata, past);
	for (uint64_t n = seq; r >= 0 && (f = dg_ledger_next(keeper->ledger, f));) {
		struct dg_failure report = *f;

		report.seq = ++n;
		r = dg_ledger_add(past, &report);
	}
	if (r == -ENOMEM)
		return r;
	keeper->seq = keeper->written = seq;
	for (f = NULL; (f = dg_ledger_next(keeper->ledger, f));) {
		struct dg_failure report = *f;

		report.seq = ++keeper->seq;
		keep(keeper, DG_LEDGER_BAD, &report);
	}
	dg_ledger_free(keeper->ledger);
	keeper->ledger = past;
	keeper->loaded = true;
	for (struct keeper_batch *batch = keeper->first; batch; batch = batch->next)
		batch->seq = keeper->seq;
	return 0;
}

const struct dg_ledger *keeper_ledger(const struct keeper *keeper)
{
	return keeper->loaded ? keeper->ledger : NULL;
}

struct keeper_status keeper_status(const struct keeper *keeper)
{
	return (struct keeper_status){
		.loaded = keeper->loaded,
		.written = keeper->written,
		.n_unwritten = keeper->seq - keeper->written,
		.n_skipped = keeper->n_skipped,
		.error = keeper->error,
	};
}

uint64_t keeper_last(const struct keeper *keeper)
{
	return keeper->seq;
}

int keeper_new(sd_event *event, struct steps *steps, const char *dir, keeper_log_func log,
	       void *userdata, struct keeper **ret)
{
	struct keeper *keeper = calloc(1, sizeof(*keeper));
	int r = -ENOMEM;

	if (!keeper)
		return r;
	*keeper = (struct keeper){
		.event = sd_event_ref(event),
		.steps = steps,
		.dir = dir,
		.log = log,
		.userdata = userdata,
		.ledger = dg_ledger_new(0, 0),
	};
	if (keeper->ledger)
		r = keeper_file_init(keeper);
	if (r < 0) {
		keeper_free(keeper);
		return r;
	}
	*ret = keeper;
	return 0;
}

struct keeper *keeper_free(struct keeper *keeper)
{
	if (!keeper)
		return NULL;
	keeper_file_done(keeper);
	for (struct keeper_batch *batch; (batch = take_first(keeper));)
		free(batch);
	text_done(&keeper->pending);
	dg_ledger_free(keeper->ledger);
	sd_event_unref(keeper->event);
	free(keeper);
	return NULL;
}

void keeper_when_read(struct keeper *keeper, void (*func)(void *userdata))
{
	keeper->when_read = func;
}

void keeper_set_past(struct keeper *keeper, keeper_past_func func)
{
	keeper->past = func;
}

void keeper_start(struct keeper *keeper)
{
	keeper->started = true;
	keeper_kick_soon(keeper);
}
