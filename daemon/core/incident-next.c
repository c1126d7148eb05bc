/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* When each state is over, and what comes then: the table's right half. */
#include "core/incident-private.h"

#include <errno.h>

/* Back from settling, unmounting or verifying to acting; the plan kills before that. */
#define ROUNDS_MAX (2 * DG_PLAN_ROUNDS_MAX)
#define UNMOUNTS_MAX 20     /* tries while only the kernel is still cleaning up */
#define USED_UNMOUNTS_MAX 3 /* while somebody is there whom nobody asks to go */
#define REMOUNTS_MAX 3      /* times that somebody mounted again behind our back */
#define LOOKS_MAX 100       /* looks at an umount of somebody else's that goes on */

#define SCAN_FIRST_US (2 * MSEC) /* after an action; doubles up to the last */
#define SCAN_LAST_US (500 * MSEC)
#define RETRY_US (50 * MSEC)
#define TAKE_AGAIN_US (500 * MSEC)
#define DEADLINE_WAIT_US (100 * MSEC) /* without an answer the deadline of the EVENT holds */
#define ENOUGH_US (2 * SEC)           /* for one more unmount and an answer */

static bool is_timed(struct dg_incident *i, uint64_t now_us)
{
	if (i->retry_us <= now_us)
		return false;
	dg_wake_at(i, i->retry_us);
	return true;
}

static void ask(struct dg_incident *i, enum dg_effect_kind what, struct dg_effects *fx)
{
	i->asked = true;
	i->answered = false;
	dg_emit(fx, &(struct dg_effect){.kind = what});
}

/*
 * Phases of announced: TAKE moves the deadline, so the kernel is asked for it again.
 * Who goes on from a record has a plan already, and asks who is protected.
 */
enum { PHASE_TAKE, PHASE_DEADLINE, PHASE_PROTECTED };

static enum dg_state after_take(struct dg_incident *i, uint64_t now_us, struct dg_effects *fx)
{
	if (i->first == DG_STATE_SYNCING)
		return DG_STATE_SYNCING;
	if (i->phase == PHASE_DEADLINE) {
		i->phase = PHASE_PROTECTED;
		dg_start_job(i, DG_JOB_PROTECTED, now_us, fx);
	}
	if (dg_is_waiting(i))
		return DG_STATE_ANNOUNCED;
	/* Syncing asks again who is protected. */
	return i->ends[DG_JOB_PROTECTED] == DG_JOB_OK ? i->first : DG_STATE_SYNCING;
}

enum dg_state dg_next_announced(struct dg_incident *i, uint64_t now_us, struct dg_effects *fx)
{
	if (i->request.by_user)
		return DG_STATE_SYNCING;
	if (i->asked || is_timed(i, now_us))
		return DG_STATE_ANNOUNCED;
	if (i->phase != PHASE_TAKE)
		return after_take(i, now_us, fx);
	if (!i->answered) {
		ask(i, DG_EFFECT_TAKE, fx);
		return DG_STATE_ANNOUNCED;
	}
	i->answered = false;
	/* Else: not registered, or the hold has just ended, and DONE or the dump will tell. */
	if (i->answer == 0) {
		i->taken = true;
		i->phase = PHASE_DEADLINE;
		dg_emit(fx, &(struct dg_effect){.kind = DG_EFFECT_PENDING});
	}
	i->retry_us = now_us + (i->answer == 0 ? DEADLINE_WAIT_US : TAKE_AGAIN_US);
	dg_wake_at(i, i->retry_us);
	return DG_STATE_ANNOUNCED;
}

/* Nobody is signalled, nothing unmounted: the device is synced, and let go. */
static bool keeps_hands_off(const struct dg_incident *i)
{
	return dg_has_mark(i, DG_MARK_SYSTEM) || dg_has_mark(i, DG_MARK_MOUNTS_UNKNOWN) ||
	       dg_has_mark(i, DG_MARK_PROTECTED_UNKNOWN);
}

enum dg_state dg_next_syncing(struct dg_incident *i, uint64_t now_us, struct dg_effects *fx)
{
	bool knows_protected = i->ends[DG_JOB_PROTECTED] == DG_JOB_OK;

	if (dg_is_waiting(i))
		return DG_STATE_SYNCING;
	if (!i->has_block)
		i->knows_mounts = true;
	if ((!i->knows_mounts || !knows_protected) && i->phase == 0) {
		i->phase = 1;
		if (!i->knows_mounts)
			dg_start_job(i, DG_JOB_MOUNTS, now_us, fx);
		if (!knows_protected)
			dg_start_job(i, DG_JOB_PROTECTED, now_us, fx);
		return DG_STATE_SYNCING;
	}
	/* Better to signal nobody than to kill the system's own processes. */
	if (!i->knows_mounts)
		dg_mark(i, DG_MARK_MOUNTS_UNKNOWN, fx);
	if (!knows_protected)
		dg_mark(i, DG_MARK_PROTECTED_UNKNOWN, fx);
	if (keeps_hands_off(i)) {
		if (i->ends[DG_JOB_SYNC] != DG_JOB_OK)
			dg_mark(i, DG_MARK_SYNC_FAILED, fx);
		return DG_STATE_VERIFYING;
	}
	return DG_STATE_SCANNING;
}

enum dg_state dg_next_scanning(struct dg_incident *i, uint64_t now_us, struct dg_effects *fx)
{
	if (dg_is_waiting(i))
		return DG_STATE_SCANNING;
	if (i->blind) {
		dg_mark(i, DG_MARK_SCAN_FAILED, fx);
		return DG_STATE_UNMOUNTING;
	}
	/* The first sync went through paths; some have none. */
	if (i->findings.live_pathless)
		dg_start_job(i, DG_JOB_KERNEL_SYNC, now_us, fx);
	i->scan_gap_us = SCAN_FIRST_US;
	i->scan_due_us = now_us + i->scan_gap_us;
	return DG_STATE_ACTING;
}

static void note(struct dg_effects *fx, const char *text)
{
	dg_emit(fx, &(struct dg_effect){.kind = DG_EFFECT_NOTE, .note = text});
}

static bool carry_out(struct dg_incident *i, uint64_t now_us, struct dg_effects *fx)
{
	struct dg_deed deed;
	uint64_t wake_us;

	if (i->plan.full && !i->noted_full) {
		i->noted_full = true;
		note(fx, "more holders than a plan takes: some were not asked to let go");
	}
	if (now_us + i->reserve_us >= i->deadline_us && !i->noted_cut &&
	    dg_plan_count(&i->plan, DG_ENTRY_CLIMBING) > 0) {
		i->noted_cut = true;
		note(fx, "only the reserve is left: graces cut short");
	}
	while (!dg_effects_full(fx)) {
		if (!dg_plan_next(&i->plan, now_us, &deed, &wake_us)) {
			dg_wake_at(i, wake_us);
			return true;
		}
		dg_emit(fx, &(struct dg_effect){
				    .kind = DG_EFFECT_DEED, .entry = deed.entry, .deed = deed});
		if (deed.action != DG_ACTION_LEAVE && !deed.skipped) {
			i->scan_gap_us = SCAN_FIRST_US;
			i->scan_due_us = now_us + i->scan_gap_us;
		}
	}
	return false;
}

enum dg_state dg_next_acting(struct dg_incident *i, uint64_t now_us, struct dg_effects *fx)
{
	if (!dg_note_holders(i, fx) || !carry_out(i, now_us, fx)) {
		dg_wake_at(i, now_us);
		return DG_STATE_ACTING;
	}
	if (!dg_note_all(i, now_us, fx) || dg_is_waiting(i))
		return DG_STATE_ACTING;
	if (dg_plan_count(&i->plan, DG_ENTRY_CLIMBING) == 0 && !dg_plan_is_awaiting(&i->plan))
		return DG_STATE_SETTLING;
	/* They multiply faster than they end: the time that is left is the data's. */
	if (dg_left(i, now_us) <= ENOUGH_US) {
		note(fx, "no time left for those who still come: they keep what they have");
		return DG_STATE_SETTLING;
	}
	dg_wake_at(i, i->deadline_us - ENOUGH_US);
	/* Somebody's time has come; what could not tell just now is not asked in a loop. */
	if (i->plan.must_look && i->findings.scanned && !i->findings.truncated)
		i->scan_due_us = now_us;
	if (i->scan_due_us > now_us) {
		dg_wake_at(i, i->scan_due_us);
		return DG_STATE_ACTING;
	}
	if (i->blind)
		i->by_proc = i->blind = false;
	dg_start_scan(i, now_us, fx);
	i->scan_gap_us = i->scan_gap_us * 2 < SCAN_LAST_US ? i->scan_gap_us * 2 : SCAN_LAST_US;
	i->scan_due_us = now_us + i->scan_gap_us;
	return DG_STATE_ACTING;
}

/* Somebody has come who is to get his ladder, and there is time for it. */
static bool must_act_again(struct dg_incident *i, uint64_t now_us)
{
	if (i->blind || dg_plan_count(&i->plan, DG_ENTRY_CLIMBING) == 0)
		return false;
	if (i->n_rounds >= ROUNDS_MAX || dg_left(i, now_us) <= ENOUGH_US)
		return false;
	i->n_rounds++;
	i->scan_gap_us = SCAN_FIRST_US;
	i->scan_due_us = now_us + i->scan_gap_us;
	return true;
}

enum dg_state dg_next_settling(struct dg_incident *i, uint64_t now_us, struct dg_effects *fx)
{
	if (dg_is_waiting(i) || !dg_note_all(i, now_us, fx))
		return DG_STATE_SETTLING;
	return must_act_again(i, now_us) ? DG_STATE_ACTING : DG_STATE_UNMOUNTING;
}

/* Phases of unmounting; each begins with its job. */
enum { PHASE_UNMOUNT, PHASE_LOOK, PHASE_SHUTDOWN, PHASE_DETACH, PHASE_KEPT };

/*
 * It is busy. Nobody left there: the kernel is still closing files of those
 * who have just ended. Else it may be somebody who only passes by, or udev that
 * has a look at a loop device. So try again soon; and then end it under them.
 */
static unsigned unmounts_max(const struct dg_incident *i)
{
	if (i->stuck || i->findings.n_mapped > 0)
		return 1;
	if (i->by_kernel || (i->findings.scanned && i->findings.n_processes > 0))
		return USED_UNMOUNTS_MAX;
	return UNMOUNTS_MAX;
}

static void after_look(struct dg_incident *i, uint64_t now_us, struct dg_effects *fx)
{
	if (++i->n_unmounts < unmounts_max(i) && dg_left(i, now_us) > ENOUGH_US) {
		i->phase = PHASE_UNMOUNT;
		i->retry_us = now_us + RETRY_US;
		dg_wake_at(i, i->retry_us);
		return;
	}
	if (i->locked)
		dg_mark(i, DG_MARK_MOUNT_LOCKED, fx);
	if (i->by_kernel)
		dg_mark(i, DG_MARK_KERNEL, fx);
	/* Where nobody takes the memory away, nobody's file system is ended for it either. */
	if (i->on_busy == DG_ON_BUSY_KEEP || (i->request.by_user && !i->request.forced)) {
		if (i->ends[DG_JOB_SYNC] != DG_JOB_OK)
			dg_mark(i, DG_MARK_SYNC_FAILED, fx);
		i->kept = true;
		i->phase = PHASE_KEPT;
		return;
	}
	i->phase = PHASE_SHUTDOWN;
	dg_start_job(i, DG_JOB_SHUTDOWN, now_us, fx);
}

static enum dg_state after_unmount(struct dg_incident *i, uint64_t now_us, struct dg_effects *fx)
{
	if (is_timed(i, now_us))
		return DG_STATE_UNMOUNTING;
	if (i->retry_us > 0) {
		i->retry_us = 0;
		dg_start_job(i, DG_JOB_UNMOUNT, now_us, fx);
		return DG_STATE_UNMOUNTING;
	}
	/* What hangs in umount(2) would hang in the ioctl as well: let the kernel decide. */
	if (i->ends[DG_JOB_UNMOUNT] != DG_JOB_FAILED) {
		i->kept = false;
		return DG_STATE_VERIFYING;
	}
	i->phase = PHASE_LOOK;
	/* Nobody could tell who is there; the machine may have been busy just then. */
	if (i->blind && i->n_unmounts == 0)
		i->by_proc = i->blind = false;
	dg_start_job(i, DG_JOB_SYNC, now_us, fx);
	dg_start_scan(i, now_us, fx);
	return DG_STATE_UNMOUNTING;
}

enum dg_state dg_next_unmounting(struct dg_incident *i, uint64_t now_us, struct dg_effects *fx)
{
	if (!i->has_block)
		return DG_STATE_VERIFYING;
	while (!dg_is_waiting(i)) {
		switch (i->phase) {
		case PHASE_UNMOUNT:
			return after_unmount(i, now_us, fx);
		case PHASE_LOOK:
			if (!dg_note_all(i, now_us, fx))
				return DG_STATE_UNMOUNTING;
			if (must_act_again(i, now_us))
				return DG_STATE_ACTING;
			after_look(i, now_us, fx);
			if (i->phase == PHASE_UNMOUNT)
				return DG_STATE_UNMOUNTING;
			break;
		case PHASE_SHUTDOWN:
			if (i->ends[DG_JOB_SYNC] != DG_JOB_OK &&
			    i->ends[DG_JOB_SHUTDOWN] != DG_JOB_OK)
				dg_mark(i, DG_MARK_SYNC_FAILED, fx);
			dg_mark(i, DG_MARK_DETACHED, fx);
			i->phase = PHASE_DETACH;
			dg_start_job(i, DG_JOB_DETACH, now_us, fx);
			break;
		default:
			return DG_STATE_VERIFYING;
		}
	}
	return DG_STATE_UNMOUNTING;
}

static void release(struct dg_incident *i, struct dg_effects *fx)
{
	dg_mark(i, DG_MARK_RELEASED, fx);
	ask(i, DG_EFFECT_RELEASE, fx);
}

static void look_again(struct dg_incident *i, uint64_t now_us)
{
	i->n_looks++;
	i->retry_us = now_us + RETRY_US;
	dg_wake_at(i, i->retry_us);
}

/* The scan has ended: is it free? */
static enum dg_state judge(struct dg_incident *i, uint64_t now_us, struct dg_effects *fx)
{
	const struct dg_findings *found = &i->findings;
	bool hurried = dg_left(i, now_us) < ENOUGH_US;
	/*
	 * Whom policy left there keeps a detached mount alive, and the kernel
	 * counts it; as it does one that may not be detached.
	 */
	bool detached = dg_has_mark(i, DG_MARK_DETACHED) &&
			(i->ends[DG_JOB_DETACH] == DG_JOB_OK || i->stuck);

	if (!dg_note_all(i, now_us, fx))
		return DG_STATE_VERIFYING;
	if (must_act_again(i, now_us))
		return DG_STATE_ACTING;
	if (found->live_mounted && !detached && !i->kept && i->n_remounts < REMOUNTS_MAX &&
	    !hurried) {
		i->n_remounts++;
		return DG_STATE_UNMOUNTING;
	}
	if (found->dying && i->n_looks < LOOKS_MAX && !hurried) {
		look_again(i, now_us);
		return DG_STATE_VERIFYING;
	}
	if (i->request.by_user)
		return dg_unbind_or_stay(i, fx);
	if (found->live_pathless && !i->kept && i->phase == 0) {
		i->phase = 1;
		dg_start_job(i, DG_JOB_KERNEL_SHUTDOWN, now_us, fx);
		return DG_STATE_VERIFYING;
	}
	if (i->phase == 1) {
		i->phase = 2;
		if (i->ends[DG_JOB_KERNEL_SHUTDOWN] == DG_JOB_OK)
			dg_mark(i, DG_MARK_SHUT_DOWN, fx);
		dg_start_scan(i, now_us, fx);
		return DG_STATE_VERIFYING;
	}
	if (found->n_mapped > 0)
		dg_mark(i, DG_MARK_STILL_MAPPED, fx);
	if ((found->live_mounted || found->live_pathless) && !detached &&
	    !dg_has_mark(i, DG_MARK_SHUT_DOWN))
		dg_mark(i, i->kept ? DG_MARK_KEPT : DG_MARK_BUSY, fx);
	if (found->n_mapped > 0 || found->live_mounted || found->live_pathless)
		release(i, fx);
	else
		ask(i, DG_EFFECT_ACK, fx);
	return DG_STATE_VERIFYING;
}

static enum dg_state on_answer(struct dg_incident *i, uint64_t now_us, struct dg_effects *fx)
{
	i->answered = false;
	if (i->answer == 0) {
		if (!dg_has_mark(i, DG_MARK_RELEASED))
			dg_mark(i, DG_MARK_ACKED, fx);
		i->overdue_us = now_us + SEC;
		return DG_STATE_ACKED;
	}
	if (i->answer == -ENOENT) {
		/* Over before we spoke; how, DONE will tell. */
		i->overdue_us = now_us + SEC;
		return DG_STATE_REVOKING;
	}
	if (i->answer == -EBUSY && i->n_looks >= LOOKS_MAX / 10) {
		dg_mark(i, i->findings.unknown ? DG_MARK_KERNEL : DG_MARK_BUSY, fx);
		release(i, fx);
		return DG_STATE_VERIFYING;
	}
	look_again(i, now_us);
	return DG_STATE_VERIFYING;
}

enum dg_state dg_next_verifying(struct dg_incident *i, uint64_t now_us, struct dg_effects *fx)
{
	if (dg_is_waiting(i) || i->asked || is_timed(i, now_us))
		return DG_STATE_VERIFYING;
	if (i->answered)
		return on_answer(i, now_us, fx);
	if (keeps_hands_off(i) && i->request.by_user) {
		dg_finish(i, DG_STATE_STAYED, fx);
		return i->state;
	}
	if (keeps_hands_off(i)) {
		release(i, fx);
		return DG_STATE_VERIFYING;
	}
	if (i->retry_us > 0) {
		i->retry_us = 0;
		dg_start_scan(i, now_us, fx);
		if (dg_is_waiting(i))
			return DG_STATE_VERIFYING;
	}
	return judge(i, now_us, fx);
}

enum dg_state dg_next_acked(struct dg_incident *i, uint64_t now_us, struct dg_effects *fx)
{
	return DG_STATE_ACKED;
}

enum dg_state dg_next_revoking(struct dg_incident *i, uint64_t now_us, struct dg_effects *fx)
{
	return DG_STATE_REVOKING;
}
