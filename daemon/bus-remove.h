/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* org.daxguard1.Manager.Remove: asked for, authorised, begun; the rest is an incident. */
#pragma once

#include "bus-call.h"

int bus_remove(struct call *call, sd_bus_error *error); /* a call_func */
