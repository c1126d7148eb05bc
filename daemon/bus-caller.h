/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Who asks, on the system bus.
 *
 * A message carries no more than the unique name of its sender; what user and process
 * that is, the bus has to be asked. sd_bus_query_sender_creds() does that and waits
 * for the answer, 25 s of a bus that is stopped, and with them every hold. So it
 * is asked with a call like any other, whose answer comes from the event loop,
 * or at its deadline; and as no bus gives a unique name twice, an answer
 * holds for as long as the connection does.
 */
#pragma once

#include <sys/types.h>
#include <systemd/sd-bus.h>

#define BUS_NOBODY ((uid_t)-1) /* the bus does not say: nobody's, no holder is his */

struct callers;

struct caller {
	uid_t uid;
	pid_t pid; /* that has connected; 0: the bus does not say */
};

int callers_new(sd_bus *conn, struct callers **ret); /* -ENOMEM */
/* Calls under way are to be dropped before. NULL is fine; returns NULL. */
struct callers *callers_free(struct callers *callers);

/*
 * 1: *ret is who it is. 0: func is called later, once, with that or a
 * negative errno (-ETIMEDOUT), unless the slot is dropped before.
 */
typedef void (*caller_func)(void *userdata, int error, struct caller caller);
int callers_find(struct callers *callers, const char *sender, struct caller *ret, caller_func func,
		 void *userdata, sd_bus_slot **ret_slot);
