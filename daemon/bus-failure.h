/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The ledger of failures, as a method of the Manager. */
#pragma once

#include "bus-call.h"

/* A handler, see call_func. */
int bus_list_failures(struct call *call, sd_bus_error *error);
