/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "manager.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <time.h>

#include "io/notify.h"
#include "manager-internal.h"
#include "names.h"

#define REGISTER_AGAIN_US 1000000ULL

uint64_t manager_now(const struct manager *m)
{
	struct timespec now;

	/* Not the loop's time: an input may follow a slow effect in the same turn. */
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
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
	reload_holds_changed(m, holding);
	OBSERVE(m, status_changed);
}

/* Once for each: the kernel says it again every second. */
static void log_refused(struct manager *m, const struct dg_request *request, int error)
{
	if (request->id <= m->refused_id)
		return;
	m->refused_id = request->id;
	log_message(m, LOG_ERR, NULL, "Removal of %s is left to the kernel: %s", request->device,
		    error == -ENOSPC ? "too many are under way" : strerror(-error));
}

static void on_request(struct manager *m, const struct dg_request *request)
{
	struct incident *incident = incident_find(m, request->id);
	int r;

	if (incident) {
		dg_incident_seen(&incident->core, request, manager_now(m));
		incident_carry_out(incident);
		return;
	}
	r = incident_open(m, request);
	if (r < 0)
		log_refused(m, request, r);
}

/* The dump is copied first: commands during it would mix with it. */
struct pending {
	struct dg_request *items;
	size_t n_items;
	int error;
};

static void on_pending(void *userdata, const struct dg_request *request)
{
	struct pending *pending = userdata;
	struct dg_request *grown;

	if (pending->error < 0)
		return;
	grown = reallocarray(pending->items, pending->n_items + 1, sizeof(*grown));
	if (!grown) {
		pending->error = -ENOMEM;
		return;
	}
	pending->items = grown;
	pending->error = dg_request_copy(request, &grown[pending->n_items]);
	if (pending->error >= 0)
		pending->n_items++;
}

static bool is_pending(const struct pending *pending, uint64_t id)
{
	for (size_t i = 0; i < pending->n_items; i++)
		if (pending->items[i].id == id)
			return true;
	return false;
}

static void mark_missing(struct manager *m, const struct pending *pending)
{
	bool any = false;

	for (size_t i = 0; i < m->n_open; i++) {
		m->open[i]->missing |= !m->open[i]->core.request.by_user &&
				       !is_pending(pending, m->open[i]->core.request.id);
		any |= m->open[i]->missing;
	}
	if (any)
		sd_event_source_set_enabled(m->gone_source, SD_EVENT_ONESHOT);
}

/* Backwards, since one that is gone leaves the list. */
static void drop_missing(struct manager *m)
{
	for (size_t i = m->n_open; i > 0; i--) {
		struct incident *incident = i <= m->n_open ? m->open[i - 1] : NULL;

		if (!incident || !incident->missing)
			continue;
		dg_incident_gone(&incident->core, manager_now(m), &incident->effects);
		incident_carry_out(incident);
	}
}

static int on_gone(sd_event_source *source, void *userdata)
{
	drop_missing(userdata);
	return 0;
}

static int get_pending(struct manager *m)
{
	struct pending pending = {};
	int r;

	r = klink_get_pending(m->link, on_pending, &pending);
	/* Half a dump says who is there, but not who is not. */
	if (r >= 0)
		r = pending.error;
	if (r >= 0)
		mark_missing(m, &pending);
	for (size_t i = 0; i < pending.n_items; i++) {
		on_request(m, &pending.items[i]);
		dg_request_done(&pending.items[i]);
	}
	free(pending.items);
	return r;
}

static int on_refresh(sd_event_source *source, void *userdata)
{
	get_pending(userdata);
	return 0;
}

void manager_refresh(struct manager *m)
{
	sd_event_source_set_enabled(m->refresh_source, SD_EVENT_ONESHOT);
}

static void register_again_later(struct manager *m)
{
	if (sd_event_source_set_time_relative(m->retry_timer, REGISTER_AGAIN_US) >= 0)
		sd_event_source_set_enabled(m->retry_timer, SD_EVENT_ONESHOT);
}

/* 0: no module, which is no failure, or registered. */
static int try_register(struct manager *m)
{
	int r;

	m->registered = false;
	if (!klink_module_present(m->link)) {
		m->register_error = -ENOENT;
		return 0;
	}
	r = klink_register(m->link, &m->info);
	m->register_error = r;
	if (r == -ENOENT)
		return 0;
	if (r < 0)
		return r;
	m->registered = true;
	get_pending(m);
	return 0;
}

const char *manager_why_not(const struct manager *m)
{
	if (m->registered)
		return "";
	if (m->register_error == -ENOENT)
		return "the kernel module is not loaded: " DG_MODULE_HINT;
	if (m->register_error == -EBUSY)
		return "another daemon is registered";
	return strerror(-m->register_error);
}

static void log_registered(struct manager *m)
{
	if (m->registered)
		log_message(m, LOG_NOTICE, DG_MESSAGE_MODULE, "Removals are held");
	else
		log_message(m, LOG_WARNING, DG_MESSAGE_MODULE, "Removals are not held: %s",
			    manager_why_not(m));
}

static void register_or_later(struct manager *m)
{
	if (try_register(m) < 0)
		register_again_later(m);
	OBSERVE(m, status_changed);
}

static int on_retry(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct manager *m = userdata;

	if (m->registered)
		return 0;
	register_or_later(m);
	if (m->registered)
		log_registered(m);
	return 0;
}

static void on_event(void *userdata, const struct dg_request *request)
{
	on_request(userdata, request);
}

static void on_done(void *userdata, const struct dg_done *done)
{
	struct manager *m = userdata;
	struct incident *incident = incident_find(m, done->id);

	if (!incident)
		return;
	dg_incident_ended(&incident->core, done, manager_now(m), &incident->effects);
	incident_carry_out(incident);
}

static void on_completed(void *userdata, uint32_t token, int error, bool truncated)
{
	struct manager *m = userdata;

	if (!scan_completed(m, token, error, truncated))
		incident_completed(m, token, error);
}

/*
 * That the module went and came back may be among what was lost, and with it
 * the registration; to register twice does no harm.
 */
static void on_lost(void *userdata)
{
	struct manager *m = userdata;

	if (!m->registered)
		return;
	register_or_later(m);
	if (!m->registered)
		log_registered(m);
}

static void on_module(void *userdata, bool present)
{
	struct manager *m = userdata;

	if (present) {
		register_or_later(m);
	} else {
		/* It cannot go while it holds: what is open here has ended unheard. */
		const struct pending none = {};

		m->registered = false;
		m->register_error = -ENOENT;
		mark_missing(m, &none);
		drop_missing(m);
		OBSERVE(m, status_changed);
	}
	log_registered(m);
}

static void on_doorbell(void *userdata)
{
	struct manager *m = userdata;

	if (m->registered)
		manager_refresh(m);
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

static int add_sources(struct manager *m)
{
	int r;

	r = sd_event_add_defer(m->event, &m->refresh_source, on_refresh, m);
	if (r >= 0)
		r = sd_event_source_set_enabled(m->refresh_source, SD_EVENT_OFF);
	/* What is held, and until when, before anything that takes time. */
	if (r >= 0)
		r = sd_event_source_set_priority(m->refresh_source, KLINK_PRIORITY_EVENTS);
	if (r >= 0)
		r = sd_event_add_defer(m->event, &m->gone_source, on_gone, m);
	if (r >= 0)
		r = sd_event_source_set_enabled(m->gone_source, SD_EVENT_OFF);
	/* DONE is sent before the request leaves the dump: first the events, it is one of them. */
	if (r >= 0)
		r = sd_event_source_set_priority(m->gone_source, KLINK_PRIORITY_EVENTS + 1);
	if (r >= 0)
		r = sd_event_add_time(m->event, &m->retry_timer, CLOCK_MONOTONIC, 0, 0, on_retry,
				      m);
	if (r >= 0)
		r = sd_event_source_set_enabled(m->retry_timer, SD_EVENT_OFF);
	if (r >= 0)
		r = reload_start(m);
	return r;
}

static int start_link(struct manager *m)
{
	static const struct klink_ops ops = {
		.event = on_event,
		.done = on_done,
		.completed = on_completed,
		.lost = on_lost,
		.module = on_module,
	};
	int r;

	r = klink_new(m->event, &ops, m, &m->link);
	if (r < 0)
		return r;
	return try_register(m);
}

static int create(struct manager *m)
{
	const struct logger_limits limits = {DG_LOG_RING_MAX, DG_LOG_LINE_MAX, DG_KMSG_BURST};
	int r;

	r = manager_read_self(m);
	if (r < 0)
		return r;
	r = logger_new(m->event, m->paths->journal, m->paths->kmsg, &limits, &m->logger);
	if (r < 0)
		return r;
	r = steps_new(m->event, m->paths->step, &m->steps);
	if (r < 0)
		return r;
	r = add_sources(m);
	if (r < 0)
		return r;
	/* Without a place for records incidents are unrecorded, and handled all the same. */
	r = store_new(m->paths->run_dir, &m->store);
	if (r < 0)
		log_message(m, LOG_WARNING, NULL, "%s: no incident can be recorded: %s",
			    m->paths->run_dir, strerror(-r));
	return start_link(m);
}

int manager_new(sd_event *event, const struct manager_paths *paths, struct manager **ret)
{
	struct timespec now;
	struct manager *m;
	int r;

	m = calloc(1, sizeof(*m));
	if (!m)
		return -ENOMEM;
	clock_gettime(CLOCK_REALTIME, &now);
	m->started_wall_us = (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
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
	reload_done(m);
	devices_done(m);
	history_done(m);
	sd_event_source_disable_unref(m->refresh_source);
	sd_event_source_disable_unref(m->gone_source);
	sd_event_source_disable_unref(m->retry_timer);
	sd_event_source_disable_unref(m->watchdog_timer);
	doorbell_free(m->doorbell);
	klink_free(m->link);
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
	if (!m->registered)
		log_registered(m);
	/* Whom the rules name was not looked up as yet. */
	if (!manager_is_holding(m))
		reload_holds_changed(m, false);
}
