/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A method call, from when it comes to when it is answered.
 *
 * Who asks is found out first; what he may see and do depends on it. Each wait
 * of a call has a deadline of its own, and calls under way are counted: those
 * of users do not keep root's out, nor one user another.
 */
#pragma once

#include <stdbool.h>
#include <systemd/sd-bus.h>

#include "bus-caller.h"
#include "manager.h"

struct call;

/* What all connections have in common. */
struct bus_api {
	struct manager *manager;
	struct call *calls; /* under way */
};

/* A connection that calls come by; what is put on it has this as its userdata. */
struct bus_link {
	struct bus_api *api;
	sd_bus *conn;
	struct callers *callers; /* NULL: the control socket, where all are root */
	pid_t peer_pid;          /* … and that one is who has connected */
};

/* Writes something to a connection: queued. */
typedef int (*bus_send_func)(struct bus_link *link, const void *what);

/* The connection ends: its calls are dropped without an answer. */
void bus_link_drop_calls(struct bus_link *link);

/* What somebody is shown: everything, or what is his and the rest in numbers. */
struct viewer {
	bool all; /* root */
	uid_t uid;
};

/*
 * Does what was asked. A negative errno, or error is set: that is the answer. Else it has
 * answered, or has begun to wait with call_wait(), and the answer comes with call_finish().
 */
typedef int (*call_func)(struct call *call, sd_bus_error *error);

/* As a filter: what sd-bus would answer itself, and wait for a disk in doing so. */
int bus_refuse(sd_bus_message *m, sd_bus_error *error);

/*
 * The a{sv} that comes next: func gets each key, and reads the variant. What it returns
 * below 0 ends it.
 */
typedef int (*bus_option_func)(sd_bus_message *m, const char *key, void *userdata,
			       sd_bus_error *error);
int bus_read_options(sd_bus_message *m, bus_option_func func, void *userdata, sd_bus_error *error);

/* Of what stands in a file, which may be anything: an error's text is a string. */
void bus_make_printable(char *text);

/* All that the handler of a method does; func is called when it is known who asks. */
int call_start(struct bus_link *link, sd_bus_message *m, call_func func, sd_bus_error *error);

sd_bus_message *call_message(const struct call *call);
struct manager *call_manager(const struct call *call);
struct viewer call_viewer(const struct call *call);
pid_t call_pid(const struct call *call); /* whose connection it is; 0: not known */

/* To be returned: func goes on if he is root, or polkit lets him do action. */
int call_authorize(struct call *call, const char *action, call_func func, sd_bus_error *error);

/*
 * To be returned: something is under way that ends with call_finish(); if the
 * connection ends before, with cancel(pending).
 */
int call_wait(struct call *call, void (*cancel)(void *pending), void *pending);
/* Before that is begun. -EBUSY: too much is under way already. */
int call_may_wait(const struct call *call);

/* What was waited for is there, and no longer to be cancelled. r: as of a call_func. */
void call_finish(struct call *call, int r, sd_bus_error *error);
