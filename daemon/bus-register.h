/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* org.daxguard1.Manager: Register and ListRegistrations; see docs/cooperation.md. */
#pragma once

#include "bus-call.h"
#include "bus-dict.h"

int bus_register(struct call *call, sd_bus_error *error);           /* a call_func */
int bus_list_registrations(struct call *call, sd_bus_error *error); /* likewise */

/* Registrations: of all, for root. */
void bus_put_registrations(struct dict *d, struct manager *m);
