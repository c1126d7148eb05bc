/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The table of states.
 *
 *	state       what happens on entry                 goes on when       restart
 *	announced   TAKE                                  the kernel agrees  announced
 *	syncing     sync, mounts, protected               all have ended     syncing
 *	scanning    scan                                  it has ended       scanning
 *	acting      ladders, scans now and then           nobody climbs      scanning
 *	settling    sync, scan                            nobody is new      settling
 *	unmounting  unmount, and claim it (that goes on   no mount is left   unmounting
 *	            to the end); scan and sync, shut
 *	            down, detach where somebody was left
 *	verifying   scan; ACK or RELEASE                  the kernel agrees  verifying
 *	acked       (the kernel revokes)                  DONE               verifying
 *	revoking    (likewise, but it was not our doing)  DONE               verifying
 *	unbinding   unbind                                it has ended       -
 *	done, expired, abandoned, stayed                  -                  -
 *
 * A system device goes from syncing straight to verifying and is released.
 * A removal by a user goes from announced on at once, and from verifying to
 * unbinding or stayed, see incident-removal.c; no daemon goes on with that of another.
 * DONE ends every state; if it comes before our ACK, the state is expired.
 * Who starts when the hold has ended already begins in acked, if the record
 * says that the kernel had agreed, else in revoking. Any other restart first
 * goes through announced, and when it is not known whether the device carries
 * the system, or who is protected, through syncing.
 */
#include "core/incident-private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define JOB(job) (1U << DG_JOB_##job)

/* Scans are chosen when they start (module or /proc): SCAN here means either. */
const struct dg_state_row dg_state_table[_DG_STATE_MAX] = {
	[DG_STATE_ANNOUNCED] = {0, dg_next_announced, DG_STATE_ANNOUNCED},
	[DG_STATE_SYNCING] = {JOB(SYNC) | JOB(MOUNTS) | JOB(PROTECTED), dg_next_syncing,
			      DG_STATE_SYNCING},
	[DG_STATE_SCANNING] = {JOB(SCAN), dg_next_scanning, DG_STATE_SCANNING},
	[DG_STATE_ACTING] = {0, dg_next_acting, DG_STATE_SCANNING},
	[DG_STATE_SETTLING] = {JOB(SYNC) | JOB(SCAN), dg_next_settling, DG_STATE_SETTLING},
	[DG_STATE_UNMOUNTING] = {JOB(CLAIM) | JOB(UNMOUNT), dg_next_unmounting,
				 DG_STATE_UNMOUNTING},
	[DG_STATE_VERIFYING] = {JOB(SCAN), dg_next_verifying, DG_STATE_VERIFYING},
	[DG_STATE_ACKED] = {0, dg_next_acked, DG_STATE_VERIFYING},
	[DG_STATE_REVOKING] = {0, dg_next_revoking, DG_STATE_VERIFYING},
	[DG_STATE_UNBINDING] = {JOB(UNBIND), dg_next_unbinding, DG_STATE_UNBINDING},
	[DG_STATE_DONE] = {0, NULL, DG_STATE_DONE},
	[DG_STATE_EXPIRED] = {0, NULL, DG_STATE_EXPIRED},
	[DG_STATE_ABANDONED] = {0, NULL, DG_STATE_ABANDONED},
	[DG_STATE_STAYED] = {0, NULL, DG_STATE_STAYED},
};

/*
 * To take the driver away takes the kernel's time, and that of a hold if somebody came at
 * the last moment; who is killed in it would have it gone on without him.
 */
#define UNBIND_US (120 * SEC)

/*
 * A job's own bound, and whether it concerns file systems. The longest may
 * take what is left; a fraction of it where others must follow.
 */
static const struct {
	const char *name;
	uint64_t most_us; /* 0: StepTimeoutSec= */
	unsigned share;   /* at most 1/share of what is left; 0: whatever that is */
	bool of_fs;       /* nothing to do without a block device */
	bool writes;      /* senseless when the hardware is gone */
	bool of_hold;     /* done by the module, and only for what it holds */
} jobs[_DG_JOB_MAX] = {
	[DG_JOB_SYNC] = {"sync", 0, 2, true, true},
	[DG_JOB_MOUNTS] = {"mounts", 5 * SEC, 2, true, false},
	[DG_JOB_PROTECTED] = {"protected", 5 * SEC, 2, false, false},
	[DG_JOB_CLAIM] = {"claim", 60 * SEC, 1, true, false},
	[DG_JOB_UNMOUNT] = {"unmount", 0, 1, true, false},
	[DG_JOB_SHUTDOWN] = {"shutdown", 0, 1, true, false},
	[DG_JOB_DETACH] = {"detach", 0, 1, true, false},
	[DG_JOB_PROCSCAN] = {"procscan", 3 * SEC, 2, true, false},
	[DG_JOB_UNBIND] = {"unbind", UNBIND_US, 0, false, false},
	[DG_JOB_SCAN] = {"scan", 3 * SEC, 2, false, false},
	[DG_JOB_KERNEL_SYNC] = {"kernel-sync", 0, 2, true, true, true},
	[DG_JOB_KERNEL_SHUTDOWN] = {"kernel-shutdown", 0, 1, true, false, true},
};
/* What a job must leave over, so that somebody can still answer the kernel. */
#define ANSWER_US (500 * MSEC)
#define SHORTEST_US (100 * MSEC)

/* Runs beside the states; none waits for it. */
#define BACKGROUND (JOB(CLAIM) | JOB(KERNEL_SYNC))

/* The kernel ends a hold at its deadline. When nothing was heard by then, ask. */
#define OVERDUE_US (2 * SEC)
#define ASK_AGAIN_US (1 * SEC)
#define STUCK_US (15 * SEC)

const char *dg_job_name(enum dg_job job)
{
	return (unsigned)job < _DG_JOB_MAX ? jobs[job].name : "unknown";
}

const char *dg_job_end_name(enum dg_job_end end)
{
	static const char *const names[_DG_JOB_END_MAX] = {
		[DG_JOB_OK] = "ok",
		[DG_JOB_FAILED] = "failed",
		[DG_JOB_TIMEOUT] = "timeout",
	};

	return (unsigned)end < _DG_JOB_END_MAX ? names[end] : "unknown";
}

void dg_emit(struct dg_effects *fx, const struct dg_effect *effect)
{
	if (fx->n_items < DG_EFFECTS_MAX)
		fx->items[fx->n_items++] = *effect;
}

bool dg_effects_full(const struct dg_effects *fx)
{
	return fx->n_items >= DG_EFFECTS_MANY;
}

bool dg_has_mark(const struct dg_incident *i, enum dg_mark mark)
{
	return i->marks & (1U << mark);
}

void dg_mark(struct dg_incident *i, enum dg_mark mark, struct dg_effects *fx)
{
	if (dg_has_mark(i, mark))
		return;
	i->marks |= 1U << mark;
	dg_emit(fx, &(struct dg_effect){.kind = DG_EFFECT_MARK, .mark = mark});
}

void dg_wake_at(struct dg_incident *i, uint64_t at_us)
{
	if (at_us < i->wake_us)
		i->wake_us = at_us;
}

uint64_t dg_left(const struct dg_incident *i, uint64_t now_us)
{
	return i->deadline_us > now_us ? i->deadline_us - now_us : 0;
}

bool dg_is_waiting(const struct dg_incident *i)
{
	return i->running & ~BACKGROUND;
}

static uint64_t job_timeout(const struct dg_incident *i, enum dg_job job, uint64_t now_us)
{
	uint64_t most = jobs[job].most_us ?: i->step_timeout_us;
	uint64_t left = dg_left(i, now_us);

	if (jobs[job].share == 0)
		return most;
	left = left > ANSWER_US ? (left - ANSWER_US) / jobs[job].share : 0;
	if (most > left)
		most = left;
	return most > SHORTEST_US ? most : SHORTEST_US;
}

void dg_start_job(struct dg_incident *i, enum dg_job job, uint64_t now_us, struct dg_effects *fx)
{
	if (i->running & (1U << job))
		return;
	if ((jobs[job].of_fs && !i->has_block) || (jobs[job].writes && i->request.surprise)) {
		i->ends[job] = DG_JOB_OK;
		return;
	}
	if (jobs[job].of_hold && i->request.by_user) {
		i->ends[job] = DG_JOB_FAILED;
		return;
	}
	i->running |= 1U << job;
	dg_emit(fx, &(struct dg_effect){
			    .kind = DG_EFFECT_JOB,
			    .job = job,
			    .timeout_us = job_timeout(i, job, now_us),
		    });
}

void dg_start_scan(struct dg_incident *i, uint64_t now_us, struct dg_effects *fx)
{
	if (i->by_proc && !i->has_block)
		i->blind = true;
	if (i->blind)
		return;
	if (!(i->running & (JOB(SCAN) | JOB(PROCSCAN))))
		i->scan_began_us = now_us;
	dg_start_job(i, i->by_proc ? DG_JOB_PROCSCAN : DG_JOB_SCAN, now_us, fx);
}

static void enter(struct dg_incident *i, enum dg_state state, uint64_t now_us,
		  struct dg_effects *fx)
{
	uint32_t wanted = dg_state_table[state].jobs;

	i->state = state;
	i->phase = 0;
	i->retry_us = 0;
	if (state == DG_STATE_VERIFYING)
		i->by_proc = i->blind = false; /* only the module knows file systems */
	dg_emit(fx, &(struct dg_effect){.kind = DG_EFFECT_ENTER, .state = state});
	for (unsigned job = 0; job < _DG_JOB_MAX; job++) {
		if (!(wanted & (1U << job)))
			continue;
		if (job == DG_JOB_SCAN)
			dg_start_scan(i, now_us, fx);
		else
			dg_start_job(i, job, now_us, fx);
	}
}

static void advance(struct dg_incident *i, uint64_t now_us, struct dg_effects *fx)
{
	enum dg_state next;

	if (dg_state_is_final(i->state))
		return;
	i->wake_us = UINT64_MAX;
	for (;;) {
		next = dg_state_table[i->state].next(i, now_us, fx);
		/* It stays, or is over: who finishes it has set the state in that call. */
		if (next == i->state)
			break;
		enter(i, next, now_us, fx);
	}
	if (dg_state_is_final(i->state))
		return;
	dg_ask_for_time(i, now_us, fx);
	if (now_us >= i->overdue_us) {
		dg_emit(fx, &(struct dg_effect){.kind = DG_EFFECT_PENDING});
		i->overdue_us = now_us + ASK_AGAIN_US;
	}
	dg_wake_at(i, i->overdue_us);
}

static void set_deadline(struct dg_incident *i, const struct dg_request *request, uint64_t now_us)
{
	i->given_us = now_us + request->deadline_ms * MSEC;
	i->overdue_us = request->by_user ? UINT64_MAX : i->given_us + OVERDUE_US;
	dg_apply_budget(i);
}

bool dg_incident_is_stuck(const struct dg_incident *i, uint64_t now_us)
{
	return i->state < DG_STATE_ACKED && i->request.state < DG_KSTATE_REVOKING &&
	       now_us > i->given_us + STUCK_US;
}

int dg_incident_init(struct dg_incident *i, const struct dg_request *request,
		     const struct dg_policy *policy, const struct dg_incident_limits *limits,
		     uint64_t now_us)
{
	int r;

	*i = (struct dg_incident){
		.state = DG_STATE_ANNOUNCED,
		.first = DG_STATE_SYNCING,
		.reserve_us = limits->reserve_us,
		.step_timeout_us = limits->step_timeout_us,
		.wake_us = UINT64_MAX,
	};
	r = dg_request_copy(request, &i->request);
	if (r < 0)
		return r;
	for (size_t n = 0; n < request->n_targets; n++)
		if (request->targets[n].mode != DG_MODE_DEVDAX)
			i->has_block = true;
	i->began_us = now_us > request->elapsed_ms * MSEC ? now_us - request->elapsed_ms * MSEC : 0;
	dg_plan_init(&i->plan, policy, 0, limits->reserve_us);
	i->plan.is_held = !request->by_user;
	set_deadline(i, request, now_us);
	return 0;
}

void dg_incident_done(struct dg_incident *i)
{
	dg_request_done(&i->request);
	dg_plan_done(&i->plan);
	for (size_t n = 0; n < i->n_begun; n++) {
		dg_rule_done(i->begun[n]);
		free(i->begun[n]);
	}
	free(i->begun);
}

/* First what we are is said to the kernel. */
static void begin(struct dg_incident *i, uint64_t now_us, struct dg_effects *fx)
{
	enter(i, DG_STATE_ANNOUNCED, now_us, fx);
	if (!i->request.by_user) {
		i->asked = true;
		dg_emit(fx, &(struct dg_effect){.kind = DG_EFFECT_TAKE});
	}
	advance(i, now_us, fx);
}

enum dg_state dg_state_resume(enum dg_state state)
{
	return (unsigned)state < _DG_STATE_MAX ? dg_state_table[state].resume : DG_STATE_ANNOUNCED;
}

int dg_incident_start(struct dg_incident *i, const struct dg_story *story, uint64_t now_us,
		      struct dg_effects *fx)
{
	bool usable = story && story->id == i->request.id &&
		      strcmp(story->boot_id, i->request.boot_id) == 0;
	enum dg_state state, over = DG_STATE_REVOKING;
	int r;

	if (usable) {
		r = dg_restore(i, story);
		if (r < 0)
			return r;
		state = dg_state_resume(story->state);
		if (story->state == DG_STATE_ACKED)
			over = DG_STATE_ACKED;
		/* Final by its record, and yet it is pending: the record is wrong. */
		if (state > DG_STATE_SYNCING && !dg_state_is_final(state) && i->knows_mounts)
			i->first = state;
	}
	if (i->request.state >= DG_KSTATE_REVOKING) {
		/* The hold is over; what is left is to hear how it ended. */
		enter(i, over, now_us, fx);
		i->overdue_us = now_us + ASK_AGAIN_US;
		advance(i, now_us, fx);
		return 0;
	}
	begin(i, now_us, fx);
	return 0;
}

void dg_incident_job_ended(struct dg_incident *i, enum dg_job job, enum dg_job_end end,
			   uint64_t now_us, struct dg_effects *fx)
{
	if ((unsigned)job >= _DG_JOB_MAX || !(i->running & (1U << job)))
		return;
	i->running &= ~(1U << job);
	i->ends[job] = end;
	if (job == DG_JOB_SCAN && end != DG_JOB_OK) {
		i->by_proc = true;
		i->findings = (struct dg_findings){};
		dg_start_scan(i, now_us, fx);
	} else if (job == DG_JOB_PROCSCAN && end != DG_JOB_OK) {
		i->blind = true;
		i->findings = (struct dg_findings){};
	}
	if (i->blind)
		dg_plan_not_scanned(&i->plan, i->scan_began_us);
	advance(i, now_us, fx);
}

void dg_incident_exited(struct dg_incident *i, struct dg_process process, uint64_t now_us,
			struct dg_effects *fx)
{
	dg_plan_exited(&i->plan, process, now_us);
	/* What it leaves behind is seen by the next scan, which need not wait now. */
	if (i->scan_due_us > now_us + 10 * MSEC)
		i->scan_due_us = now_us + 10 * MSEC;
	advance(i, now_us, fx);
}

void dg_incident_missed(struct dg_incident *i, const struct dg_deed *deed, uint64_t now_us)
{
	dg_plan_missed(&i->plan, deed, now_us);
	dg_wake_at(i, i->plan.entries[deed->entry].due_us);
}

void dg_incident_await(struct dg_incident *i, struct dg_process process)
{
	dg_plan_await(&i->plan, process);
}

void dg_incident_awaited(struct dg_incident *i, struct dg_process process, size_t rung, bool well,
			 uint64_t now_us)
{
	dg_plan_awaited(&i->plan, process, rung, well, now_us);
	dg_wake_at(i, now_us);
}

void dg_incident_look_soon(struct dg_incident *i, uint64_t now_us)
{
	if (i->state != DG_STATE_ACTING)
		return;
	i->scan_due_us = now_us;
	dg_wake_at(i, now_us);
}

void dg_incident_timer(struct dg_incident *i, uint64_t now_us, struct dg_effects *fx)
{
	advance(i, now_us, fx);
}

void dg_incident_answered(struct dg_incident *i, int error, uint64_t now_us, struct dg_effects *fx)
{
	if (!i->asked)
		return;
	i->asked = false;
	i->answered = true;
	i->answer = error;
	advance(i, now_us, fx);
}

void dg_incident_seen(struct dg_incident *i, const struct dg_request *request, uint64_t now_us)
{
	if (dg_state_is_final(i->state))
		return;
	/* An EVENT that waited in the socket while we took it: its deadline is an old one. */
	if (i->taken && request->state == DG_KSTATE_ANNOUNCED)
		return;
	i->request.state = request->state;
	if (i->state == DG_STATE_ANNOUNCED && !i->asked)
		i->retry_us = 0;
	if (request->state < DG_KSTATE_REVOKING)
		set_deadline(i, request, now_us);
	else
		i->overdue_us = now_us + ASK_AGAIN_US;
	/* Many are named at once: each goes on in a turn of its own. */
	dg_wake_at(i, now_us);
}
