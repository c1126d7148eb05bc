/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * For keeper*.c only.
 *
 *	keeper.c	what is known, who waits for it to be written
 *	keeper-file.c	the file: one step at a time
 */
#pragma once

#include "core/ledger-record.h"
#include "keeper.h"

enum keeper_job {
	KEEPER_IDLE,
	KEEPER_READ,
	KEEPER_APPEND,
	KEEPER_BEGIN, /* the file anew, a piece at a time */
	KEEPER_GO_ON,
	KEEPER_REPLACE,
};

struct keeper_batch {
	struct keeper *keeper;
	struct keeper_batch *previous, *next;
	uint64_t seq; /* of its last record; UINT64_MAX: it has no number as yet */
	int error;    /* of the first report that was not taken */
	keeper_func func;
	void *userdata;
};

struct text {
	char *data;
	size_t n, size;
};

struct keeper {
	sd_event *event;
	struct steps *steps;
	const char *dir;
	keeper_log_func log;
	keeper_past_func past;
	void *userdata;
	bool holding, started;
	void (*when_read)(void *userdata); /* NULL: nobody wants to know */

	struct dg_ledger *ledger;
	bool loaded;
	struct dg_ledger_reader reader;
	uint64_t read_offset;

	uint64_t seq, written; /* of the last record; of the last that is on the medium */
	struct text pending;   /* lines up to seq */
	struct keeper_batch *first, *last;
	char line[DG_LEDGER_LINE_MAX + 1];

	enum keeper_job job;
	struct step *step;
	uint64_t job_seq;     /* what is written when the job is done */
	size_t job_pending;   /* … and bytes of pending with it, … */
	uint64_t job_lines;   /* … which are as many lines */
	struct text snapshot; /* of a file that is written anew; n_sent of it are */
	size_t n_sent;
	uint64_t rewrite_seq; /* up to this the file is to be written anew; 0: it is not */
	uint64_t n_lines;     /* of the file */
	uint64_t compact_at;  /* lines */
	uint64_t n_skipped;
	sd_event_source *timer;
	uint64_t pause_us; /* before the next attempt; 0: none has failed */
	int error;
};

/* keeper.c */
int text_add(struct text *text, const char *bytes, size_t n); /* -ENOMEM */
void text_done(struct text *text);
/* What was read of the past is so; what has been reported meanwhile comes after it. */
int keeper_take_past(struct keeper *keeper, struct dg_ledger *past, uint64_t seq);
/* Those that wait for no more than what is written now; or all, with an error. */
void keeper_tell_batches(struct keeper *keeper, int error);

/* keeper-file.c */
void keeper_kick(struct keeper *keeper); /* there may be something to do */
void keeper_kick_soon(struct keeper *keeper);
int keeper_file_init(struct keeper *keeper);
void keeper_file_done(struct keeper *keeper);
