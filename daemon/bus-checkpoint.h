/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * org.daxguard1.Manager: checkpoints, listed, restored and removed. Each waits for a step; what
 * changes something goes on when the asker has left.
 */
#pragma once

#include "bus-call.h"

/* call_funcs */
int bus_list_checkpoints(struct call *call, sd_bus_error *error);
int bus_restore(struct call *call, sd_bus_error *error);
int bus_delete_checkpoint(struct call *call, sd_bus_error *error);
int bus_prune_checkpoints(struct call *call, sd_bus_error *error);

/* The details of CheckpointRestored; everybody hears them on the bus. */
struct dict;
void bus_put_restored(struct dict *d, const struct manager_restored *restored);
