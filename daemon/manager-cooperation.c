/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Programs that have registered, in a removal: when they are told, and what they say. What
 * they say is no more than a reason to look again; docs/cooperation.md is for who writes one.
 */
#include <errno.h>
#include <json-c/json.h>
#include <string.h>

#include "manager-registrations.h"

#define ANSWER_DEPTH_MAX 4
#define TOLD "told"
#define DONE "done"

/* NULL: no memory. */
static json_object *pre_remove(const struct incident *incident,
			       const struct dg_registration *registration, uint32_t grace_ms)
{
	const struct dg_request *request = &incident->core.request;
	uint64_t now_us = manager_now(incident->m), deadline_us = incident->core.deadline_us;
	uint64_t left_us = deadline_us > now_us ? deadline_us - now_us : 0;
	json_object *o = json_object_new_object();

	if (!o)
		return NULL;
	json_object_object_add(
		o, "Event", json_object_new_string(dg_rule_event_name(DG_RULE_EVENT_PRE_REMOVE)));
	json_object_object_add(o, "Incident", json_object_new_uint64(request->id));
	json_object_object_add(o, "Device", json_object_new_string(registration->device));
	json_object_object_add(o, "Surprise", json_object_new_boolean(request->surprise));
	json_object_object_add(o, "DeadlineUsec", json_object_new_uint64(deadline_us));
	json_object_object_add(o, "DeadlineMsec", json_object_new_uint64(left_us / 1000));
	json_object_object_add(o, "GraceMsec", json_object_new_uint64(grace_ms));
	return o;
}

/* Takes o. */
static int say(struct registration *registration, json_object *o)
{
	const char *text = o ? json_object_to_json_string_ext(
				       o, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE)
			     : NULL;
	int r = text ? registration_say(registration, text) : -ENOMEM;

	json_object_put(o);
	return r;
}

static const char *outcome_of(int r)
{
	if (r == -EAGAIN)
		return "not-reading";
	if (r == -EPIPE || r == -ECONNRESET)
		return "hung-up";
	return r < 0 ? strerrorname_np(-r) ?: "failed" : TOLD;
}

static void write_outcome(struct incident *incident, struct dg_process process, const char *outcome)
{
	struct entry entry;

	entry_begin(&entry, "cooperate");
	entry_process(&entry, process);
	entry_text(&entry, "outcome", outcome);
	incident_write(incident, &entry);
}

/*
 * Written down after it is done, unlike a signal: it says which incident it is about, and
 * who hears of it twice is no worse off.
 */
const char *cooperation_tell(struct incident *incident, size_t entry, uint32_t grace_ms)
{
	struct dg_process process = incident->core.plan.entries[entry].holder.process;
	const struct dg_request *request = &incident->core.request;
	struct registration *registration = NULL;
	const char *best = NULL;

	while ((registration = registrations_next(incident->m, request, process, registration))) {
		const char *outcome = outcome_of(
			say(registration,
			    pre_remove(incident, registration_what(registration), grace_ms)));

		if (!best || strcmp(outcome, TOLD) == 0)
			best = outcome;
	}
	if (best)
		write_outcome(incident, process, best);
	return best;
}

/*
 * The plan is ahead of what has been done. Whoever shares another's memory gets no notify of
 * his own.
 */
static bool has_notify_before_him(const struct dg_plan_entry *plan,
				  const struct dg_story_holder *told)
{
	size_t i = told && told->n_actions > 0 ? told->actions[told->n_actions - 1].rung + 1 : 0;

	for (; i < plan->rule->n_rungs; i++)
		if (plan->rule->ladder[i].action == DG_ACTION_NOTIFY)
			return plan->holder.shared_with == 0;
	return false;
}

void cooperation_begin(struct incident *incident, size_t entry)
{
	const struct dg_plan_entry *plan = &incident->core.plan.entries[entry];
	const struct dg_story_holder *told =
		dg_story_find_holder(incident->story, plan->holder.process);

	if (dg_rule_leaves(plan->rule) || plan->rule->dry_run || has_notify_before_him(plan, told))
		return;
	if (!told || !told->cooperation[0])
		(void)!cooperation_tell(incident, entry, 0);
}

/* Somebody has found out late; what is to come of his ladder knows of it. */
void cooperation_joined(struct manager *m, const struct registration *registration)
{
	const struct dg_registration *what = registration_what(registration);

	for (size_t i = 0; i < m->n_open; i++) {
		struct incident *incident = m->open[i];
		struct dg_plan *plan = &incident->core.plan;

		if (!dg_registration_concerns(what, &incident->core.request))
			continue;
		for (size_t k = 0; k < plan->n_entries; k++) {
			if (plan->entries[k].state != DG_ENTRY_CLIMBING ||
			    !dg_process_equal(plan->entries[k].holder.process, what->process))
				continue;
			plan->entries[k].holder.cooperates = true;
			cooperation_begin(incident, k);
		}
	}
}

static const struct dg_story_holder *holder_of(const struct incident *incident,
					       const struct dg_registration *what)
{
	if (!dg_registration_concerns(what, &incident->core.request))
		return NULL;
	return dg_story_find_holder(incident->story, what->process);
}

void cooperation_state(const struct manager *m, const struct registration *registration,
		       uint64_t *ret_incident, const char **ret_state)
{
	*ret_incident = 0;
	*ret_state = "waiting";
	for (size_t i = 0; i < m->n_open; i++) {
		const struct dg_story_holder *holder =
			holder_of(m->open[i], registration_what(registration));

		if (!holder || !holder->cooperation[0])
			continue;
		*ret_incident = m->open[i]->core.request.id;
		*ret_state = holder->cooperation;
	}
}

/* Once for each time that it was told: nobody has us look in a loop. */
static void on_done(struct manager *m, const struct dg_registration *what)
{
	for (size_t i = 0; i < m->n_open; i++) {
		struct incident *incident = m->open[i];
		const struct dg_story_holder *holder = holder_of(incident, what);

		if (!holder || strcmp(holder->cooperation, TOLD) != 0)
			continue;
		write_outcome(incident, what->process, DONE);
		dg_incident_look_soon(&incident->core, manager_now(m));
		incident_carry_out(incident);
	}
}

static void refuse(struct registration *registration, const char *why)
{
	json_object *o = json_object_new_object();

	if (o) {
		json_object_object_add(o, "Event", json_object_new_string("error"));
		json_object_object_add(o, "Error", json_object_new_string(why));
	}
	/* Who does not read it does not want to know. */
	(void)!say(registration, o);
}

static json_object *parse(const char *text, size_t n)
{
	json_tokener *tokener = json_tokener_new_ex(ANSWER_DEPTH_MAX);
	json_object *o;

	if (!tokener)
		return NULL;
	json_tokener_set_flags(tokener, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
	o = json_tokener_parse_ex(tokener, text, (int)n);
	if (o && (json_tokener_get_parse_end(tokener) != n ||
		  !json_object_is_type(o, json_type_object))) {
		json_object_put(o);
		o = NULL;
	}
	json_tokener_free(tokener);
	return o;
}

void cooperation_said(struct manager *m, struct registration *registration, const char *text,
		      size_t n)
{
	json_object *o, *done;

	if (!text) {
		refuse(registration, "too-long");
		return;
	}
	o = parse(text, n);
	if (!o) {
		refuse(registration, "no-object");
		return;
	}
	/* What is not known is for a newer daemon. */
	if (json_object_object_get_ex(o, "Done", &done)) {
		if (!json_object_is_type(done, json_type_boolean))
			refuse(registration, "Done-is-a-boolean");
		else if (json_object_get_boolean(done))
			on_done(m, registration_what(registration));
	}
	json_object_put(o);
}
