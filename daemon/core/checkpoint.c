/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "core/checkpoint.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BOOT_DIGITS 8 /* of the boot's id: so many are enough to tell boots apart */

#define MAKER "daxguard-checkpoint-"
#define SERVICE ".service"

void dg_checkpoint_name(const char *boot_id, uint64_t incident, pid_t pid,
			char ret[static DG_CHECKPOINT_ID_MAX])
{
	snprintf(ret, DG_CHECKPOINT_ID_MAX, "%.*s-%" PRIu64 "-%d", BOOT_DIGITS, boot_id, incident,
		 pid);
}

int dg_checkpoint_pid(const char *id, pid_t *ret)
{
	const char *at = strrchr(id, '-');
	unsigned long pid;
	char *end;

	if (!at || at[1] < '0' || at[1] > '9')
		return -EINVAL;
	errno = 0;
	pid = strtoul(at + 1, &end, 10);
	if (errno || *end || pid == 0 || pid > INT32_MAX)
		return -EINVAL;
	*ret = (pid_t)pid;
	return 0;
}

bool dg_checkpoint_is_maker(const char *unit)
{
	size_t n = strlen(unit), n_end = strlen(SERVICE);

	return n > n_end && strncmp(unit, MAKER, strlen(MAKER)) == 0 &&
	       strcmp(unit + n - n_end, SERVICE) == 0;
}

bool dg_checkpoint_is_well(const char *outcome)
{
	return strcmp(outcome, DG_CHECKPOINTED) == 0 || strcmp(outcome, DG_CHECKPOINTED_WITH) == 0;
}

bool dg_checkpoint_goes_on(const char *outcome)
{
	return !*outcome || strcmp(outcome, "waiting") == 0;
}
