/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* daxguardctl monitor: follow what happens until Ctrl-C. */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <systemd/sd-event.h>
#include <time.h>
#include <unistd.h>

#include "client.h"
#include "json.h"
#include "names.h"
#include "print.h"
#include "text.h"

struct monitor {
	const struct ctl *ctl;
	sd_event *event;
};

/* What the signal is about, for people: everything but number and time. */
static char *describe(json_object *signal)
{
	const char *name = json_str(signal, "Signal");
	char *text;

	if (strcmp(name, "IncidentBegan") == 0)
		return text_append(json_text(signal, "Device"), " ", strdup("is being removed"));
	if (strcmp(name, "StateChanged") == 0)
		return json_text(signal, "State");
	if (strcmp(name, "HolderActed") == 0) {
		text = text_append(json_text(signal, "Comm"), " ",
				   text_format("(%" PRIu64 ")", json_num(signal, "Pid")));
		text = text_append(text, ": ", json_text(signal, "Action"));
		return *json_str(signal, "Outcome")
			       ? text_append(text, ": ", json_text(signal, "Outcome"))
			       : text;
	}
	if (strcmp(name, "IncidentEnded") == 0) {
		text = text_append(json_text(signal, "Result"), " after ",
				   text_duration(json_num(signal, "HeldUsec")));
		return text_append(text, ", revoke ", json_text(signal, "Revoke"));
	}
	return json_text(signal, "Signal"); /* of a newer daemon */
}

int print_signal(FILE *f, const struct table_style *style, json_object *signal)
{
	enum table_colour colour = print_colour(json_str(signal, "Result"));
	char *time = text_time(json_num(signal, "TimeUsec")), *text = describe(signal);
	int r = time && text ? 0 : -ENOMEM;

	if (r == 0)
		fprintf(f, "%s  #%" PRIu64 "  %s%s%s\n", time, json_num(signal, "Id"),
			table_colour_on(colour, style->colour), text,
			table_colour_off(colour, style->colour));
	free(time);
	free(text);
	return r;
}

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
	struct monitor *monitor = userdata;
	json_object *signal;

	if (read_signal(m, &signal) < 0)
		return 0; /* not ours to understand */
	print_answer(monitor->ctl, "Event", signal, print_signal);
	if (fflush(stdout) != 0)
		sd_event_exit(monitor->event, errno == EPIPE ? CTL_OK : CTL_FAILURE);
	return 0;
}

static int on_disconnected(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	struct monitor *monitor = userdata;

	client_fail(CTL_NOT_RUNNING, "daxguardd closed the connection");
	return sd_event_exit(monitor->event, CTL_NOT_RUNNING);
}

static int on_interrupt(sd_event_source *source, const struct signalfd_siginfo *si, void *userdata)
{
	return sd_event_exit(sd_event_source_get_event(source), CTL_OK);
}

/* `monitor | head -1`: the reader is gone; do not wait for the next event to notice. */
static int on_stdout(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
	return sd_event_exit(sd_event_source_get_event(source), CTL_OK);
}

static int prepare(struct monitor *monitor, sd_bus *bus)
{
	sd_event *event = monitor->event;
	sigset_t mask;
	int r;

	sigemptyset(&mask);
	sigaddset(&mask, SIGINT);
	sigaddset(&mask, SIGTERM);
	sigprocmask(SIG_BLOCK, &mask, NULL);

	r = sd_event_add_signal(event, NULL, SIGINT, on_interrupt, NULL);
	if (r >= 0)
		r = sd_event_add_signal(event, NULL, SIGTERM, on_interrupt, NULL);
	if (r >= 0) {
		r = sd_event_add_io(event, NULL, STDOUT_FILENO, EPOLLERR, on_stdout, NULL);
		if (r == -EPERM)
			r = 0; /* a plain file has no reader to lose */
	}
	if (r >= 0)
		r = sd_bus_match_signal(bus, NULL, NULL, DG_BUS_PATH, DG_BUS_MANAGER_INTERFACE,
					NULL, on_signal, monitor);
	if (r >= 0)
		r = sd_bus_match_signal(bus, NULL, NULL, "/org/freedesktop/DBus/Local",
					"org.freedesktop.DBus.Local", "Disconnected",
					on_disconnected, monitor);
	if (r >= 0)
		r = sd_bus_attach_event(bus, event, SD_EVENT_PRIORITY_NORMAL);
	return r;
}

enum ctl_exit verb_monitor(const struct ctl *ctl, int argc, char *argv[])
{
	struct monitor monitor = {.ctl = ctl};
	json_object *status = NULL;
	enum ctl_exit code;
	sd_bus *bus = NULL;
	int r;

	code = client_open(ctl, &bus);
	if (code != CTL_OK)
		return code;
	/* Says at once who may not listen, and that nobody is there to speak. */
	code = client_call(bus, &status, "GetStatus", "");
	json_object_put(status);

	if (code == CTL_OK) {
		r = sd_event_new(&monitor.event);
		if (r >= 0)
			r = prepare(&monitor, bus);
		if (r >= 0)
			r = sd_event_loop(monitor.event);
		code = r < 0 ? client_fail(CTL_FAILURE, "%s", strerror(-r)) : (enum ctl_exit)r;
	}
	sd_bus_close_unref(bus);
	sd_event_unref(monitor.event);
	return code;
}
