/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a removal would come to, as methods of the Manager. */
#pragma once

#include "bus-call.h"

/* Handlers, see call_func. */
int bus_simulate(struct call *call, sd_bus_error *error);
int bus_query_policy(struct call *call, sd_bus_error *error);
