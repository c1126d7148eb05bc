/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "step/checkpoint-run.h"

#include <stdio.h>
#include <time.h>

void checkpoint_file(enum checkpoint_run run, const struct dg_checkpoint_id *id, const char *kind,
		     char name[static CHECKPOINT_NAME_MAX])
{
	char text[DG_CHECKPOINT_ID_MAX];

	dg_checkpoint_id_format(id, text);
	snprintf(name, CHECKPOINT_NAME_MAX, "%s.%s%s", text,
		 run == CHECKPOINT_RESTORE ? "restore-" : "", kind);
}

void checkpoint_unit(enum checkpoint_run run, const struct dg_checkpoint_id *id,
		     char name[static CHECKPOINT_NAME_MAX])
{
	char text[DG_CHECKPOINT_ID_MAX];

	dg_checkpoint_id_format(id, text);
	snprintf(name, CHECKPOINT_NAME_MAX, "daxguard-%s-%s.service",
		 run == CHECKPOINT_RESTORE ? "restore" : "checkpoint", text);
}

void checkpoint_scope(const struct dg_checkpoint_id *id, char name[static CHECKPOINT_NAME_MAX])
{
	char text[DG_CHECKPOINT_ID_MAX];

	dg_checkpoint_id_format(id, text);
	snprintf(name, CHECKPOINT_NAME_MAX, "daxguard-restored-%s.scope", text);
}

uint64_t checkpoint_now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}
