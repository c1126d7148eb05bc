/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Asking polkit whether who sent a message may do something.
 *
 * Over the bus by hand, as libpolkit brings GLib and its main loop. Never
 * waited for: polkit may ask a person, and may itself wait for a held device.
 */
#pragma once

#include <systemd/sd-bus.h>

struct polkit_query;

/* error is NULL if he may; else why he may not, to be sent to him. */
typedef void (*polkit_func)(void *userdata, const sd_bus_error *error);

/*
 * func is called once, from the event loop: with the answer, at
 * DG_POLKIT_MSEC, when there is no polkit, or when the asker has gone. If the
 * message allows it polkit may ask a person for a password.
 */
int polkit_ask(sd_bus_message *m, const char *action, polkit_func func, void *userdata,
	       struct polkit_query **ret);
/* No callback any more; polkit is told, too. NULL is fine; returns NULL. */
struct polkit_query *polkit_cancel(struct polkit_query *query);
