/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Who keeps the ledger (core/ledger.h): in memory, and in a file by steps.
 *
 * What is reported is in memory at once, and announced when it is on the medium: the
 * callback of its batch says so. All that is reported while a step writes is the
 * next step's. When the disk is full, or does not answer, that is said, the batches
 * that wait are told, and it is tried again until it is written; so memory is never
 * behind the file, and who asks is told of what is not written that it is not.
 *
 * Bounded: the ledger by itself; what waits to be written by DG_LEDGER_UNWRITTEN_MAX,
 * since beyond that the file is written anew from memory; batches by those who wait.
 *
 * The manager's; never a failure of a removal, and never waited for.
 */
#pragma once

#include <systemd/sd-event.h>

#include "core/ledger.h"
#include "io/steps.h"

struct keeper;
struct keeper_batch;

/* For the log; a sentence. */
typedef void (*keeper_log_func)(void *userdata, int priority, const char *text);

/*
 * dir: of the file, must outlive the keeper. userdata: for log, and for those of the past.
 * -ENOMEM and those of sd_event_add_time(3).
 */
int keeper_new(sd_event *event, struct steps *steps, const char *dir, keeper_log_func log,
	       void *userdata, struct keeper **ret);
/* Without callbacks; what was not written is lost. NULL is fine; returns NULL. */
struct keeper *keeper_free(struct keeper *keeper);

/* func: once, from the event loop, when the past is known; before keeper_start(). */
void keeper_when_read(struct keeper *keeper, void (*func)(void *userdata));
/*
 * func: when the past is known, and what was reported meanwhile is not in it yet. Again, if
 * there was no memory for that: then the past is read anew. past: for the call only.
 */
typedef void (*keeper_past_func)(void *userdata, const struct dg_ledger *past);
void keeper_set_past(struct keeper *keeper, keeper_past_func func);

/* Begin to read what there is; put off while something is held. */
void keeper_start(struct keeper *keeper);
/* It is written while something is held, but not read: nobody needs the past for that. */
void keeper_hold(struct keeper *keeper, bool holding);

/*
 * Once, from the event loop. 0: all of it is on the medium. Else why it is not, by now:
 * -ENOSPC and others of write(2), -ETIME; it is tried again, and there is no second
 * call. Or what dg_ledger_add() said of the first report that it did not take.
 */
typedef void (*keeper_func)(void *userdata, int error);

/*
 * These are bad: first_ns, last_ns, times and told are for the caller to set, seq is
 * not. What lies in reports is copied. -EINVAL, -ENOMEM, -ENOSPC: none of them was
 * taken, and there is no callback.
 */
int keeper_add(struct keeper *keeper, const struct dg_failure *reports, size_t n, keeper_func func,
	       void *userdata, struct keeper_batch **ret);
/* Likewise, of all that was said up to now. -ENOMEM. */
int keeper_wait(struct keeper *keeper, keeper_func func, void *userdata, struct keeper_batch **ret);
/* Nobody waits for it any more. NULL is fine; returns NULL. */
struct keeper_batch *keeper_cancel(struct keeper_batch *batch);

/* ns, offset, length and repaired_ns. -EAGAIN: the past was not read as yet. -ENOMEM. */
int keeper_repaired(struct keeper *keeper, const struct dg_failure *place);
/* ns, offset, length; told: how many more were. */
int keeper_told(struct keeper *keeper, const struct dg_failure *place);

/* ns, offset, length, content, path, fs_dev, ino, file_offset: see dg_ledger_place(). */
int keeper_place(struct keeper *keeper, const struct dg_failure *place);

/* NULL: not read as yet. Valid until the event loop goes on. */
const struct dg_ledger *keeper_ledger(const struct keeper *keeper);

struct keeper_status {
	bool loaded;
	uint64_t written;     /* ranges up to this seq are on the medium */
	uint64_t n_unwritten; /* records that are not */
	uint64_t n_skipped;   /* lines of the file that could not be read */
	int error;            /* of the last reading or writing; 0: it went well */
};
struct keeper_status keeper_status(const struct keeper *keeper);
/* The number of the newest record; of what is not read as yet there is none. */
uint64_t keeper_last(const struct keeper *keeper);
