/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Who is told, and who may ask: root over the control socket, which works when
 * the bus itself waits for a device, and everybody over the system bus.
 *
 * Owns: both, and what observes the manager. The daemon never waits for either.
 */
#pragma once

#include "manager.h"

struct bus;

/*
 * Listen on the control socket, begin to connect to the system bus, and
 * observe the manager. -EADDRINUSE: another daemon listens on the socket.
 */
int bus_new(struct manager *m, struct bus **ret);
struct bus *bus_free(struct bus *bus); /* before the manager; NULL is fine; returns NULL */
