/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* An open incident: what comes in goes to the core, what the core wants is done. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>

#include "manager-acts.h"
#include "names.h"

/* By how much our idea of a hold's begin may be late. */
#define BEGAN_SLACK_US 5000000ULL

struct incident *incident_find(struct manager *m, uint64_t id)
{
	for (size_t i = 0; i < m->n_open; i++)
		if (m->open[i]->core.request.id == id)
			return m->open[i];
	return NULL;
}

struct incident *incident_free(struct incident *incident)
{
	if (!incident)
		return NULL;
	for (unsigned i = 0; i < _DG_JOB_MAX; i++) {
		struct job *job = &incident->jobs[i];

		if (job->active && job->step)
			step_cancel(job->step);
		if (job->active)
			scan_cancel(job->scan);
		looks_free(job->looks);
		sd_event_source_disable_unref(job->timer);
	}
	errands_cancel(incident, false);
	dumps_cancel(incident, false);
	incident_unwatch_all(incident);
	sd_event_source_disable_unref(incident->timer);
	store_record_close(incident->record);
	story_free(incident->story);
	dg_incident_done(&incident->core);
	dg_policy_unref(incident->policy);
	looking_done(&incident->looking);
	free(incident);
	return NULL;
}

static void list_insert(struct manager *m, struct incident *incident)
{
	size_t at = m->n_open++;

	for (; at > 0 && m->open[at - 1]->core.request.id > incident->core.request.id; at--)
		m->open[at] = m->open[at - 1];
	m->open[at] = incident;
}

static void list_remove(struct manager *m, struct incident *incident)
{
	size_t at = 0;

	while (at < m->n_open && m->open[at] != incident)
		at++;
	if (at < m->n_open)
		memmove(m->open + at, m->open + at + 1, (--m->n_open - at) * sizeof(*m->open));
}

void incident_over(struct incident *incident)
{
	struct manager *m = incident->m;
	struct dg_story *story = incident->story;
	int r;

	incident->story = NULL;
	list_remove(m, incident);
	incident_free(incident);
	manager_holds_changed(m);
	log_incident(m, story, true);
	/* Told while it can be found; then it may be the one that is too much. */
	r = history_keep(m, story);
	OBSERVE(m, incident_ended, story);
	if (r >= 0) {
		history_trim(m);
		return;
	}
	OBSERVE(m, incident_forgotten, story->id);
	story_free(story);
}

static void set_timer(struct incident *incident)
{
	uint64_t wake_us = incident->core.wake_us;

	if (wake_us == UINT64_MAX) {
		sd_event_source_set_enabled(incident->timer, SD_EVENT_OFF);
		return;
	}
	sd_event_source_set_time(incident->timer, wake_us);
	sd_event_source_set_enabled(incident->timer, SD_EVENT_ONESHOT);
}

/*
 * What an effect brings may be an input at once (a job that cannot be started,
 * the kernel's answer); its effects come behind those that are there already.
 */
void incident_carry_out(struct incident *incident)
{
	if (incident->busy)
		return;
	incident->busy = true;
	for (size_t i = 0; i < incident->effects.n_items; i++) {
		struct dg_effect effect = incident->effects.items[i];

		incident_effect(incident, &effect);
	}
	incident->effects.n_items = 0;
	incident->busy = false;
	if (incident->core.outcome)
		incident_over(incident);
	else
		set_timer(incident);
}

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct incident *incident = userdata;

	dg_incident_timer(&incident->core, manager_now(incident->m), &incident->effects);
	incident_carry_out(incident);
	return 0;
}

static int incident_new(struct manager *m, const struct dg_request *request, struct incident **ret)
{
	const struct dg_incident_limits limits = {
		.reserve_us = m->config.settings.reserve_us,
		.step_timeout_us = m->config.settings.step_timeout_us,
	};
	struct incident *incident;
	int r;

	incident = calloc(1, sizeof(*incident));
	if (!incident)
		return -ENOMEM;
	incident->m = m;
	incident->policy = dg_policy_ref(m->policy);
	incident->looking.m = m;
	incident->looking.wanted = dg_policy_asks_for_looks(incident->policy);
	r = dg_incident_init(&incident->core, request, incident->policy, &limits, manager_now(m));
	if (r >= 0)
		r = sd_event_add_time(m->event, &incident->timer, CLOCK_MONOTONIC, UINT64_MAX, 1,
				      on_timer, incident);
	if (r < 0) {
		incident_free(incident);
		return r;
	}
	*ret = incident;
	return 0;
}

/*
 * The same hold, and not one of another boot, or of an earlier life of the
 * module, which counts from 1 again when it is loaded.
 */
static bool is_story_of(const struct dg_story *story, const struct dg_request *request,
			uint64_t now_us)
{
	uint64_t elapsed_us = request->elapsed_ms * UINT64_C(1000);
	uint64_t began_us = now_us > elapsed_us ? now_us - elapsed_us : 0;

	if (strcmp(story->boot_id, request->boot_id) != 0)
		return false;
	return began_us <= (story->ended_us ?: story->began_us + BEGAN_SLACK_US);
}

/* What an earlier daemon wrote is gone on with; what is not ours is begun anew. */
static int open_story(struct incident *incident)
{
	struct manager *m = incident->m;
	const struct dg_request *request = &incident->core.request;
	struct dg_story *story;
	int r;

	story = m->store ? history_read(m, request->id) : NULL;
	if (story && !is_story_of(story, request, manager_now(m))) {
		story = story_free(story);
		store_remove(m->store, request->id);
	}
	history_forget(m, request->id);
	incident->story = story ?: calloc(1, sizeof(*story));
	if (!incident->story)
		return -ENOMEM;
	r = m->store ? store_record_open(m->store, request->id, DG_RECORD_MAX, &incident->record)
		     : -ENOENT;
	if (r < 0) {
		incident->story->unrecorded = true;
		m->n_unrecorded++;
	}
	return story != NULL;
}

static void write_resume(struct incident *incident)
{
	struct entry entry;

	entry_begin(&entry, "resume");
	entry_text(&entry, "state", dg_state_name(incident->story->state));
	entry_number(&entry, "pid", (uint64_t)incident->m->self.pid);
	incident_write(incident, &entry);
}

int incident_open(struct manager *m, const struct dg_request *request)
{
	struct incident *incident;
	int r, resumed;

	if (m->n_open >= DG_INCIDENTS_OPEN_MAX)
		return -ENOSPC;
	r = incident_new(m, request, &incident);
	if (r < 0)
		return r;
	resumed = open_story(incident);
	if (resumed < 0) {
		incident_free(incident);
		return resumed;
	}
	list_insert(m, incident);
	m->n_total++;
	manager_holds_changed(m);
	failures_removal(m, request);
	if (request->state == DG_KSTATE_ORPHANED ||
	    (resumed && request->state < DG_KSTATE_REVOKING))
		m->n_taken_over++;
	if (resumed) {
		write_resume(incident);
		jobs_inherit(m, incident->record, incident->story);
		errands_inherit(incident);
		units_thaw(m, incident->record, incident->story);
	} else {
		incident_write_begin(incident);
	}
	OBSERVE(m, incident_began, incident->story);
	r = dg_incident_start(&incident->core, resumed ? incident->story : NULL, manager_now(m),
			      &incident->effects);
	if (r < 0) {
		list_remove(m, incident);
		incident_free(incident);
		manager_holds_changed(m);
		OBSERVE(m, incident_forgotten, request->id);
		return r;
	}
	/* Of those whose ladders it goes on with. */
	if (resumed)
		dumps_inherit(incident);
	incident_choose_rules(incident);
	incident_carry_out(incident);
	return 0;
}
