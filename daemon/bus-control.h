/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The control socket: D-Bus without a bus, for root, that works when the bus
 * itself waits for a device.
 *
 * Owns: the socket, the connections. Must not own: anything it tells. The
 * daemon never waits for a client: what is written is queued, and who does not
 * read it (DG_CONTROL_QUEUE_MAX) is disconnected. Clients beyond
 * DG_CONTROL_CLIENTS_MAX, and users other than root, are hung up on.
 */
#pragma once

#include "bus-call.h"

struct bus_control;

/*
 * Listen on "control" in the manager's run_dir. -EADDRINUSE: another daemon
 * listens there. One that died left only the file, which is replaced.
 */
int bus_control_new(struct bus_api *api, struct bus_control **ret);
struct bus_control *bus_control_free(struct bus_control *control); /* NULL is fine; returns NULL */

/* To each client; whoever is behind is let go. */
void bus_control_send(struct bus_control *control, bus_send_func send, const void *what);
