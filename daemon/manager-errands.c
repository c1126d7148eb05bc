/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Actions that take time of their own: the hooks of rules, and to ask the service
 * manager for something. Each in a step with its own deadline; the holder's grace
 * goes on meanwhile, and nothing waits for them.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "manager-acts.h"
#include "names.h"

/* An answer that a healthy service manager gives at once. */
#define STOP_TIMEOUT_US 5000000ULL

struct errand {
	struct incident *incident;
	struct errand *next;
	struct dg_process process;
	size_t rung;
	enum dg_action action;
	char unit[DG_UNIT_NAME_MAX];
	struct dg_record_writer input;
	uint64_t timeout_us;
	struct step *step; /* NULL: its turn has not come */
};

static void errand_free(struct errand *errand)
{
	dg_record_writer_done(&errand->input);
	free(errand);
}

static void take_out(struct errand *errand)
{
	struct errand **at = &errand->incident->errands;

	while (*at && *at != errand)
		at = &(*at)->next;
	if (*at)
		*at = errand->next;
}

void incident_tell_end(struct incident *incident, const struct deed_end *end)
{
	const struct dg_story_holder *told;
	const char *output = end->output;
	struct entry entry;

	if (*output && incident->n_outputs++ >= DG_OUTPUTS_MAX)
		output = "";

	entry_begin(&entry, "acted");
	entry_process(&entry, end->process);
	entry_text(&entry, "action", dg_action_name(end->action));
	entry_text(&entry, "outcome", end->outcome);
	entry_number(&entry, "rung", end->rung);
	entry_number(&entry, "status", end->status > 0 ? (uint64_t)end->status : 0);
	entry_number(&entry, "took_us", end->took_us);
	entry_text(&entry, "output", output);
	if (end->checkpoint)
		entry_text(&entry, "checkpoint", end->checkpoint);
	incident_write(incident, &entry);

	told = dg_story_find_holder(incident->story, end->process);
	for (size_t i = told ? told->n_actions : 0; i > 0; i--)
		if (told->actions[i - 1].rung == end->rung) {
			OBSERVE(incident->m, holder_acted, incident->story, told,
				&told->actions[i - 1]);
			break;
		}
}

/* What came of it. */
static void tell(const struct errand *errand, const char *outcome, int status, uint64_t took_us,
		 const char *output)
{
	const struct deed_end end = {
		.process = errand->process,
		.rung = errand->rung,
		.action = errand->action,
		.outcome = outcome,
		.status = status,
		.took_us = took_us,
		.output = output,
	};

	incident_tell_end(errand->incident, &end);
}

const char *hook_end(const struct step_outcome *outcome, int *ret_status, const char **ret_output)
{
	const char *cursor = outcome->output, *how = NULL, *output = NULL, *record;
	uint64_t status = 0;
	size_t n;

	record = dg_record_next(&cursor, outcome->output + outcome->n_output, &n);
	if (record) {
		how = dg_record_get(record, n, "HOW");
		output = dg_record_get(record, n, "OUTPUT");
		(void)!dg_record_get_u64(record, n, "STATUS", &status);
	}
	*ret_output = output ?: outcome->error;
	*ret_status = 0;
	if (outcome->end == STEP_TIMEOUT || (how && strcmp(how, "timeout") == 0))
		return "hook-timeout";
	if (outcome->end == STEP_OK && how && strcmp(how, "exited") == 0 && status == 0) {
		*ret_output = output ?: "";
		return "ok";
	}
	*ret_status = (int)status;
	return "hook-failed";
}

static void tell_hook(const struct errand *errand, const struct step_outcome *outcome)
{
	const char *output, *end;
	int status;

	end = hook_end(outcome, &status, &output);
	tell(errand, end, status, outcome->took_us, output);
}

static void tell_stop(const struct errand *errand, const struct step_outcome *outcome)
{
	if (outcome->end == STEP_OK)
		tell(errand, "asked", 0, outcome->took_us, "");
	else
		tell(errand, outcome->end == STEP_TIMEOUT ? "stop-timeout" : "stop-failed", 0,
		     outcome->took_us, outcome->error);
}

static void start_next(struct incident *incident);

static void on_step(void *userdata, const struct step_outcome *outcome)
{
	struct errand *errand = userdata;
	struct incident *incident = errand->incident;

	if (outcome->end == STEP_TIMEOUT || outcome->end == STEP_SIGNALED)
		incident->m->n_lost_steps++;
	if (errand->action == DG_ACTION_EXEC)
		tell_hook(errand, outcome);
	else
		tell_stop(errand, outcome);
	take_out(errand);
	errand_free(errand);
	start_next(incident);
}

static int start(struct errand *errand)
{
	bool is_hook = errand->action == DG_ACTION_EXEC;
	const char *const argv[] = {is_hook ? "hook" : "stop", NULL};

	return step_start_with(errand->incident->m->steps, argv, errand->input.data,
			       errand->input.n,
			       errand->timeout_us + (is_hook ? DG_HOOK_SLACK_US : 0), on_step,
			       errand, &errand->step);
}

/* In the order in which they came, so many at a time. */
static void start_next(struct incident *incident)
{
	size_t n_running = 0;

	for (struct errand *errand = incident->errands, *next; errand; errand = next) {
		int r = 0;

		next = errand->next;
		if (!errand->step && n_running < DG_ERRANDS_MAX)
			r = start(errand);
		n_running += errand->step != NULL;
		if (r >= 0)
			continue;
		incident->m->n_lost_steps++;
		tell(errand, errand->action == DG_ACTION_EXEC ? "hook-failed" : "stop-failed", 0, 0,
		     strerror(-r));
		take_out(errand);
		errand_free(errand);
	}
}

static struct errand *errand_new(struct incident *incident, const struct dg_deed *deed)
{
	struct errand *errand = calloc(1, sizeof(*errand));

	if (!errand)
		return NULL;
	errand->incident = incident;
	errand->process = incident->core.plan.entries[deed->entry].holder.process;
	errand->rung = deed->rung;
	errand->action = deed->action;
	return errand;
}

/* Takes it. It is started when the effects are carried out: its end may be told at once. */
static const char *enqueue(struct errand *errand)
{
	struct errand **at = &errand->incident->errands;

	while (*at)
		at = &(*at)->next;
	*at = errand;
	return "waiting";
}

const char *errand_stop(struct incident *incident, const struct dg_deed *deed, const char *unit)
{
	struct errand *errand = errand_new(incident, deed);
	int r = -ENOMEM;

	if (!errand)
		return "stop-failed";
	dg_record_field(&errand->input, "ADDRESS", incident->m->paths->systemd);
	dg_record_field(&errand->input, "UNIT", unit);
	r = dg_record_end(&errand->input);
	if (r < 0) {
		errand_free(errand);
		return "stop-failed";
	}
	errand->timeout_us = STOP_TIMEOUT_US;
	return enqueue(errand);
}

/* The program, then what it is told: see daxguard-step(8). */
static int write_input(struct errand *errand, const struct dg_deed *deed, const char *unit)
{
	const struct incident *incident = errand->incident;
	const struct dg_plan_entry *plan = &incident->core.plan.entries[deed->entry];
	const struct dg_request *request = &incident->core.request;
	const struct dg_story *story = incident->story;
	struct dg_record_writer *w = &errand->input;
	uint64_t now_us = manager_now(incident->m);
	uint64_t deadline_us = incident->core.deadline_us;
	int r;

	for (char **arg = plan->rule->exec; *arg; arg++)
		dg_record_field(w, "ARG", *arg);
	dg_record_field_u64(w, "TIMEOUT_MSEC", errand->timeout_us / 1000);
	r = dg_record_end(w);
	dg_record_field(w, "EVENT", dg_rule_event_name(DG_RULE_EVENT_PRE_REMOVE));
	dg_record_field_u64(w, "INCIDENT", request->id);
	dg_record_field(w, "DEVICE", request->device);
	dg_record_field(w, "BUS", request->bus);
	dg_record_field(w, "DRIVER", request->driver);
	dg_record_field_u64(w, "SURPRISE", request->surprise);
	dg_record_field_u64(w, "DEADLINE_MSEC",
			    deadline_us > now_us ? (deadline_us - now_us) / 1000 : 0);
	dg_record_field_u64(w, "PID", (uint64_t)plan->holder.process.pid);
	dg_record_field_u64(w, "START_NSEC", plan->holder.process.start_ns);
	dg_record_field(w, "COMM", plan->holder.comm);
	dg_record_field_u64(w, "UID", plan->holder.uid);
	if (*unit)
		dg_record_field(w, "UNIT", unit);
	dg_record_field(w, "RULE", plan->rule->name);
	dg_record_field_u64(w, "GRACE_MSEC", deed->grace_ms);
	dg_record_field_u64(w, "TIMEOUT_MSEC", errand->timeout_us / 1000);
	for (size_t i = 0; i < request->n_targets; i++)
		dg_record_field(w, "TARGETS", request->targets[i].name);
	for (size_t i = 0; i < story->n_mounts; i++)
		if (story->mounts[i].host)
			dg_record_field(w, "MOUNTS", story->mounts[i].path);
	return r < 0 ? r : dg_record_end(w);
}

const char *errand_exec(struct incident *incident, const struct dg_deed *deed, const char *unit)
{
	const struct dg_rule *rule = incident->core.plan.entries[deed->entry].rule;
	uint64_t now_us = manager_now(incident->m), deadline_us = incident->core.deadline_us;
	uint64_t left_us = deadline_us > now_us ? deadline_us - now_us : 0;
	struct errand *errand = errand_new(incident, deed);

	if (!errand)
		return "hook-failed";
	errand->timeout_us = rule->exec_timeout_ms * UINT64_C(1000);
	if (errand->timeout_us > left_us)
		errand->timeout_us = left_us;
	if (write_input(errand, deed, unit) < 0) {
		errand_free(errand);
		return "hook-failed";
	}
	return enqueue(errand);
}

void errands_start(struct incident *incident)
{
	start_next(incident);
}

void errands_cancel(struct incident *incident, bool told)
{
	while (incident->errands) {
		struct errand *errand = incident->errands;

		if (errand->step)
			step_cancel(errand->step);
		if (told)
			tell(errand, "canceled", 0, 0, "");
		incident->errands = errand->next;
		errand_free(errand);
	}
}

/* Died with the daemon that had begun them; they are not begun again. */
void errands_inherit(struct incident *incident)
{
	struct dg_story *story = incident->story;

	for (size_t i = 0; i < story->n_holders; i++)
		for (size_t k = 0; k < story->holders[i].n_actions; k++) {
			const struct dg_story_action *action = &story->holders[i].actions[k];
			struct errand lost = {
				.incident = incident,
				.process = story->holders[i].process,
				.rung = action->rung,
				.action = action->action,
			};

			if (action->action != DG_ACTION_EXEC && action->action != DG_ACTION_STOP)
				continue;
			if (!*action->outcome || strcmp(action->outcome, "waiting") == 0)
				tell(&lost, "lost", 0, 0, "");
		}
}

bool errands_own(const struct manager *m, pid_t pid)
{
	for (size_t i = 0; i < m->n_open; i++)
		for (const struct errand *errand = m->open[i]->errands; errand;
		     errand = errand->next)
			if (errand->step && step_pid(errand->step) == pid)
				return true;
	return false;
}

bool errands_any(const struct manager *m)
{
	for (size_t i = 0; i < m->n_open; i++)
		if (m->open[i]->errands)
			return true;
	return false;
}
