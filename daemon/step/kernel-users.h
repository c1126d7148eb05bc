/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Users of a file system or a disk that are no process: swap, loop devices, overlays, the NFS
 * server. */
#pragma once

#include "step/step.h"

/* Some swap is on one of the devices. */
bool kernel_users_swap(struct step *step);

/*
 * A record KERNEL=loop|overlay|swap|nfsd for each: PATH is the file or directory,
 * NAME the loop device. Paths are the host's, so we must be there.
 */
int kernel_users_report(struct step *step);
