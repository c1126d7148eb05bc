/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Whether the machine itself lives on a device: who would be signalled then is everybody. */
#pragma once

#include "step/mount-table.h"
#include "step/step.h"

/*
 * Calls func with each reason: "/", "/usr", "/var", "swap", "daxguardd". host:
 * the mounts of the host's namespace.
 */
int system_device_reasons(struct step *step, const struct mount_table *host,
			  int (*func)(struct step *step, const char *reason, void *userdata),
			  void *userdata);
