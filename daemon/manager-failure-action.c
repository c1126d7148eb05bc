/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a device's rule wants done about failures: for metadata of a file system, and
 * when there are too many. Nothing is done before everybody who maps failed pages has
 * been told, nothing beside a removal of the device, and nothing twice.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>

#include "manager-acts.h"
#include "manager-failure.h"
#include "names.h"

#define SYNC_US 30000000ULL
#define WAIT_US 10000000ULL /* for the ledger, and for the device to be known */
#define AGAIN_US 100000ULL  /* they are looked for */

static void reaction_write(struct reaction *reaction, const char *outcome, uint64_t removal,
			   int status, uint64_t took_us, const char *output)
{
	struct entry entry;

	entry_begin(&entry, "reaction");
	entry_text(&entry, "cause", dg_cause_name(reaction->cause));
	entry_text(&entry, "action", dg_reaction_name(reaction->action));
	entry_text(&entry, "rule", reaction->failure->rule->name);
	entry_text(&entry, "outcome", outcome);
	entry_number(&entry, "removal", removal);
	entry_number(&entry, "status", status > 0 ? (uint64_t)status : 0);
	entry_number(&entry, "took_us", took_us);
	entry_text(&entry, "output", output);
	failure_write(reaction->failure, &entry);
}

/* A sync is in the record only: there may be one for each of many failures. */
static void log_reaction(const struct reaction *reaction, const char *outcome, uint64_t removal)
{
	const struct failure *failure = reaction->failure;
	char why[96] = "metadata of a file system", number[48] = "";

	if (reaction->action == DG_REACTION_SYNC)
		return;
	if (reaction->cause == DG_CAUSE_LIMIT)
		snprintf(why, sizeof(why), "%" PRIu64 " pages, which is the limit",
			 failure->story->limit.count);
	if (removal > 0)
		snprintf(number, sizeof(number), " (daxguardctl show %" PRIu64 ")", removal);
	log_message(failure->m, LOG_WARNING, NULL, "Memory of %s has failed, %s: %s by %s: %s%s",
		    failure->story->device, why, dg_reaction_name(reaction->action),
		    failure->rule->name, outcome, number);
}

static void finish(struct reaction *reaction, const char *outcome, uint64_t removal, int status,
		   uint64_t took_us, const char *output)
{
	reaction->over = true;
	reaction_write(reaction, outcome, removal, status, took_us, output);
	log_reaction(reaction, outcome, removal);
}

static void want(struct reaction *reaction, enum dg_reaction action)
{
	if (action == DG_REACTION_NONE || reaction->wanted)
		return;
	reaction->wanted = true;
	reaction->action = action;
	reaction_write(reaction, "waiting", 0, 0, 0, "");
}

void failure_metadata(struct failure *failure)
{
	want(&failure->reactions[DG_CAUSE_METADATA], failure->rule->metadata);
	failure_go_on(failure);
}

/* What a daemon has begun that died is not begun again. */
void reactions_begin(struct failure *failure)
{
	for (unsigned i = 0; i < _DG_CAUSE_MAX; i++) {
		const struct dg_story_reaction *before = &failure->story->reactions[i];
		struct reaction *reaction = &failure->reactions[i];

		*reaction = (struct reaction){
			.failure = failure,
			.cause = i,
			.action = before->action,
			.wanted = before->outcome[0],
		};
		reaction->over = reaction->wanted && strcmp(before->outcome, "waiting") != 0;
		if (strcmp(before->outcome, "begun") == 0)
			finish(reaction, "lost", 0, 0, 0, "");
	}
	limit_begin(failure);
}

static void start_removal(struct reaction *reaction, const struct manager_device *device)
{
	uint64_t id = 0;
	int r = manager_remove(reaction->failure->m, device, false, &id);

	if (r >= 0)
		finish(reaction, "asked", id, 0, 0, "");
	else if (r == -EPERM)
		finish(reaction, "system-device", 0, 0, 0, "");
	else if (r == -ENXIO)
		finish(reaction, "no-driver", 0, 0, 0, "");
	else
		finish(reaction, "failed", 0, 0, 0, strerror(-r));
}

static void on_step(void *userdata, const struct step_outcome *outcome)
{
	struct reaction *reaction = userdata;
	const char *output = outcome->error, *end = "failed";
	int status = outcome->status;

	reaction->step = NULL;
	if (outcome->end == STEP_TIMEOUT || outcome->end == STEP_SIGNALED)
		reaction->failure->m->n_lost_steps++;
	if (reaction->action == DG_REACTION_EXEC)
		end = hook_end(outcome, &status, &output);
	else if (outcome->end == STEP_OK)
		end = "ok";
	else if (outcome->end == STEP_TIMEOUT)
		end = "timeout";
	finish(reaction, end, 0, status, outcome->took_us, output);
	failure_go_on(reaction->failure);
}

static int start_sync(struct reaction *reaction, const struct manager_device *device)
{
	struct dg_request request;
	struct dg_target target;
	const char **argv;
	int r;

	removal_request(device, false, &target, &request);
	argv = block_devices(&request, "sync");
	if (!argv)
		return -ENOMEM;
	/* With an input, if an empty one: those that are kept ready are for removals. */
	r = step_start_with(reaction->failure->m->steps, argv, "", 0, SYNC_US, on_step, reaction,
			    &reaction->step);
	free(argv);
	return r;
}

/* The program, then what it is told: see daxguard-step(8). */
static int write_input(struct reaction *reaction, const struct manager_device *device)
{
	const struct failure *failure = reaction->failure;
	const struct dg_device_rule *rule = failure->rule;
	struct dg_record_writer *w = &reaction->input;
	int r;

	for (char **arg = rule->exec; *arg; arg++)
		dg_record_field(w, "ARG", *arg);
	dg_record_field_u64(w, "TIMEOUT_MSEC", rule->exec_timeout_ms);
	r = dg_record_end(w);
	dg_record_field(w, "EVENT", dg_rule_event_name(DG_RULE_EVENT_MEMORY_FAILURE));
	dg_record_field_u64(w, "INCIDENT", failure->id);
	dg_record_field(w, "DEVICE", device->ns_device);
	if (device->uuid[0])
		dg_record_field(w, "NAMESPACE", device->uuid);
	dg_record_field(w, "DRIVER", device->driver);
	dg_record_field(w, "RULE", rule->name);
	dg_record_field_u64(w, "TIMEOUT_MSEC", rule->exec_timeout_ms);
	dg_record_field_u64(w, "FAILED_PAGES", failure->story->limit.count);
	dg_record_field_u64(w, "FAILURE_LIMIT", rule->limit.pages);
	dg_record_field(w, "TARGETS", device->name);
	for (size_t i = 0; i < device->n_mounts; i++)
		dg_record_field(w, "MOUNTS", device->mounts[i].path);
	return r < 0 ? r : dg_record_end(w);
}

static int start_hook(struct reaction *reaction, const struct manager_device *device)
{
	static const char *const argv[] = {"hook", NULL};
	struct dg_record_writer *w = &reaction->input;
	uint64_t time_us = reaction->failure->rule->exec_timeout_ms * UINT64_C(1000);
	int r;

	/* The rules may have changed since a daemon before us has written down what is to be done.
	 */
	if (!reaction->failure->rule->exec)
		return -ENOEXEC;
	r = write_input(reaction, device);
	if (r < 0)
		return r;
	return step_start_with(reaction->failure->m->steps, argv, w->data, w->n,
			       time_us + DG_HOOK_SLACK_US, on_step, reaction, &reaction->step);
}

static void start(struct reaction *reaction, const struct manager_device *device)
{
	int r;

	reaction_write(reaction, "begun", 0, 0, 0, "");
	if (reaction->action == DG_REACTION_REMOVE) {
		start_removal(reaction, device);
		return;
	}
	r = reaction->action == DG_REACTION_SYNC ? start_sync(reaction, device)
						 : start_hook(reaction, device);
	if (r < 0)
		finish(reaction, reaction->action == DG_REACTION_SYNC ? "failed" : "hook-failed", 0,
		       0, 0, strerror(-r));
}

static bool may_wait(const struct failure *failure)
{
	return !failure->settled || manager_now(failure->m) < failure->settled_us + WAIT_US;
}

/* For an earlier failure of the device: one is enough, and if it hangs, more would hang too. */
static bool is_running(const struct reaction *reaction)
{
	for (const struct failure *f = failures_first(reaction->failure->m); f; f = f->next)
		if (f->dev == reaction->failure->dev && f->reactions[reaction->cause].step)
			return true;
	return false;
}

/* A removal does all that could be done about it. NULL: it may be done, or is to be tried again. */
static const char *why_not(const struct reaction *reaction, const struct manager_device *device,
			   uint64_t removal)
{
	const struct failure *failure = reaction->failure;

	if (failure->core.marks & DG_BURST_GONE)
		return "gone";
	if (removal > 0 || failure->core.marks & DG_BURST_REMOVED)
		return "under-way";
	if (is_running(reaction))
		return "running";
	return device || may_wait(failure) ? NULL : "gone";
}

static void try(struct reaction *reaction)
{
	struct failure *failure = reaction->failure;
	const struct manager_device *device =
		devices_find(failure->m, failure->dev, failure->mode == DG_MODE_DEVDAX);
	uint64_t removal = device ? manager_device_incident(failure->m, device) : 0;
	const char *why = why_not(reaction, device, removal);

	if (why)
		finish(reaction, why, removal, 0, 0, "");
	else if (device)
		start(reaction, device);
}

/* Of the same device, which has people still to tell: of what the ledger has, too. */
static bool has_next(const struct failure *failure)
{
	for (const struct failure *f = failures_first(failure->m); f; f = f->next)
		if (f->dev == failure->dev && !f->settled)
			return true;
	return false;
}

void reactions_judge(struct failure *failure)
{
	if (failure->judged || limit_is_unknown(failure))
		return;
	failure->judged = failure->settled;
	/* The ledger was not read before; the next one counts for both. */
	if (failure->settled && has_next(failure))
		return;
	if (limit_is_reached(failure))
		want(&failure->reactions[DG_CAUSE_LIMIT], failure->rule->reaction);
}

void reactions_go_on(struct failure *failure)
{
	reactions_judge(failure);
	for (unsigned i = 0; i < _DG_CAUSE_MAX; i++) {
		struct reaction *reaction = &failure->reactions[i];

		if (reaction->wanted && !reaction->over && !reaction->step)
			try(reaction);
	}
}

bool reactions_wait(const struct failure *failure, uint64_t *ret_until_us)
{
	bool runs = false, waits = !failure->judged && may_wait(failure);

	for (unsigned i = 0; i < _DG_CAUSE_MAX; i++) {
		const struct reaction *reaction = &failure->reactions[i];

		runs |= reaction->step != NULL;
		waits |= reaction->wanted && !reaction->over && !reaction->step;
	}
	/* A step has its deadline, and wakes it. */
	*ret_until_us = waits ? manager_now(failure->m) + AGAIN_US : UINT64_MAX;
	return runs || waits;
}

void reactions_cancel(struct failure *failure)
{
	for (unsigned i = 0; i < _DG_CAUSE_MAX; i++) {
		struct reaction *reaction = &failure->reactions[i];

		if (reaction->step)
			step_cancel(reaction->step);
		dg_record_writer_done(&reaction->input);
	}
}

static const struct reaction *hook_of(const struct failure *failure)
{
	for (unsigned i = 0; i < _DG_CAUSE_MAX; i++)
		if (failure->reactions[i].step && failure->reactions[i].action == DG_REACTION_EXEC)
			return &failure->reactions[i];
	return NULL;
}

bool reactions_own(const struct manager *m, pid_t pid)
{
	for (const struct failure *f = failures_first(m); f; f = f->next)
		if (hook_of(f) && step_pid(hook_of(f)->step) == pid)
			return true;
	return false;
}

bool reactions_hooks(const struct manager *m)
{
	for (const struct failure *f = failures_first(m); f; f = f->next)
		if (hook_of(f))
			return true;
	return false;
}
