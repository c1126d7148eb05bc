/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How a step and the unit that it starts find each other: by names that come of the
 * checkpoint's ID, in a directory in memory.
 */
#pragma once

#include "core/manifest.h"

enum checkpoint_run {
	CHECKPOINT_DUMP,
	CHECKPOINT_RESTORE,
};

#define CHECKPOINT_NAME_MAX (DG_CHECKPOINT_ID_MAX + 64)

/*
 * kind: "request" (what the step was asked, and until when), "result" (one record, when
 * all is done), "tree" (whom the dump has stopped). The name of a file.
 */
void checkpoint_file(enum checkpoint_run run, const struct dg_checkpoint_id *id, const char *kind,
		     char name[static CHECKPOINT_NAME_MAX]);

/*
 * Removes results that nobody will ask for: older than a day, and not of the same incident
 * as this one. dir_fd is locked, so that none is of a run that begins.
 */
void checkpoint_drop_results(int dir_fd, const struct dg_checkpoint_id *id);

/* The unit that does it; and the one in which restored processes live. */
void checkpoint_unit(enum checkpoint_run run, const struct dg_checkpoint_id *id,
		     char name[static CHECKPOINT_NAME_MAX]);
void checkpoint_scope(const struct dg_checkpoint_id *id, char name[static CHECKPOINT_NAME_MAX]);
bool checkpoint_is_scope(const char *unit); /* of any of them */

/* Of CLOCK_MONOTONIC. */
uint64_t checkpoint_now_us(void);
