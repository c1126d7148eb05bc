/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* org.daxguard1.Manager.Remove: asked for, authorised, begun; the rest is an incident. */
#pragma once

#include "bus-call.h"

int bus_remove(struct call *call, sd_bus_error *error); /* a call_func */

/* The value of the option Force. */
int bus_read_force(sd_bus_message *m, bool *ret, sd_bus_error *error);
/* r of manager_remove() or manager_may_remove() as an error; returns what sd-bus does. */
int bus_refuse_removal(sd_bus_error *error, int r, const struct manager_device *device);
