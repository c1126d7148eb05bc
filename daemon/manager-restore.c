/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The processes of a checkpoint go on: asked for by a client, or by their device's return.
 *
 * The step only waits for a unit that does it; so what is begun goes on without us, and the
 * next daemon that asks for the same one waits for it, too.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>

#include "manager-checkpoints.h"

struct manager_restore {
	struct manager *m;
	struct manager_restore *next;
	struct step *step;
	char id[DG_CHECKPOINT_ID_MAX];
	bool by_return;
	manager_restore_func func; /* NULL: nobody waits */
	void *userdata;
};

static void restore_free(struct manager_restore *restore)
{
	struct manager_restore **at = &restore->m->checkpoints->restores;

	while (*at && *at != restore)
		at = &(*at)->next;
	if (*at)
		*at = restore->next;
	if (restore->step)
		step_cancel(restore->step);
	free(restore);
}

struct manager_restore *manager_restore_cancel(struct manager_restore *restore)
{
	if (restore)
		restore->func = NULL;
	return NULL;
}

void restores_done(struct manager *m)
{
	while (m->checkpoints->restores)
		restore_free(m->checkpoints->restores);
}

bool restore_is_running(const struct manager *m, const char *id)
{
	for (const struct manager_restore *restore = m->checkpoints->restores; restore;
	     restore = restore->next)
		if (strcmp(restore->id, id) == 0)
			return true;
	return false;
}

void restore_tell(struct manager *m, const struct manager_restored *restored)
{
	bool ok = strcmp(restored->result, "ok") == 0;
	char text[DG_LOG_LINE_MAX];
	const struct logger_field fields[] = {
		{DG_FIELD_CHECKPOINT, restored->id},
		{DG_FIELD_RESULT, restored->result},
		{DG_FIELD_PID, *restored->pids ? restored->pids : NULL},
	};

	if (ok)
		snprintf(text, sizeof(text), "Checkpoint %s is restored%s%s%s", restored->id,
			 restored->by_return ? ", its device has returned" : "",
			 *restored->pids ? ": " : "", restored->pids);
	else
		snprintf(text, sizeof(text), "Checkpoint %s was not restored%s: %s%s%s",
			 restored->id, restored->by_return ? " when its device returned" : "",
			 restored->result, *restored->text ? ": " : "", restored->text);
	logger_write(m->logger, &(struct logger_message){
					.priority = ok ? LOG_NOTICE : LOG_WARNING,
					.id = DG_MESSAGE_RESTORE,
					.text = text,
					.fields = fields,
					.n_fields = sizeof(fields) / sizeof(*fields),
				});
	OBSERVE(m, checkpoint_restored, restored);
}

/* What the step says; and if it could not, why. */
static void read_result(const struct step_outcome *outcome, struct manager_restored *ret)
{
	const char *cursor = outcome->output, *record;
	size_t n = 0;

	record = dg_record_next(&cursor, outcome->output + outcome->n_output, &n);
	ret->text = ret->pids = "";
	ret->result = record ? dg_record_get(record, n, "RESULT") : NULL;
	if (ret->result) {
		ret->text = dg_record_get(record, n, "TEXT") ?: "";
		ret->pids = dg_record_get(record, n, "PIDS") ?: "";
		return;
	}
	ret->result = outcome->end == STEP_TIMEOUT ? "timeout" : "failed";
	ret->text = outcome->error;
}

static void on_step(void *userdata, const struct step_outcome *outcome)
{
	struct manager_restore *restore = userdata;
	struct manager *m = restore->m;
	struct manager_restored restored = {.id = restore->id, .by_return = restore->by_return};

	restore->step = NULL;
	if (outcome->end == STEP_TIMEOUT || outcome->end == STEP_SIGNALED)
		m->n_lost_steps++;
	read_result(outcome, &restored);
	restore_tell(m, &restored);
	if (strcmp(restored.result, "ok") == 0)
		returns_forget(m, restored.id);
	if (restore->func)
		restore->func(restore->userdata, &restored);
	restore_free(restore);
	returns_go_on(m);
}

static int start(struct manager_restore *restore, bool force)
{
	static const char *const argv[] = {"restore", NULL};
	struct dg_record_writer input = DG_RECORD_WRITER_INIT;
	char *dir = checkpoints_dir(restore->m), *run = checkpoints_run_dir(restore->m);
	int r = dir && run ? 0 : -ENOMEM;

	if (r >= 0) {
		dg_record_field(&input, "ADDRESS", restore->m->paths->systemd);
		dg_record_field(&input, "RUN", run);
		dg_record_field(&input, "ID", restore->id);
		dg_record_field(&input, "DIR", dir);
		dg_record_field_u64(&input, "TIMEOUT_MSEC", DG_RESTORE_MSEC);
		dg_record_field_u64(&input, "FORCE", force);
		r = dg_record_end(&input);
	}
	if (r >= 0)
		r = step_start_with(restore->m->steps, argv, input.data, input.n,
				    (DG_RESTORE_MSEC + DG_RESTORE_SLACK_MSEC) * UINT64_C(1000),
				    on_step, restore, &restore->step);
	dg_record_writer_done(&input);
	free(run);
	free(dir);
	return r;
}

int restore_start(struct manager *m, const char *id, bool force, bool by_return,
		  manager_restore_func func, void *userdata, struct manager_restore **ret)
{
	struct manager_restore *restore;
	struct dg_checkpoint_id parsed;
	int r;

	if (dg_checkpoint_id_parse(id, &parsed) < 0)
		return -ENOENT;
	if (manager_is_holding(m))
		return -EBUSY;
	if (restore_is_running(m, id) || checkpoints_removes(m, id))
		return -EALREADY;
	restore = calloc(1, sizeof(*restore));
	if (!restore)
		return -ENOMEM;
	*restore = (struct manager_restore){
		.m = m, .by_return = by_return, .func = func, .userdata = userdata};
	memcpy(restore->id, id, strlen(id) + 1);
	r = start(restore, force);
	if (r < 0) {
		free(restore);
		return r;
	}
	restore->next = m->checkpoints->restores;
	m->checkpoints->restores = restore;
	*ret = restore;
	return 0;
}

int manager_restore(struct manager *m, const char *id, bool force, manager_restore_func func,
		    void *userdata, struct manager_restore **ret)
{
	return restore_start(m, id, force, false, func, userdata, ret);
}
