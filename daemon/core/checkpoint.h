/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Checkpoints: processes that were written to a disk and ended, to go on later. What is
 * here is how one is called, and how it is told of.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define DG_CHECKPOINT_ID_MAX 48 /* with its NUL */

/* Of the tree below this process, in the incident of this boot. */
void dg_checkpoint_name(const char *boot_id, uint64_t incident, pid_t pid,
			char ret[static DG_CHECKPOINT_ID_MAX]);
int dg_checkpoint_pid(const char *id, pid_t *ret); /* of whom it is; -EINVAL */

/* A unit, by its name, in which one is made. */
bool dg_checkpoint_is_maker(const char *unit);

/* Outcomes of the action; others say why there is none. */
#define DG_CHECKPOINTED "checkpointed"
#define DG_CHECKPOINTED_WITH "checkpointed-with" /* as part of the tree or unit of another */
bool dg_checkpoint_is_well(const char *outcome);
bool dg_checkpoint_goes_on(const char *outcome); /* it is not known yet */
