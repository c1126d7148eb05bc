/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the step `processes` prints: control groups are named by whoever made them. */
#include <stdlib.h>
#include <string.h>

#include "core/look.h"
#include "fuzz.h"

static void check(const struct dg_look *look)
{
	const struct dg_process_facts *facts = &look->facts;

	/* A path says of all three names whether there is one, or of none. */
	if (!facts->cgroup != !facts->unit || !facts->unit != !facts->user_unit ||
	    !facts->unit != !facts->container)
		abort();
	if (strlen(look->unit.name) >= DG_UNIT_NAME_MAX ||
	    strlen(look->user_unit.name) >= DG_UNIT_NAME_MAX ||
	    strlen(look->container) >= DG_CONTAINER_NAME_MAX)
		abort();
	if (*look->user_unit.name && !*look->unit.name)
		abort();
	if (facts->cgroup && (look->unit.n_path > strlen(facts->cgroup) ||
			      look->user_unit.n_path > strlen(facts->cgroup)))
		abort();
	for (size_t i = 1; i < facts->n_gids; i++)
		if (!facts->gids_complete)
			abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct dg_look_list list = {};

	for (pid_t pid = 1; pid <= 3; pid++)
		if (dg_look_add(&list, (struct dg_process){pid, 5}) < 0)
			abort();
	if (dg_look_read(&list, (const char *)data, size) < 0 || list.n_items != 3)
		abort();
	for (size_t i = 0; i < list.n_items; i++)
		check(list.items[i]);
	dg_look_list_done(&list);
	return 0;
}
