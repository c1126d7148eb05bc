/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "core/forecast.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define BEGIN_US 1000000ULL /* times of 0 have a meaning of their own */
#define MSEC 1000ULL
#define TURNS_MAX 100000 /* inputs, of which a hold of an hour with thousands has fewer */

/* The world that the incident is in. */
struct world {
	const struct dg_forecast_input *input;
	struct dg_forecast *forecast;
	struct dg_incident *incident;
	struct dg_effects fx;
	uint64_t now_us, end_us; /* end: when the kernel would go on by itself */
	uint32_t running;        /* bit per enum dg_job */
	struct dg_holder *left;  /* those who were not killed before the last scan */
	bool *killed;            /* … and who were since; by left */
	size_t n_left;
	bool truncated;
	bool mounted, shut_down;
	int error;
};

static struct dg_forecast_ladder *ladder_of(struct world *w, size_t entry)
{
	struct dg_forecast *forecast = w->forecast;
	size_t n = w->incident->plan.n_entries;
	struct dg_forecast_ladder *grown;

	if (entry >= forecast->n_ladders) {
		grown = reallocarray(forecast->ladders, n, sizeof(*grown));
		if (!grown)
			return NULL;
		memset(grown + forecast->n_ladders, 0, (n - forecast->n_ladders) * sizeof(*grown));
		forecast->ladders = grown;
		forecast->n_ladders = n;
	}
	return &forecast->ladders[entry];
}

static void do_kill(struct world *w, struct dg_process process)
{
	const struct dg_holder_list list = {.items = w->left, .n_items = w->n_left};
	const struct dg_holder *holder = dg_holders_find(&list, process);

	if (holder)
		w->killed[holder - w->left] = true;
}

/* The next scan does not find them any more. */
static void remove_killed(struct world *w)
{
	size_t n = 0;

	for (size_t i = 0; i < w->n_left; i++)
		if (!w->killed[i])
			w->left[n++] = w->left[i];
	memset(w->killed, 0, w->n_left * sizeof(*w->killed));
	w->n_left = n;
}

static void do_deed(struct world *w, const struct dg_deed *deed)
{
	struct dg_forecast_ladder *ladder = ladder_of(w, deed->entry);

	if (!ladder) {
		w->error = -ENOMEM;
		return;
	}
	if (ladder->n_rungs < DG_LADDER_MAX)
		ladder->rungs[ladder->n_rungs++] = (struct dg_forecast_rung){
			.action = deed->action,
			.grace_ms = deed->grace_ms,
			.at_us = w->now_us - BEGIN_US,
			.skipped = deed->skipped,
		};
	if (deed->action == DG_ACTION_KILL && !deed->skipped) {
		ladder->end = "killed";
		do_kill(w, w->incident->plan.entries[deed->entry].holder.process);
	}
}

static void see(struct world *w)
{
	struct dg_request request = *w->input->request;

	request.state = DG_KSTATE_TAKEN;
	request.deadline_ms =
		w->end_us > w->now_us ? (uint32_t)((w->end_us - w->now_us) / MSEC) : 0;
	dg_incident_seen(w->incident, &request, w->now_us);
}

static void extend(struct world *w, uint64_t time_us)
{
	uint64_t cap_us = BEGIN_US + w->input->request->cap_ms * MSEC;

	w->end_us = w->now_us + time_us < cap_us ? w->now_us + time_us : cap_us;
	see(w);
}

static void choose(struct world *w)
{
	if (dg_incident_choose(w->incident, w->input->device, &w->fx) < 0)
		w->error = -ENOMEM;
}

static void do_effect(struct world *w, const struct dg_effect *effect)
{
	switch (effect->kind) {
	case DG_EFFECT_TAKE:
	case DG_EFFECT_ACK:
	case DG_EFFECT_RELEASE:
		dg_incident_answered(w->incident, 0, w->now_us, &w->fx);
		break;
	case DG_EFFECT_PENDING:
		see(w);
		break;
	case DG_EFFECT_EXTEND:
		extend(w, effect->timeout_us);
		break;
	case DG_EFFECT_JOB:
		w->running |= 1U << effect->job;
		break;
	case DG_EFFECT_CANCEL:
		w->running = 0;
		break;
	case DG_EFFECT_DEED:
		do_deed(w, &effect->deed);
		break;
	case DG_EFFECT_ENTER:
	case DG_EFFECT_MARK:
	case DG_EFFECT_NOTE:
	case DG_EFFECT_HOLDER:
	case DG_EFFECT_FREED:
	case DG_EFFECT_DEVICE_RULE:
	case DG_EFFECT_END:
		break;
	}
}

/* What an effect brings comes behind those that are there already. */
static void carry_out(struct world *w)
{
	for (size_t i = 0; i < w->fx.n_items; i++) {
		struct dg_effect effect = w->fx.items[i];

		do_effect(w, &effect);
	}
	w->fx.n_items = 0;
}

static void end_scan(struct world *w, enum dg_job job)
{
	const struct dg_fs_list none = {};
	const struct dg_fs_list *fs = w->mounted && !w->shut_down ? w->input->fs : &none;
	struct dg_holder_list holders = {w->left, 0, w->truncated};

	remove_killed(w);
	holders.n_items = w->n_left;
	if (dg_incident_scanned(w->incident, job, &holders, w->input->fs ? fs : NULL, w->now_us,
				&w->fx) < 0)
		w->error = -ENOMEM;
}

/* Our own have nothing open there when it counts. */
static bool is_busy(const struct world *w)
{
	for (size_t i = 0; i < w->n_left; i++)
		if (w->left[i].exempt != DG_EXEMPT_SELF && w->left[i].exempt != DG_EXEMPT_STEP)
			return true;
	return false;
}

static enum dg_job_end end_unmount(struct world *w, enum dg_job job)
{
	bool busy = job == DG_JOB_UNMOUNT && is_busy(w);
	struct dg_mount_list left = {};

	for (size_t i = 0; w->input->mounts && i < w->input->mounts->n_items; i++)
		left.n_locked += w->input->mounts->items[i].locked;
	if (w->input->mounts && busy) {
		left.n_failed = left.n_items = w->input->mounts->n_items;
		left.items = w->input->mounts->items;
	} else {
		left.n_failed = left.n_items = left.n_locked;
	}
	dg_incident_mounts(w->incident, job, &left, &w->fx);
	if (busy || left.n_locked > 0)
		return DG_JOB_FAILED;
	if (job == DG_JOB_UNMOUNT)
		w->mounted = false;
	return DG_JOB_OK;
}

static enum dg_job_end end_mounts(struct world *w)
{
	if (!w->input->mounts)
		return DG_JOB_FAILED;
	dg_incident_mounts(w->incident, DG_JOB_MOUNTS, w->input->mounts, &w->fx);
	choose(w);
	return DG_JOB_OK;
}

static void end_job(struct world *w, enum dg_job job)
{
	enum dg_job_end end = DG_JOB_OK;

	switch (job) {
	case DG_JOB_SCAN:
	case DG_JOB_PROCSCAN:
		end_scan(w, job);
		return;
	case DG_JOB_MOUNTS:
		end = end_mounts(w);
		break;
	case DG_JOB_PROTECTED:
		end = w->input->knows_protected ? DG_JOB_OK : DG_JOB_FAILED;
		break;
	case DG_JOB_UNMOUNT:
	case DG_JOB_DETACH:
		end = end_unmount(w, job);
		break;
	case DG_JOB_KERNEL_SHUTDOWN:
		w->shut_down = true;
		break;
	case DG_JOB_SYNC:
	case DG_JOB_SHUTDOWN:
	case DG_JOB_KERNEL_SYNC:
	case DG_JOB_CLAIM:
	case DG_JOB_UNBIND:
	case _DG_JOB_MAX:
		break;
	}
	dg_incident_job_ended(w->incident, job, end, w->now_us, &w->fx);
}

/* False: there is none to end. */
static bool end_next_job(struct world *w)
{
	/* The claim lasts until it is canceled. */
	uint32_t running = w->running & ~(1U << DG_JOB_CLAIM);
	enum dg_job job;

	if (running == 0)
		return false;
	job = (enum dg_job)__builtin_ctz(running);
	w->running &= ~(1U << job);
	end_job(w, job);
	return true;
}

static void end_hold(struct world *w, enum dg_result result)
{
	const struct dg_done done = {.result = result, .revoke = DG_REVOKE_CLEAN};

	dg_incident_ended(w->incident, &done, w->now_us, &w->fx);
}

/* One input, whatever comes next. */
static void turn(struct world *w)
{
	struct dg_incident *i = w->incident;
	bool released = i->marks & (1U << DG_MARK_RELEASED);

	if (i->state == DG_STATE_ACKED)
		end_hold(w, released ? DG_RESULT_RELEASED : DG_RESULT_ACKED);
	else if (end_next_job(w))
		;
	else if (i->wake_us >= w->end_us && !i->request.by_user)
		end_hold(w, DG_RESULT_TIMEOUT);
	else {
		if (i->wake_us > w->now_us)
			w->now_us = i->wake_us;
		dg_incident_timer(i, w->now_us, &w->fx);
	}
	carry_out(w);
}

static int work_through(struct world *w)
{
	int r = dg_incident_start(w->incident, NULL, w->now_us, &w->fx);

	if (r < 0)
		return r;
	/* As it is when the mounts cannot be told, or there can be none. */
	if (!w->input->mounts || !w->incident->has_block)
		choose(w);
	carry_out(w);
	for (unsigned n = 0; !w->incident->outcome && w->error == 0; n++) {
		if (n >= TURNS_MAX)
			return -ELOOP;
		turn(w);
	}
	return w->error;
}

static int name_ends(struct world *w)
{
	const struct dg_plan *plan = &w->incident->plan;

	if (plan->n_entries > 0 && !ladder_of(w, plan->n_entries - 1))
		return -ENOMEM;
	for (size_t i = 0; i < plan->n_entries; i++)
		if (!w->forecast->ladders[i].end)
			w->forecast->ladders[i].end = dg_entry_state_name(plan->entries[i].state);
	return 0;
}

static int world_init(struct world *w, const struct dg_forecast_input *input,
		      struct dg_forecast *forecast)
{
	size_t n = input->holders->n_items;
	int r;

	*w = (struct world){
		.input = input,
		.forecast = forecast,
		.incident = &forecast->incident,
		.now_us = BEGIN_US,
		.end_us = BEGIN_US + input->request->deadline_ms * MSEC,
		.truncated = input->holders->truncated,
		.mounted = true,
	};
	forecast->cut = n > DG_FORECAST_HOLDERS_MAX;
	w->n_left = forecast->cut ? DG_FORECAST_HOLDERS_MAX : n;
	w->left = calloc(w->n_left + 1, sizeof(*w->left));
	w->killed = calloc(w->n_left + 1, sizeof(*w->killed));
	if (!w->left || !w->killed)
		return -ENOMEM;
	if (w->n_left > 0)
		memcpy(w->left, input->holders->items, w->n_left * sizeof(*w->left));
	r = dg_incident_init(w->incident, input->request, input->policy, &input->limits, w->now_us);
	w->incident->plan.no_criu = input->no_criu;
	return r;
}

int dg_forecast(const struct dg_forecast_input *input, struct dg_forecast *ret)
{
	struct dg_forecast forecast = {};
	struct world *w = calloc(1, sizeof(*w));
	int r;

	if (!w)
		return -ENOMEM;
	r = world_init(w, input, &forecast);
	if (r >= 0)
		r = work_through(w);
	if (r >= 0)
		r = name_ends(w);
	free(w->left);
	free(w->killed);
	free(w);
	if (r < 0) {
		dg_forecast_done(&forecast);
		return r;
	}
	*ret = forecast;
	return 0;
}

void dg_forecast_done(struct dg_forecast *forecast)
{
	dg_incident_done(&forecast->incident);
	free(forecast->ladders);
	*forecast = (struct dg_forecast){};
}

const struct dg_plan_entry *dg_forecast_find(const struct dg_forecast *forecast,
					     struct dg_process process,
					     const struct dg_forecast_ladder **ret_ladder)
{
	const struct dg_plan *plan = &forecast->incident.plan;

	for (size_t i = 0; i < plan->n_entries; i++)
		if (dg_process_equal(plan->entries[i].holder.process, process)) {
			*ret_ladder = &forecast->ladders[i];
			return &plan->entries[i];
		}
	return NULL;
}
