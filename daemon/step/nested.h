/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * File systems that are made of files of another: on a loop device, or an
 * overlay. They go with it, so their numbers are added to the step's devices;
 * what is deeper comes later.
 */
#pragma once

#include "step/mount-table.h"
#include "step/step.h"

/* Loop devices, and what is built on them. -ENOMEM. */
int nested_add_loops(struct step *step);

/* Overlays of this table with a layer, by its name, on one of the devices. -ENOMEM. */
int nested_add_overlays(struct step *step, const struct mount_table *table);
