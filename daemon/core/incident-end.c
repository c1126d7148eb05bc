/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What is noted of holders, how an incident ends, and what its outcome is called. */
#include "core/checkpoint.h"
#include "core/incident-private.h"

/* The first that applies, the gravest first; "clean" if none does. */
static const enum dg_mark outcomes[] = {
	DG_MARK_SYSTEM,        DG_MARK_MOUNTS_UNKNOWN, DG_MARK_PROTECTED_UNKNOWN,
	DG_MARK_UNBIND_FAILED, DG_MARK_STILL_MAPPED,   DG_MARK_BUSY,
	DG_MARK_MOUNT_LOCKED,  DG_MARK_COVERED,        DG_MARK_KERNEL,
	DG_MARK_KEPT,          DG_MARK_DETACHED,       DG_MARK_SYNC_FAILED,
	DG_MARK_SHUT_DOWN,     DG_MARK_SCAN_FAILED,
};

const char *dg_outcome(enum dg_state state, uint32_t marks, const struct dg_done *done)
{
	if (state != DG_STATE_DONE && state != DG_STATE_STAYED)
		return dg_state_name(state);
	if (done && done->revoke == DG_REVOKE_PINNED)
		return "pages-pinned";
	if (done && done->revoke == DG_REVOKE_BUSY)
		return "revoke-busy";
	for (size_t n = 0; n < sizeof(outcomes) / sizeof(*outcomes); n++)
		if (marks & (1U << outcomes[n]))
			return dg_mark_name(outcomes[n]);
	return "clean";
}

enum dg_result dg_result(enum dg_state state, uint32_t marks, const struct dg_done *done)
{
	if (done)
		return done->result;
	if (state != DG_STATE_DONE)
		return DG_RESULT_NONE;
	/* An answer that the kernel accepts has ended the hold, if there was one. */
	if (marks & (1U << DG_MARK_RELEASED))
		return DG_RESULT_RELEASED;
	return marks & (1U << DG_MARK_ACKED) ? DG_RESULT_ACKED : DG_RESULT_NONE;
}

bool dg_note_holders(struct dg_incident *i, struct dg_effects *fx)
{
	for (size_t n = 0; n < i->plan.n_entries; n++) {
		if (i->plan.entries[n].noted)
			continue;
		if (dg_effects_full(fx))
			return false;
		i->plan.entries[n].noted = true;
		dg_emit(fx, &(struct dg_effect){.kind = DG_EFFECT_HOLDER, .entry = n});
	}
	return true;
}

const char *dg_incident_end_of(struct dg_incident *i, size_t n)
{
	struct dg_plan_entry *entry = &i->plan.entries[n];

	if (entry->over || !entry->noted || entry->awaited || entry->state == DG_ENTRY_CLIMBING)
		return NULL;
	entry->over = true;
	if (entry->checkpointed && entry->state == DG_ENTRY_FREED)
		return DG_CHECKPOINTED;
	if (entry->exited)
		return "exited";
	return entry->state == DG_ENTRY_FREED ? "unmapped" : dg_entry_state_name(entry->state);
}

bool dg_note_ends(struct dg_incident *i, struct dg_effects *fx)
{
	for (size_t n = 0; n < i->plan.n_entries; n++) {
		const char *how;

		if (dg_effects_full(fx))
			return false;
		how = dg_incident_end_of(i, n);
		if (how)
			dg_emit(fx, &(struct dg_effect){
					    .kind = DG_EFFECT_FREED, .entry = n, .note = how});
	}
	return true;
}

bool dg_note_all(struct dg_incident *i, uint64_t now_us, struct dg_effects *fx)
{
	if (dg_note_holders(i, fx) && dg_note_ends(i, fx))
		return true;
	dg_wake_at(i, now_us);
	return false;
}

void dg_finish(struct dg_incident *i, enum dg_state state, struct dg_effects *fx)
{
	if (i->running)
		dg_emit(fx, &(struct dg_effect){.kind = DG_EFFECT_CANCEL});
	i->running = 0;
	i->wake_us = UINT64_MAX;
	dg_plan_over(&i->plan);
	i->state = state;
	i->outcome = dg_outcome(state, i->marks, i->has_done ? &i->done : NULL);
	dg_emit(fx, &(struct dg_effect){.kind = DG_EFFECT_END, .state = state, .note = i->outcome});
}

void dg_incident_ended(struct dg_incident *i, const struct dg_done *done, uint64_t now_us,
		       struct dg_effects *fx)
{
	bool ours = done->result == DG_RESULT_ACKED || done->result == DG_RESULT_RELEASED;

	if (dg_state_is_final(i->state))
		return;
	i->has_done = true;
	i->done = *done;
	dg_finish(i, ours ? DG_STATE_DONE : DG_STATE_EXPIRED, fx);
}

enum dg_state dg_state_when_gone(enum dg_state state, uint32_t marks)
{
	const uint32_t answered = 1U << DG_MARK_ACKED | 1U << DG_MARK_RELEASED;

	return state == DG_STATE_ACKED && marks & answered ? DG_STATE_DONE : DG_STATE_ABANDONED;
}

void dg_incident_gone(struct dg_incident *i, uint64_t now_us, struct dg_effects *fx)
{
	if (dg_state_is_final(i->state))
		return;
	dg_finish(i, dg_state_when_gone(i->state, i->marks), fx);
}
