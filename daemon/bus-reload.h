/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* org.daxguard1.Manager.Reload: asked for, authorised, answered when it is done. */
#pragma once

#include "bus-call.h"

int bus_reload(struct call *call, sd_bus_error *error); /* a call_func */
