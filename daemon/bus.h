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

#include "manager.h"

struct bus;

/*
 * Listen on "control" in the manager's run_dir, and observe the manager.
 * -EADDRINUSE: another daemon listens there. One that died left only the
 * file, which is replaced.
 */
int bus_new(struct manager *m, struct bus **ret);
struct bus *bus_free(struct bus *bus); /* before the manager; NULL is fine; returns NULL */
