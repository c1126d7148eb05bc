/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * When checkpoints are removed without being asked for: at the start, when some have been
 * made, and once a day. Not while anything is held.
 */
#include <errno.h>

#include "manager-checkpoints.h"

#define DAY_US 86400000000ULL
#define ACCURACY_US 1000000ULL

static void on_pruned(void *userdata, int error, const struct dg_stored_list *list)
{
	struct manager *m = userdata;

	m->prune.visit = NULL;
	if (error == -EBUSY)
		m->prune.wanted = true;
}

static void start(struct manager *m)
{
	m->prune.wanted = false;
	if (manager_prune_checkpoints(m, on_pruned, m, &m->prune.visit) < 0)
		m->n_lost_steps++;
	sd_event_source_set_time(m->prune.timer, manager_now(m) + DAY_US);
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
	if (holding)
		checkpoints_hold(m);
	else if (m->prune.timer && m->prune.wanted && !m->prune.visit)
		start(m);
}

void prune_soon(struct manager *m)
{
	m->prune.wanted = true;
}

int prune_start(struct manager *m)
{
	m->prune.wanted = true;
	return sd_event_add_time(m->event, &m->prune.timer, CLOCK_MONOTONIC, manager_now(m),
				 ACCURACY_US, on_timer, m);
}

void prune_done(struct manager *m)
{
	m->prune.visit = manager_visit_cancel(m->prune.visit);
	m->prune.timer = sd_event_source_disable_unref(m->prune.timer);
}
