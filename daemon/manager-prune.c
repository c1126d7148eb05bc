/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Checkpoints that are removed: the oldest when they are too many or too old, and what
 * is not whole. By a step; at the start, when some have been made, and once a day. Not
 * while anything is held.
 */
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <syslog.h>

#include "manager-internal.h"
#include "names.h"

#define STEP_US 120000000ULL
#define DAY_US 86400000000ULL
#define USEC_PER_SEC UINT64_C(1000000)

static void on_step(void *userdata, const struct step_outcome *outcome)
{
	const char *cursor = outcome->output, *end = outcome->output + outcome->n_output;
	struct manager *m = userdata;
	const char *record, *id;
	size_t n;

	m->prune.step = NULL;
	while ((record = dg_record_next(&cursor, end, &n))) {
		id = dg_record_get(record, n, "REMOVED");
		if (id)
			log_message(m, LOG_NOTICE, NULL,
				    "Checkpoint %s was removed: it was not whole, or too old, or "
				    "there was no room for it",
				    id);
	}
	if (outcome->end != STEP_OK)
		log_message(m, LOG_WARNING, NULL, "Checkpoints could not be looked through: %s",
			    *outcome->error ? outcome->error : step_end_name(outcome->end));
}

static int start(struct manager *m)
{
	const struct dg_settings *settings = &m->config.settings;
	char dir[PATH_MAX], bytes[24], age[24];
	const char *const argv[] = {"forget", dir, bytes, age, NULL};

	snprintf(dir, sizeof(dir), "%s/" DG_CHECKPOINTS_NAME, m->paths->state_dir);
	snprintf(bytes, sizeof(bytes), "%" PRIu64, settings->checkpoint_max_bytes);
	snprintf(age, sizeof(age), "%" PRIu64, settings->checkpoint_max_age_us / USEC_PER_SEC);
	/* With an input, though it is nothing: those that are ready are for a removal. */
	return step_start_with(m->steps, argv, "", 0, STEP_US, on_step, m, &m->prune.step);
}

static void set_timer(struct manager *m, uint64_t at_us)
{
	sd_event_source_set_time(m->prune.timer, at_us);
	sd_event_source_set_enabled(m->prune.timer, SD_EVENT_ONESHOT);
}

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct manager *m = userdata;

	m->prune.wanted = true;
	prune_hold(m, manager_is_holding(m));
	return 0;
}

void prune_hold(struct manager *m, bool holding)
{
	if (!m->prune.timer)
		return;
	if (holding) {
		/* Whoever asks for checkpoints now does not wait for it. */
		if (m->prune.step) {
			step_cancel(m->prune.step);
			m->prune.step = NULL;
			m->prune.wanted = true;
		}
		return;
	}
	if (!m->prune.wanted || m->prune.step)
		return;
	m->prune.wanted = false;
	if (start(m) < 0)
		m->n_lost_steps++;
	set_timer(m, manager_now(m) + DAY_US);
}

void prune_soon(struct manager *m)
{
	m->prune.wanted = true;
}

int prune_start(struct manager *m)
{
	m->prune.wanted = true;
	return sd_event_add_time(m->event, &m->prune.timer, CLOCK_MONOTONIC, manager_now(m),
				 USEC_PER_SEC, on_timer, m);
}

void prune_done(struct manager *m)
{
	if (m->prune.step)
		step_cancel(m->prune.step);
	m->prune.step = NULL;
	m->prune.timer = sd_event_source_disable_unref(m->prune.timer);
}
