/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The file of the ledger, which steps read and write; one of them at a time. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>

#include "keeper-internal.h"
#include "names.h"

#define STEP_US 10000000ULL
#define PAUSE_MIN_US 1000000ULL
#define PAUSE_MAX_US 64000000ULL
#define PIECE_SIZE (512U * 1024) /* of one step's input */
#define READ_SIZE (1024U * 1024) /* that one reads, unless it comes to the end */
#define COMPACT_MIN 1024U        /* lines more than four for each range */

static void on_step(void *userdata, const struct step_outcome *outcome);

/* Unless it goes off before that. */
static void set_timer(struct keeper *keeper, uint64_t pause_us)
{
	uint64_t now_us = 0, due_us;

	(void)!sd_event_now(keeper->event, CLOCK_MONOTONIC, &now_us);
	if (sd_event_source_get_enabled(keeper->timer, NULL) > 0 &&
	    sd_event_source_get_time(keeper->timer, &due_us) >= 0 && due_us <= now_us + pause_us)
		return;
	if (sd_event_source_set_time(keeper->timer, now_us + pause_us) >= 0)
		sd_event_source_set_enabled(keeper->timer, SD_EVENT_ONESHOT);
}

static int start_step(struct keeper *keeper, enum keeper_job job, const char *verb,
		      const char *offset, const char *input, size_t n_input)
{
	const char *const argv[] = {"ledger", keeper->dir, verb, offset, NULL};
	int r;

	/* With an input, if an empty one: those that are kept ready are for removals. */
	r = step_start_with(keeper->steps, argv, input ?: "", n_input, STEP_US, on_step, keeper,
			    &keeper->step);
	if (r >= 0)
		keeper->job = job;
	return r;
}

static int start_read(struct keeper *keeper)
{
	char offset[24];

	snprintf(offset, sizeof(offset), "%" PRIu64, keeper->read_offset);
	return start_step(keeper, KEEPER_READ, "read", offset, NULL, 0);
}

/* As many whole lines as go into one piece; a line does. */
static size_t piece_of(const char *text, size_t n)
{
	const char *end;

	if (n <= PIECE_SIZE)
		return n;
	end = memrchr(text, '\n', PIECE_SIZE);
	return end ? (size_t)(end - text) + 1 : n;
}

static uint64_t count_lines(const char *text, size_t n)
{
	uint64_t lines = 0;

	for (const char *end = text + n; (text = memchr(text, '\n', (size_t)(end - text))); text++)
		lines++;
	return lines;
}

static int start_append(struct keeper *keeper)
{
	const struct text *pending = &keeper->pending;
	size_t n = piece_of(pending->data, pending->n);

	keeper->job_pending = n;
	keeper->job_lines = count_lines(pending->data, n);
	keeper->job_seq = keeper->seq - count_lines(pending->data + n, pending->n - n);
	return start_step(keeper, KEEPER_APPEND, "append", NULL, pending->data, n);
}

static int add_line(void *userdata, const char *line, size_t n)
{
	return text_add(userdata, line, n);
}

static int start_piece(struct keeper *keeper, enum keeper_job job)
{
	const char *from = keeper->snapshot.data + keeper->n_sent;
	size_t n = piece_of(from, keeper->snapshot.n - keeper->n_sent);
	int r;

	r = start_step(keeper, job, job == KEEPER_BEGIN ? "begin" : "go-on", NULL, from, n);
	if (r >= 0)
		keeper->n_sent += n;
	return r;
}

/* All that is known now, and nothing else. */
static int start_rewrite(struct keeper *keeper)
{
	int r;

	r = dg_ledger_write(keeper->ledger, keeper->seq, add_line, &keeper->snapshot);
	if (r < 0)
		return r;
	keeper->n_sent = 0;
	keeper->job_seq = keeper->seq;
	keeper->job_pending = keeper->pending.n;
	return start_piece(keeper, KEEPER_BEGIN);
}

static void complain(struct keeper *keeper, int error)
{
	char text[256];

	if (keeper->error == error)
		return;
	keeper->error = error;
	if (!keeper->loaded)
		snprintf(text, sizeof(text),
			 "The ledger of failures in %s could not be read: %s; it is tried again",
			 keeper->dir, strerror(-error));
	else
		snprintf(text, sizeof(text),
			 "The ledger of failures in %s could not be written: %s; %" PRIu64
			 " records wait, and it is tried again",
			 keeper->dir, strerror(-error), keeper->seq - keeper->written);
	keeper->log(keeper->userdata, LOG_ERR, text);
}

static void job_failed(struct keeper *keeper, int error)
{
	/* A file that could not be written anew is the old one still. */
	if (keeper->snapshot.data) {
		keeper->compact_at = keeper->n_lines * 2;
		text_done(&keeper->snapshot);
	}
	keeper->job = KEEPER_IDLE;
	keeper->job_pending = 0;
	keeper->pause_us = keeper->pause_us == 0 ? PAUSE_MIN_US : keeper->pause_us * 2;
	if (keeper->pause_us > PAUSE_MAX_US)
		keeper->pause_us = PAUSE_MAX_US;
	complain(keeper, error);
	set_timer(keeper, keeper->pause_us);
	keeper_tell_batches(keeper, error);
}

static void went_well(struct keeper *keeper)
{
	if (keeper->error < 0)
		keeper->log(keeper->userdata, LOG_NOTICE,
			    keeper->job == KEEPER_READ ? "The ledger of failures is read again"
						       : "The ledger of failures is written again");
	keeper->error = 0;
	keeper->pause_us = 0;
	keeper->job = KEEPER_IDLE;
}

static void set_compact_at(struct keeper *keeper)
{
	struct dg_ledger_counts counts = dg_ledger_counts(keeper->ledger);

	keeper->compact_at = COMPACT_MIN + 4 * (counts.n_bad + counts.n_repaired);
}

static void say_skipped(struct keeper *keeper, const struct dg_ledger_reader *reader)
{
	char text[256];

	if (reader->n_skipped == 0)
		return;
	snprintf(text, sizeof(text),
		 "The ledger of failures in %s has %" PRIu64 " lines that cannot be read; "
		 "the first of them is %" PRIu64 ": %s",
		 keeper->dir, reader->n_skipped, reader->skipped_line, reader->skipped_why);
	keeper->log(keeper->userdata, LOG_WARNING, text);
}

static void stop_reading(struct keeper *keeper)
{
	dg_ledger_free(keeper->reader.ledger);
	dg_ledger_reader_done(&keeper->reader);
	keeper->read_offset = 0;
}

static int read_to_the_end(struct keeper *keeper)
{
	struct dg_ledger_reader *reader = &keeper->reader;
	int r = dg_ledger_read_end(reader);

	/* A number that only a line has which cannot be read is not given again. */
	if (r >= 0)
		r = keeper_take_past(keeper, reader->ledger, reader->seq + reader->n_skipped);
	if (r < 0)
		return r;
	reader->ledger = NULL;
	keeper->n_lines = reader->n_lines;
	keeper->n_skipped = reader->n_skipped;
	say_skipped(keeper, reader);
	stop_reading(keeper);
	set_compact_at(keeper);
	return 0;
}

static int take_bytes(struct keeper *keeper, const struct step_outcome *outcome)
{
	struct dg_ledger_reader *reader = &keeper->reader;
	struct dg_ledger *past;
	int r = 0;

	if (!reader->line) {
		past = dg_ledger_new(0, 0);
		r = past ? dg_ledger_reader_init(reader, past) : -ENOMEM;
		if (r < 0)
			dg_ledger_free(past);
	}
	if (r >= 0)
		r = dg_ledger_read(reader, outcome->output, outcome->n_output);
	keeper->read_offset += outcome->n_output;
	if (r >= 0 && outcome->n_output < READ_SIZE)
		r = read_to_the_end(keeper);
	if (r < 0)
		stop_reading(keeper);
	return r;
}

static void take_written(struct keeper *keeper)
{
	struct text *pending = &keeper->pending;

	if (keeper->job == KEEPER_APPEND)
		keeper->n_lines += keeper->job_lines;
	if (keeper->job_seq > keeper->written)
		keeper->written = keeper->job_seq;
	pending->n -= keeper->job_pending;
	if (pending->n > 0)
		memmove(pending->data, pending->data + keeper->job_pending, pending->n);
	else
		text_done(pending);
	keeper->job_pending = 0;
}

/* 1: there is more of the same to do. */
static int job_done(struct keeper *keeper, const struct step_outcome *outcome)
{
	int r;

	switch (keeper->job) {
	case KEEPER_READ:
		return take_bytes(keeper, outcome);
	case KEEPER_BEGIN:
	case KEEPER_GO_ON:
		if (keeper->n_sent < keeper->snapshot.n)
			r = start_piece(keeper, KEEPER_GO_ON);
		else
			r = start_step(keeper, KEEPER_REPLACE, "replace", NULL, NULL, 0);
		return r < 0 ? r : 1;
	case KEEPER_REPLACE:
		keeper->n_lines = count_lines(keeper->snapshot.data, keeper->snapshot.n);
		text_done(&keeper->snapshot);
		set_compact_at(keeper);
		if (keeper->rewrite_seq <= keeper->job_seq)
			keeper->rewrite_seq = 0;
		take_written(keeper);
		break;
	case KEEPER_APPEND:
		take_written(keeper);
		break;
	case KEEPER_IDLE:
		break;
	}
	return 0;
}

static int error_of(const struct step_outcome *outcome)
{
	const char *cursor = outcome->output, *record;
	uint64_t error;
	size_t n;

	if (outcome->end == STEP_OK)
		return 0;
	if (outcome->end == STEP_TIMEOUT)
		return -ETIME;
	record = dg_record_next(&cursor, cursor + outcome->n_output, &n);
	if (!record || dg_record_get_u64(record, n, "ERRNO", &error) < 0 || error == 0 ||
	    error > 4095)
		return -EIO;
	return -(int)error;
}

static void on_step(void *userdata, const struct step_outcome *outcome)
{
	struct keeper *keeper = userdata;
	bool was_loaded = keeper->loaded;
	int r = error_of(outcome);

	keeper->step = NULL;
	if (r >= 0)
		r = job_done(keeper, outcome);
	if (r > 0)
		return;
	if (r < 0) {
		job_failed(keeper, r);
		return;
	}
	went_well(keeper);
	keeper_kick_soon(keeper);
	keeper_tell_batches(keeper, 0);
	if (!was_loaded && keeper->loaded && keeper->when_read)
		keeper->when_read(keeper->userdata);
}

void keeper_kick(struct keeper *keeper)
{
	int r = 0;

	if (keeper->job != KEEPER_IDLE || !keeper->started)
		return;
	if (!keeper->loaded)
		r = keeper->holding ? 0 : start_read(keeper);
	else if (keeper->rewrite_seq > 0 || keeper->n_lines > keeper->compact_at)
		r = start_rewrite(keeper);
	else if (keeper->pending.n > 0)
		r = start_append(keeper);
	else
		keeper_tell_batches(keeper, 0);
	if (r < 0)
		job_failed(keeper, r);
}

/* Those who report in one turn of the loop share a step; after a failure there is a pause. */
void keeper_kick_soon(struct keeper *keeper)
{
	if (keeper->job == KEEPER_IDLE)
		set_timer(keeper, keeper->error < 0 ? PAUSE_MIN_US : 0);
}

void keeper_hold(struct keeper *keeper, bool holding)
{
	keeper->holding = holding;
	if (holding && keeper->job == KEEPER_READ) {
		step_cancel(keeper->step);
		keeper->step = NULL;
		keeper->job = KEEPER_IDLE;
	}
	if (!holding)
		keeper_kick_soon(keeper);
}

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata)
{
	keeper_kick(userdata);
	return 0;
}

int keeper_file_init(struct keeper *keeper)
{
	int r;

	r = sd_event_add_time(keeper->event, &keeper->timer, CLOCK_MONOTONIC, 0, 0, on_timer,
			      keeper);
	return r < 0 ? r : sd_event_source_set_enabled(keeper->timer, SD_EVENT_OFF);
}

void keeper_file_done(struct keeper *keeper)
{
	if (keeper->step)
		step_cancel(keeper->step);
	keeper->step = NULL;
	keeper->timer = sd_event_source_disable_unref(keeper->timer);
	stop_reading(keeper);
	text_done(&keeper->snapshot);
}
