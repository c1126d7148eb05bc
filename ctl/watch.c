/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "watch.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <systemd/sd-event.h>
#include <time.h>
#include <unistd.h>

#include "client.h"
#include "json.h"
#include "names.h"

struct watch {
	sd_event *event;
	watch_func func;
	void *userdata;
	enum ctl_exit interrupted;
};

static uint64_t now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

/* Name, number and details become one flat object. */
static int read_signal(sd_bus_message *m, json_object **ret)
{
	json_object *signal, *id = NULL, *details = NULL;
	int r = json_read(m, &id);

	if (r >= 0)
		r = json_read(m, &details);
	if (r < 0) {
		json_object_put(id);
		return r;
	}

	signal = json_object_new_object();
	json_object_object_add(signal, "Signal",
			       json_object_new_string(sd_bus_message_get_member(m)));
	json_object_object_add(signal, "TimeUsec", json_object_new_uint64(now_us()));
	json_object_object_add(signal, "Id", id);
	if (json_object_is_type(details, json_type_object)) {
		json_object_object_foreach(details, key, value)
		{
			json_object_object_add(signal, key, json_object_get(value));
		}
	}
	json_object_put(details);
	*ret = signal;
	return 0;
}

static int on_signal(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	struct watch *watch = userdata;
	json_object *signal;

	if (read_signal(m, &signal) < 0)
		return 0; /* not ours to understand */
	if (!watch->func(watch->userdata, signal))
		sd_event_exit(watch->event, CTL_OK);
	else if (fflush(stdout) != 0)
		sd_event_exit(watch->event, errno == EPIPE ? CTL_OK : CTL_FAILURE);
	return 0;
}

static int on_disconnected(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	struct watch *watch = userdata;

	client_fail(CTL_NOT_RUNNING, "daxguardd closed the connection");
	return sd_event_exit(watch->event, CTL_NOT_RUNNING);
}

static int on_interrupt(sd_event_source *source, const struct signalfd_siginfo *si, void *userdata)
{
	const struct watch *watch = userdata;

	return sd_event_exit(watch->event, (int)watch->interrupted);
}

/* `monitor | head -1`: the reader is gone; do not wait for the next event to notice. */
static int on_stdout(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
	return sd_event_exit(sd_event_source_get_event(source), CTL_OK);
}

void watch_block_signals(void)
{
	sigset_t mask;

	sigemptyset(&mask);
	sigaddset(&mask, SIGINT);
	sigaddset(&mask, SIGTERM);
	sigprocmask(SIG_BLOCK, &mask, NULL);
}

static int prepare(struct watch *watch, sd_bus *bus)
{
	sd_event *event = watch->event;
	int r;

	watch_block_signals();
	r = sd_event_add_signal(event, NULL, SIGINT, on_interrupt, watch);
	if (r >= 0)
		r = sd_event_add_signal(event, NULL, SIGTERM, on_interrupt, watch);
	if (r >= 0) {
		r = sd_event_add_io(event, NULL, STDOUT_FILENO, EPOLLERR, on_stdout, NULL);
		if (r == -EPERM)
			r = 0; /* a plain file has no reader to lose */
	}
	if (r >= 0)
		r = sd_bus_match_signal(bus, NULL, NULL, DG_BUS_PATH, DG_BUS_MANAGER_INTERFACE,
					NULL, on_signal, watch);
	if (r >= 0)
		r = sd_bus_match_signal(bus, NULL, NULL, "/org/freedesktop/DBus/Local",
					"org.freedesktop.DBus.Local", "Disconnected",
					on_disconnected, watch);
	if (r >= 0)
		r = sd_bus_attach_event(bus, event, SD_EVENT_PRIORITY_NORMAL);
	return r;
}

enum ctl_exit watch_signals(sd_bus *bus, watch_func func, void *userdata, enum ctl_exit interrupted)
{
	struct watch watch = {.func = func, .userdata = userdata, .interrupted = interrupted};
	int r = sd_event_new(&watch.event);

	if (r >= 0)
		r = prepare(&watch, bus);
	if (r >= 0)
		r = sd_event_loop(watch.event);
	(void)!sd_bus_detach_event(bus);
	sd_event_unref(watch.event);
	return r < 0 ? client_fail(CTL_FAILURE, "%s", strerror(-r)) : (enum ctl_exit)r;
}
