/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Shared by the incident-*.c files, and nobody else. */
#pragma once

#include "core/incident.h"

#define MSEC 1000ULL
#define SEC 1000000ULL

/* One row of the table of states. */
struct dg_state_row {
	uint32_t jobs; /* bit per enum dg_job: started on entry */
	/*
	 * Asked after every input: the state to go to, or this one to stay. To
	 * stay, it must wait for a job, for the kernel, or have set a timer.
	 */
	enum dg_state (*next)(struct dg_incident *, uint64_t now_us, struct dg_effects *);
	enum dg_state resume; /* where a new daemon goes on */
};
extern const struct dg_state_row dg_state_table[_DG_STATE_MAX];

enum dg_state dg_next_announced(struct dg_incident *i, uint64_t now_us, struct dg_effects *fx);
enum dg_state dg_next_syncing(struct dg_incident *i, uint64_t now_us, struct dg_effects *fx);
enum dg_state dg_next_scanning(struct dg_incident *i, uint64_t now_us, struct dg_effects *fx);
enum dg_state dg_next_acting(struct dg_incident *i, uint64_t now_us, struct dg_effects *fx);
enum dg_state dg_next_settling(struct dg_incident *i, uint64_t now_us, struct dg_effects *fx);
enum dg_state dg_next_unmounting(struct dg_incident *i, uint64_t now_us, struct dg_effects *fx);
enum dg_state dg_next_verifying(struct dg_incident *i, uint64_t now_us, struct dg_effects *fx);
enum dg_state dg_next_acked(struct dg_incident *i, uint64_t now_us, struct dg_effects *fx);
enum dg_state dg_next_revoking(struct dg_incident *i, uint64_t now_us, struct dg_effects *fx);
enum dg_state dg_next_unbinding(struct dg_incident *i, uint64_t now_us, struct dg_effects *fx);
/* The end of verifying, where no kernel waits for an answer. */
enum dg_state dg_unbind_or_stay(struct dg_incident *i, struct dg_effects *fx);
/* It is over. What is returned from a row's function after that is the state that it has set. */
void dg_finish(struct dg_incident *i, enum dg_state state, struct dg_effects *fx);

/* Never fails: DG_EFFECTS_MAX leaves room for what a single input may bring. */
void dg_emit(struct dg_effects *fx, const struct dg_effect *effect);
bool dg_effects_full(const struct dg_effects *fx); /* for what comes in numbers */
void dg_mark(struct dg_incident *i, enum dg_mark mark, struct dg_effects *fx);
bool dg_has_mark(const struct dg_incident *i, enum dg_mark mark);
void dg_start_job(struct dg_incident *i, enum dg_job job, uint64_t now_us, struct dg_effects *fx);
void dg_start_scan(struct dg_incident *i, uint64_t now_us, struct dg_effects *fx);
bool dg_is_waiting(const struct dg_incident *i); /* for a job of this state */
void dg_wake_at(struct dg_incident *i, uint64_t at_us);
uint64_t dg_left(const struct dg_incident *i, uint64_t now_us); /* until the deadline */
void dg_apply_budget(struct dg_incident *i); /* the deadline, after what it is made of */
void dg_ask_for_time(struct dg_incident *i, uint64_t now_us, struct dg_effects *fx);
/* What a daemon before us has done already. -ENOMEM. */
int dg_restore(struct dg_incident *i, const struct dg_story *story);
/* Who has come, and whose end is known. False: there are more than fit; due again at once. */
bool dg_note_holders(struct dg_incident *i, struct dg_effects *fx);
bool dg_note_ends(struct dg_incident *i, struct dg_effects *fx);
bool dg_note_all(struct dg_incident *i, uint64_t now_us, struct dg_effects *fx);
