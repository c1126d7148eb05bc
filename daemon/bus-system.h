/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The system bus: org.daxguard1 for everybody.
 *
 * The bus is a process like others. It may not be there yet, be restarted, be
 * stopped, or wait for the very device that is held. So the daemon does without:
 * connecting, the name, and every message are queued and come through the event
 * loop; a bus that leaves too much unread is hung up on; who has lost it tries
 * again, less and less often.
 *
 * Owns: the connection. Must not own: anything it tells.
 */
#pragma once

#include "bus-call.h"

struct bus_system;

int bus_system_new(struct bus_api *api, const char *address, struct bus_system **ret);
struct bus_system *bus_system_free(struct bus_system *system); /* NULL is fine; returns NULL */

/* Nothing, while the name is not ours. NULL is fine. */
void bus_system_send(struct bus_system *system, bus_send_func send, const void *what);
