/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The rules in force as a dictionary. */
#pragma once

#include "bus-dict.h"
#include "core/policy.h"

/* Rules and DeviceRules, in the order in which they are asked. */
void bus_put_policy(struct dict *d, const struct dg_policy *policy);
