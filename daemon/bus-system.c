/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bus-system.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>

#include "bus-manager.h"
#include "bus-object.h"
#include "names.h"

/* After everything that a hold waits for. */
#define PRIORITY (SD_EVENT_PRIORITY_NORMAL + 10)
#define NAME_IS_OURS 1 /* what RequestName answers; 3: somebody else's */

struct bus_system {
	struct bus_link link; /* conn is NULL between two attempts */
	const char *address;
	sd_event_source *timer; /* of the next attempt, or the deadline of this one */
	uint64_t again_us;      /* to the attempt after the next loss */
	bool ready;             /* the name is ours */
	bool missed;            /* that it is not has been said */
};

static struct manager *manager_of(struct bus_system *system)
{
	return system->link.api->manager;
}

static void set_timer(struct bus_system *system, uint64_t us)
{
	(void)!sd_event_source_set_time_relative(system->timer, us);
	(void)!sd_event_source_set_enabled(system->timer, SD_EVENT_ONESHOT);
}

static void disconnect(struct bus_system *system)
{
	system->ready = false;
	if (!system->link.conn)
		return;
	bus_link_drop_calls(&system->link);
	system->link.callers = callers_free(system->link.callers);
	/* Not flushed: that would wait for it. */
	system->link.conn = sd_bus_close_unref(system->link.conn);
}

/* A machine without a bus, or before it has one, is nothing to complain of. */
static void say_why(struct bus_system *system, int error)
{
	bool absent = error == -ENOENT || error == -ECONNREFUSED;

	if (system->missed || (absent && !system->ready))
		return;
	system->missed = true;
	manager_log(manager_of(system), LOG_WARNING, "Not on the system bus: %s", strerror(-error));
}

static void lost(struct bus_system *system, int error)
{
	say_why(system, error);
	disconnect(system);
	set_timer(system, system->again_us);
	system->again_us *= 2;
	if (system->again_us > DG_BUS_AGAIN_MAX_MSEC * UINT64_C(1000))
		system->again_us = DG_BUS_AGAIN_MAX_MSEC * UINT64_C(1000);
}

static int on_name(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	struct bus_system *system = userdata;
	uint32_t answer;
	int r = -EEXIST;

	if (sd_bus_message_is_method_error(m, SD_BUS_ERROR_NO_REPLY))
		r = -ECONNRESET; /* its deadline is later than ours */
	else if (sd_bus_message_is_method_error(m, NULL))
		r = -sd_bus_message_get_errno(m);
	else if (sd_bus_message_read(m, "u", &answer) >= 0 && answer == NAME_IS_OURS)
		r = 0;
	if (r < 0) {
		lost(system, r);
		return 1;
	}
	(void)!sd_event_source_set_enabled(system->timer, SD_EVENT_OFF);
	system->again_us = DG_BUS_AGAIN_MIN_MSEC * UINT64_C(1000);
	system->ready = true;
	if (system->missed)
		manager_log(manager_of(system), LOG_NOTICE, "On the system bus");
	system->missed = false;
	return 1;
}

static bool leaves_unread(struct bus_system *system, uint64_t limit)
{
	uint64_t n;

	return sd_bus_get_n_queued_write(system->link.conn, &n) < 0 || n > limit;
}

/*
 * Sees every message before the objects do. The bus reads what is for its
 * clients as fast as it can; if it does not, answers are not what it needs.
 */
static int on_message(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	struct bus_system *system = userdata;

	if (sd_bus_message_is_signal(m, "org.freedesktop.DBus.Local", "Disconnected") > 0) {
		lost(system, -ECONNRESET);
		return 1;
	}
	if (leaves_unread(system, DG_BUS_QUEUE_MAX)) {
		lost(system, -ENOBUFS);
		return 1;
	}
	if (sd_bus_message_is_method_call(m, NULL, NULL) > 0 &&
	    leaves_unread(system, DG_BUS_REPLIES_MAX))
		return sd_bus_error_set(error, DG_BUS_ERROR_BUSY, "the bus is behind");
	return bus_refuse(m, error);
}

static int prepare(struct bus_system *system)
{
	sd_bus *conn = system->link.conn;
	int r = sd_bus_set_description(conn, "system");

	if (r >= 0)
		r = sd_bus_set_address(conn, system->address);
	if (r >= 0)
		r = sd_bus_set_bus_client(conn, true);
	if (r >= 0)
		r = sd_bus_negotiate_fds(conn, true);
	/* Flushing at exit would wait for it. */
	if (r >= 0)
		r = sd_bus_set_close_on_exit(conn, false);
	if (r >= 0)
		r = callers_new(conn, &system->link.callers);
	if (r >= 0)
		r = sd_bus_add_filter(conn, NULL, on_message, system);
	if (r >= 0)
		r = bus_manager_add(&system->link);
	if (r >= 0)
		r = bus_objects_add(&system->link);
	return r;
}

/* Nothing here waits: a socket whose backlog is full is an error, the rest comes by itself. */
static int begin(struct bus_system *system)
{
	int r = sd_bus_new(&system->link.conn);

	if (r >= 0)
		r = prepare(system);
	if (r >= 0)
		r = sd_bus_start(system->link.conn);
	if (r >= 0)
		r = sd_bus_attach_event(system->link.conn, manager_event(manager_of(system)),
					PRIORITY);
	if (r >= 0)
		r = sd_bus_request_name_async(system->link.conn, NULL, DG_BUS_NAME, 0, on_name,
					      system);
	return r;
}

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct bus_system *system = userdata;
	int r;

	if (system->link.conn) {
		lost(system, -ETIMEDOUT);
		return 0;
	}
	r = begin(system);
	if (r < 0)
		lost(system, r);
	else
		set_timer(system, DG_BUS_CONNECT_MSEC * UINT64_C(1000));
	return 0;
}

int bus_system_new(struct bus_api *api, const char *address, struct bus_system **ret)
{
	struct bus_system *system = calloc(1, sizeof(*system));
	int r;

	if (!system)
		return -ENOMEM;
	system->link.api = api;
	system->address = address;
	system->again_us = DG_BUS_AGAIN_MIN_MSEC * UINT64_C(1000);
	r = sd_event_add_time_relative(manager_event(api->manager), &system->timer, CLOCK_MONOTONIC,
				       0, 0, on_timer, system);
	if (r >= 0)
		r = sd_event_source_set_priority(system->timer, PRIORITY);
	if (r < 0) {
		bus_system_free(system);
		return r;
	}
	*ret = system;
	return 0;
}

struct bus_system *bus_system_free(struct bus_system *system)
{
	if (!system)
		return NULL;
	disconnect(system);
	sd_event_source_disable_unref(system->timer);
	free(system);
	return NULL;
}

void bus_system_send(struct bus_system *system, bus_send_func send, const void *what)
{
	int r;

	if (!system || !system->ready)
		return;
	r = send(&system->link, what);
	if (r >= 0 && leaves_unread(system, DG_BUS_QUEUE_MAX))
		r = -ENOBUFS;
	if (r < 0)
		lost(system, r);
}
