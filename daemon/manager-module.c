/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The module: that it knows us, what it holds, and what it says of that. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>

#include "manager-internal.h"

#define REGISTER_AGAIN_US 1000000ULL

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

void module_refresh(struct manager *m)
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
	bool again = m->registered;
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
	/* What is held waits, what has failed does not. */
	get_pending(m);
	failures_registered(m);
	if (!again)
		checks_registered(m);
	return 0;
}

const char *module_why_not(const struct manager *m)
{
	if (m->registered)
		return "";
	if (m->register_error == -ENOENT)
		return "the kernel module is not loaded: " DG_MODULE_HINT;
	if (m->register_error == -EBUSY)
		return "another daemon is registered";
	return strerror(-m->register_error);
}

void module_log(struct manager *m)
{
	if (m->registered)
		log_message(m, LOG_NOTICE, DG_MESSAGE_MODULE, "Removals are held");
	else
		log_message(m, LOG_WARNING, DG_MESSAGE_MODULE, "Removals are not held: %s",
			    module_why_not(m));
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
		module_log(m);
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

static void on_failure(void *userdata, const struct dg_failure_record *record)
{
	failures_seen(userdata, record);
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
		module_log(m);
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
	module_log(m);
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
	return r;
}

int module_start(struct manager *m)
{
	static const struct klink_ops ops = {
		.event = on_event,
		.done = on_done,
		.failure = on_failure,
		.completed = on_completed,
		.lost = on_lost,
		.module = on_module,
	};
	int r;

	r = add_sources(m);
	if (r >= 0)
		r = klink_new(m->event, &ops, m, &m->link);
	return r < 0 ? r : try_register(m);
}

void module_done(struct manager *m)
{
	sd_event_source_disable_unref(m->refresh_source);
	sd_event_source_disable_unref(m->gone_source);
	sd_event_source_disable_unref(m->retry_timer);
	klink_free(m->link);
}
