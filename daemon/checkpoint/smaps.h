/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What /proc/PID/smaps says of mappings, see proc_pid_smaps(5). */
#pragma once

#include <stdint.h>
#include <stdio.h>

struct smaps_mapping {
	uint64_t start, end; /* addresses */
	uint64_t offset;     /* in the file */
};

/*
 * Those with MAP_SYNC through which its file can be written, now or after an
 * mprotect(2). Until func returns other than 0; returns that.
 */
typedef int (*smaps_func)(void *userdata, const struct smaps_mapping *mapping);
int smaps_foreach_synced(FILE *file, smaps_func func, void *userdata);
