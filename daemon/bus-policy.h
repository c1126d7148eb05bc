/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The rules in force as a dictionary. */
#pragma once

#include "bus-dict.h"
#include "manager.h"

/* Rules and DeviceRules, in the order in which they are asked; and what is wrong with them. */
void bus_put_policy(struct dict *d, struct manager *m);
