/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Devices that are a part of a file system which is mounted from another: a log, a
 * real-time device, a journal.
 */
#pragma once

#include "step/step.h"

struct fs_part {
	dg_dev_t fs_dev; /* st_dev of the file system */
	dg_dev_t dev;    /* the part */
};

/* Those of the XFS that pid 1's mount namespace shows, on the step's devices. Free *ret. -ENOMEM.
 */
int fs_parts_read(const struct step *step, struct fs_part **ret, size_t *ret_n);

/* A block device, by its name in sysfs, is some ext4's journal. */
bool fs_part_is_journal(const struct step *step, const char *name);
