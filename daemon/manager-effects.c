/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the core asks for, done; always written down before it is done. */
#include <errno.h>
#include <string.h>

#include "manager-acts.h"
#include "manager-registrations.h"

static void enter_state(struct incident *incident, enum dg_state state)
{
	struct manager *m = incident->m;
	enum dg_state old = incident->story->state;

	incident_write_text(incident, "state", "name", dg_state_name(state));
	log_state(m, incident->story);
	OBSERVE(m, incident_changed, incident->story, old);
}

static void act(struct incident *incident, const struct dg_deed *deed)
{
	const struct dg_plan_entry *plan = &incident->core.plan.entries[deed->entry];
	const struct dg_story_holder *told;
	struct entry entry;
	struct act done;

	entry_begin(&entry, "act");
	entry_process(&entry, plan->holder.process);
	entry_text(&entry, "action", dg_action_name(deed->action));
	entry_number(&entry, "grace_ms", deed->grace_ms);
	entry_number(&entry, "rung", deed->rung);
	incident_write(incident, &entry);

	incident_act(incident, deed, &done);

	entry_begin(&entry, "acted");
	entry_process(&entry, plan->holder.process);
	entry_text(&entry, "action", dg_action_name(deed->action));
	entry_text(&entry, "outcome", done.outcome);
	entry_number(&entry, "rung", deed->rung);
	entry_text(&entry, "unit", done.unit);
	if (*done.checkpoint) {
		entry_text(&entry, "checkpoint", done.checkpoint);
		entry_number(&entry, "root_ns", done.root_ns);
	}
	if (done.refused && done.refused != done.outcome)
		entry_text(&entry, "output", done.refused);
	incident_write(incident, &entry);

	told = dg_story_find_holder(incident->story, plan->holder.process);
	if (told && told->n_actions > 0)
		OBSERVE(incident->m, holder_acted, incident->story, told,
			&told->actions[told->n_actions - 1]);
	errands_start(incident);
	dumps_start(incident);
}

static void free_holder(struct incident *incident, size_t n, const char *how)
{
	struct entry entry;

	/* Its exit may be seen by a scan before its pidfd has had its turn. */
	if (strcmp(how, "unmapped") == 0 && incident_has_exited(incident, n))
		how = "exited";
	entry_begin(&entry, "freed");
	entry_process(&entry, incident->core.plan.entries[n].holder.process);
	entry_text(&entry, "how", how);
	incident_write(incident, &entry);
}

static void answer(struct incident *incident, int error)
{
	dg_incident_answered(&incident->core, error, manager_now(incident->m), &incident->effects);
}

static void say_to_kernel(struct incident *incident, enum dg_effect_kind kind)
{
	const struct dg_request *request = &incident->core.request;
	struct klink *link = incident->m->link;
	int r;

	if (kind == DG_EFFECT_TAKE)
		r = klink_take(link, request->id);
	else if (kind == DG_EFFECT_ACK)
		r = klink_ack(link, request->id, request->cookie);
	else
		r = klink_release(link, request->id, request->cookie);
	if (r < 0)
		incident_write_text(incident, "note", "text", klink_error(link));
	answer(incident, r);
}

/* What it gives is asked for like any deadline. */
static void extend(struct incident *incident, uint64_t time_us)
{
	const struct dg_request *request = &incident->core.request;
	struct klink *link = incident->m->link;

	if (klink_extend(link, request->id, request->cookie, (uint32_t)(time_us / 1000)) < 0)
		incident_write_text(incident, "note", "text", klink_error(link));
	else
		module_refresh(incident->m);
}

static void end(struct incident *incident, enum dg_state state, const char *outcome)
{
	struct entry entry;

	errands_cancel(incident, true);
	dumps_cancel(incident, true);
	units_thaw(incident->m, incident->record, incident->story);
	for (size_t i = 0; i < incident->core.plan.n_entries; i++) {
		const char *how = dg_incident_end_of(&incident->core, i);

		if (how)
			free_holder(incident, i, how);
	}
	if (incident->core.has_done)
		incident_write_done(incident);
	entry_begin(&entry, "end");
	entry_text(&entry, "state", dg_state_name(state));
	entry_text(&entry, "outcome", outcome);
	incident_write(incident, &entry);
}

void incident_effect(struct incident *incident, const struct dg_effect *effect)
{
	switch (effect->kind) {
	case DG_EFFECT_ENTER:
		enter_state(incident, effect->state);
		break;
	case DG_EFFECT_MARK:
		incident_write_text(incident, "mark", "name", dg_mark_name(effect->mark));
		break;
	case DG_EFFECT_NOTE:
		incident_write_text(incident, "note", "text", effect->note);
		break;
	case DG_EFFECT_DEVICE_RULE:
		incident_write_device_rule(incident);
		break;
	case DG_EFFECT_EXTEND:
		extend(incident, effect->timeout_us);
		break;
	case DG_EFFECT_HOLDER:
		incident_write_rule(incident, incident->core.plan.entries[effect->entry].rule);
		incident_write_holder(incident, &incident->core.plan.entries[effect->entry]);
		incident_watch(incident, effect->entry);
		cooperation_begin(incident, effect->entry);
		break;
	case DG_EFFECT_DEED:
		act(incident, &effect->deed);
		break;
	case DG_EFFECT_FREED:
		free_holder(incident, effect->entry, effect->note);
		break;
	case DG_EFFECT_JOB:
		incident_start_job(incident, effect->job, effect->timeout_us);
		break;
	case DG_EFFECT_CANCEL:
		incident_cancel_jobs(incident);
		break;
	case DG_EFFECT_TAKE:
	case DG_EFFECT_ACK:
	case DG_EFFECT_RELEASE:
		say_to_kernel(incident, effect->kind);
		break;
	case DG_EFFECT_PENDING:
		module_refresh(incident->m);
		break;
	case DG_EFFECT_END:
		end(incident, effect->state, effect->note);
		break;
	}
}
