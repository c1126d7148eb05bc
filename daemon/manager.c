/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "manager.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <systemd/sd-login.h>
#include <time.h>

#include "io/notify.h"
#include "manager-acts.h"
#include "manager-checkpoints.h"
#include "manager-registrations.h"
#include "names.h"

uint64_t manager_clock_ns(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* Not the loop's time: an input may follow a slow effect in the same turn. */
uint64_t manager_now(const struct manager *m)
{
	return manager_clock_ns(CLOCK_MONOTONIC) / 1000;
}

sd_event *manager_event(struct manager *m)
{
	return m->event;
}

const struct manager_paths *manager_paths(const struct manager *m)
{
	return m->paths;
}

bool manager_is_holding(const struct manager *m)
{
	return m->n_open > 0;
}

void manager_observe(struct manager *m, const struct manager_observer *observer, void *userdata)
{
	m->observer = observer;
	m->observer_userdata = userdata;
}

void manager_holds_changed(struct manager *m)
{
	bool holding = manager_is_holding(m);

	logger_hold(m->logger, holding);
	if (holding) {
		devices_hold(m);
		forecasts_hold(m);
	} else {
		devices_look_again(m);
	}
	keeper_hold(m->keeper, holding);
	failures_hold(m, holding);
	repairs_hold(m, holding);
	prune_hold(m, holding);
	returns_hold(m, holding);
	reload_holds_changed(m, holding);
	OBSERVE(m, status_changed);
}

static void on_doorbell(void *userdata)
{
	struct manager *m = userdata;

	if (!m->registered)
		return;
	module_refresh(m);
	failures_look(m);
}

static void on_topology(void *userdata)
{
	devices_look_again(userdata);
}

static int on_watchdog(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct manager *m = userdata;
	uint64_t now_us = manager_now(m);

	for (size_t i = 0; i < m->n_open; i++)
		if (dg_incident_is_stuck(&m->open[i]->core, now_us))
			return 0;
	(void)!notify_send("WATCHDOG=1");
	sd_event_source_set_time_relative(source, m->watchdog_us / 2);
	return sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

static int create(struct manager *m)
{
	const struct logger_limits limits = {DG_LOG_RING_MAX, DG_LOG_LINE_MAX, DG_KMSG_BURST};
	char *unit = NULL;
	int r;

	r = manager_read_self(m);
	if (r < 0)
		return r;
	(void)!sd_pid_get_unit(0, &unit); /* started by hand there may be none */
	r = logger_new(m->event, m->paths->journal, m->paths->kmsg, unit, &limits, &m->logger);
	free(unit);
	if (r < 0)
		return r;
	r = steps_new(m->event, m->paths->step, &m->steps);
	if (r < 0)
		return r;
	r = reload_start(m);
	if (r >= 0)
		r = ledger_begin(m);
	if (r < 0)
		return r;
	/* Without a place for records incidents are unrecorded, and handled all the same. */
	r = store_new(m->paths->run_dir, &m->store);
	if (r < 0)
		log_message(m, LOG_WARNING, NULL, "%s: no incident can be recorded: %s",
			    m->paths->run_dir, strerror(-r));
	/* Before anybody is asked to let go. */
	registrations_begin(m);
	r = failures_new(m);
	if (r >= 0)
		r = checks_new(m);
	if (r >= 0)
		r = repairs_new(m);
	if (r >= 0)
		r = checkpoints_new(m);
	return r < 0 ? r : module_start(m);
}

int manager_new(sd_event *event, const struct manager_paths *paths, struct manager **ret)
{
	struct manager *m;
	int r;

	m = calloc(1, sizeof(*m));
	if (!m)
		return -ENOMEM;
	m->started_wall_us = manager_clock_ns(CLOCK_REALTIME) / 1000;
	m->event = sd_event_ref(event);
	m->paths = paths;
	r = config_load(paths->config, &m->config);
	if (r >= 0)
		r = policy_begin(m);
	if (r >= 0)
		r = create(m);
	if (r < 0) {
		manager_free(m);
		return r;
	}
	if (m->config.errors[0])
		log_message(m, LOG_ERR, DG_MESSAGE_CONFIG, "%s; the built-in default is in force",
			    m->config.errors[0]);
	policy_log_begin(m);
	*ret = m;
	return 0;
}

void manager_stop(struct manager *m)
{
	removals_give_up(m);
	for (size_t i = 0; i < m->n_open; i++) {
		/* Nobody is left frozen who has to wait for the next one. */
		units_thaw(m, m->open[i]->record, m->open[i]->story);
		incident_write_text(m->open[i], "note", "text",
				    "the daemon was told to stop while this was held");
		log_message(m, LOG_WARNING, DG_MESSAGE_DAEMON,
			    "Stopping while the removal of %s is held: if no daemon is started "
			    "in time, the kernel goes on alone",
			    m->open[i]->story->device);
	}
}

struct manager *manager_free(struct manager *m)
{
	if (!m)
		return NULL;
	m->observer = NULL;
	manager_cancel_queries(m);
	while (m->n_open > 0)
		incident_free(m->open[--m->n_open]);
	dumps_done(m);
	registrations_done(m);
	failures_free(m);
	dg_tally_free_all(&m->tallies);
	checks_free(m);
	repairs_free(m);
	prune_done(m);
	checkpoints_free(m);
	reload_done(m);
	devices_done(m);
	history_done(m);
	sd_event_source_disable_unref(m->watchdog_timer);
	doorbell_free(m->doorbell);
	module_done(m);
	keeper_free(m->keeper);
	ledger_done(m);
	steps_free(m->steps);
	store_free(m->store);
	logger_free(m->logger);
	policy_done(m);
	config_done(&m->config);
	sd_event_unref(m->event);
	free(m);
	return NULL;
}

/* However much there is to do: no turn of the loop is long, and the next one is this. */
static int start_watchdog(struct manager *m, uint64_t watchdog_us)
{
	int r;

	m->watchdog_us = watchdog_us;
	if (watchdog_us == 0)
		return 0;
	r = sd_event_add_time(m->event, &m->watchdog_timer, CLOCK_MONOTONIC, 0, 0, on_watchdog, m);
	if (r < 0)
		return r;
	return sd_event_source_set_priority(m->watchdog_timer, SD_EVENT_PRIORITY_IMPORTANT);
}

static void log_missing(struct manager *m, const char *what, int error)
{
	if (error < 0)
		log_message(m, LOG_WARNING, DG_MESSAGE_DAEMON, "%s: %s", what, strerror(-error));
}

void manager_start(struct manager *m, uint64_t watchdog_us)
{
	static const struct doorbell_ops ops = {.hold = on_doorbell, .topology = on_topology};

	log_missing(m, "No watchdog", start_watchdog(m, watchdog_us));
	log_missing(m, "Uevents are not heard", doorbell_new(m->event, &ops, m, &m->doorbell));
	log_missing(m, "Devices are not known", devices_start(m));
	if (m->store)
		log_missing(m, "Earlier incidents could not be read", history_load(m));
	keeper_start(m->keeper);
	log_missing(m, "Checkpoints are not looked through", prune_start(m));
	if (!m->registered)
		module_log(m);
	/* Whom the rules name was not looked up as yet. */
	if (!manager_is_holding(m))
		reload_holds_changed(m, false);
}
