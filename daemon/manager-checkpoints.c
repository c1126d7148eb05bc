/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The store of checkpoints, looked at and made smaller by steps for who waits for the answer.
 * Nothing is removed while something is held: dumps have the disk then. When what goes without
 * being asked for is manager-prune.c's to say.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>

#include "manager-checkpoints.h"

struct manager_visit {
	struct manager *m;
	struct manager_visit *next;
	struct step *step;
	enum { VISIT_LIST, VISIT_FORGET, VISIT_PRUNE } kind;
	char id[DG_CHECKPOINT_ID_MAX]; /* of what is to go */
	manager_checkpoints_func func; /* NULL: nobody waits */
	void *userdata;
};

char *checkpoints_dir(const struct manager *m)
{
	char *dir;

	return asprintf(&dir, "%s/" DG_CHECKPOINTS_NAME, m->paths->state_dir) < 0 ? NULL : dir;
}

char *checkpoints_run_dir(const struct manager *m)
{
	char *dir;

	return asprintf(&dir, "%s/" DG_CHECKPOINTS_NAME, m->paths->run_dir) < 0 ? NULL : dir;
}

static void visit_free(struct manager_visit *visit)
{
	struct manager_visit **at = &visit->m->checkpoints->visits;

	while (*at && *at != visit)
		at = &(*at)->next;
	if (*at)
		*at = visit->next;
	if (visit->step)
		step_cancel(visit->step);
	free(visit);
}

struct manager_visit *manager_visit_cancel(struct manager_visit *visit)
{
	if (!visit)
		return NULL;
	/* Half of what is to go would stay until the next prune. */
	if (visit->kind == VISIT_LIST)
		visit_free(visit);
	else
		visit->func = NULL;
	return NULL;
}

/* What is left is told, too. */
static int error_of(const struct step_outcome *outcome)
{
	if (outcome->end == STEP_OK || (outcome->end == STEP_FAILED && outcome->status == 1))
		return 0;
	return outcome->end == STEP_TIMEOUT ? -ETIME : -EIO;
}

/* Of the one that was to go. */
static int error_of_id(const struct manager_visit *visit, const struct dg_stored_list *list)
{
	for (size_t i = 0; i < list->n_items; i++) {
		const struct dg_stored *stored = &list->items[i];

		if (strcmp(stored->id, visit->id) != 0)
			continue;
		if (strcmp(stored->state, "busy") == 0)
			return -EALREADY;
		return strcmp(stored->state, "removed") == 0 ? 0 : -EIO;
	}
	return -ENOENT;
}

/* What was removed, or is to be removed and stays. */
static void take_removed(const struct manager_visit *visit, const struct dg_stored_list *list)
{
	for (size_t i = 0; i < list->n_items; i++) {
		const struct dg_stored *stored = &list->items[i];

		if (strcmp(stored->state, "failed") == 0)
			log_message(visit->m, LOG_WARNING, NULL,
				    "Checkpoint %s could not be removed: %s", stored->id,
				    stored->result);
		if (strcmp(stored->state, "removed") != 0)
			continue;
		returns_forget(visit->m, stored->id);
		log_message(visit->m, LOG_NOTICE, NULL, "Checkpoint %s is removed%s", stored->id,
			    strcmp(stored->id, visit->id) == 0
				    ? ""
				    : ": too old, no room for it, or not whole");
	}
}

static void on_visit(void *userdata, const struct step_outcome *outcome)
{
	struct manager_visit *visit = userdata;
	struct dg_stored_list list = {};
	int error = error_of(outcome);

	visit->step = NULL;
	if (outcome->end == STEP_TIMEOUT || outcome->end == STEP_SIGNALED)
		visit->m->n_lost_steps++;
	if (error >= 0)
		error = dg_stored_list_read(outcome->output, outcome->n_output, &list);
	if (error < 0)
		log_message(visit->m, LOG_WARNING, NULL, "Checkpoints could not be %s: %s %s",
			    visit->kind == VISIT_LIST ? "listed" : "removed",
			    step_end_name(outcome->end), outcome->error);
	if (visit->kind != VISIT_LIST)
		take_removed(visit, &list);
	if (error >= 0 && visit->kind == VISIT_FORGET)
		error = error_of_id(visit, &list);
	if (visit->func)
		visit->func(visit->userdata, error, error < 0 ? NULL : &list);
	dg_stored_list_done(&list);
	visit_free(visit);
}

static int start(struct manager_visit *visit)
{
	const struct dg_settings *settings = &visit->m->config.settings;
	char *dir = checkpoints_dir(visit->m), bytes[24], seconds[24];
	const char *const list[] = {"checkpoints", dir, NULL};
	const char *const forget[] = {"forget", dir, "0", "0", visit->id, NULL};
	const char *const prune[] = {"forget", dir, bytes, seconds, NULL};
	const char *const *const verbs[] = {
		[VISIT_LIST] = list, [VISIT_FORGET] = forget, [VISIT_PRUNE] = prune};
	uint32_t ms = visit->kind == VISIT_LIST ? DG_STORE_LOOK_MSEC : DG_STORE_PRUNE_MSEC;
	int r;

	if (!dir)
		return -ENOMEM;
	snprintf(bytes, sizeof(bytes), "%" PRIu64, settings->checkpoint_max_bytes);
	snprintf(seconds, sizeof(seconds), "%" PRIu64, settings->checkpoint_max_age_us / 1000000);
	/* With an input, though it is nothing: those that are ready are for a removal. */
	r = step_start_with(visit->m->steps, verbs[visit->kind], "", 0, ms * UINT64_C(1000),
			    on_visit, visit, &visit->step);
	free(dir);
	return r;
}

static int visit_new(struct manager *m, int kind, const char *id, manager_checkpoints_func func,
		     void *userdata, struct manager_visit **ret)
{
	struct manager_visit *visit;
	int r;

	if (kind != VISIT_LIST && manager_is_holding(m))
		return -EBUSY;
	visit = calloc(1, sizeof(*visit));
	if (!visit)
		return -ENOMEM;
	visit->m = m;
	visit->kind = kind;
	visit->func = func;
	visit->userdata = userdata;
	memcpy(visit->id, id, strlen(id) + 1);
	r = start(visit);
	if (r < 0) {
		free(visit);
		return r;
	}
	visit->next = m->checkpoints->visits;
	m->checkpoints->visits = visit;
	*ret = visit;
	return 0;
}

int manager_list_checkpoints(struct manager *m, manager_checkpoints_func func, void *userdata,
			     struct manager_visit **ret)
{
	return visit_new(m, VISIT_LIST, "", func, userdata, ret);
}

int manager_forget_checkpoint(struct manager *m, const char *id, manager_checkpoints_func func,
			      void *userdata, struct manager_visit **ret)
{
	struct dg_checkpoint_id parsed;

	if (dg_checkpoint_id_parse(id, &parsed) < 0)
		return -ENOENT;
	if (restore_is_running(m, id))
		return -EALREADY;
	return visit_new(m, VISIT_FORGET, id, func, userdata, ret);
}

int manager_prune_checkpoints(struct manager *m, manager_checkpoints_func func, void *userdata,
			      struct manager_visit **ret)
{
	return visit_new(m, VISIT_PRUNE, "", func, userdata, ret);
}

void checkpoints_hold(struct manager *m)
{
	for (struct manager_visit *visit = m->checkpoints->visits, *next; visit; visit = next) {
		next = visit->next;
		if (visit->kind != VISIT_PRUNE)
			continue;
		if (visit->func)
			visit->func(visit->userdata, -EBUSY, NULL);
		visit_free(visit);
	}
}

bool checkpoints_removes(const struct manager *m, const char *id)
{
	for (const struct manager_visit *visit = m->checkpoints->visits; visit; visit = visit->next)
		if (visit->kind == VISIT_FORGET && strcmp(visit->id, id) == 0)
			return true;
	return false;
}

int checkpoints_new(struct manager *m)
{
	struct checkpoints *checkpoints = calloc(1, sizeof(*checkpoints));
	int r = -ENOMEM;

	if (checkpoints)
		r = returns_new(m->event, m, &checkpoints->returns);
	if (r < 0)
		free(checkpoints);
	else
		m->checkpoints = checkpoints;
	return r;
}

void checkpoints_free(struct manager *m)
{
	if (!m->checkpoints)
		return;
	m->checkpoints->returns = returns_free(m->checkpoints->returns);
	restores_done(m);
	for (struct manager_visit *visit = m->checkpoints->visits, *next; visit; visit = next) {
		next = visit->next;
		visit_free(visit);
	}
	free(m->checkpoints);
	m->checkpoints = NULL;
}
