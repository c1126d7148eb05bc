/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What was done to units as a whole, and who is frozen. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/story-private.h"

const struct dg_story_unit *dg_story_find_unit(const struct dg_story *story, const char *cgroup,
					       enum dg_action action)
{
	for (size_t i = story->n_units; i > 0; i--)
		if (story->units[i - 1].action == action &&
		    strcmp(story->units[i - 1].cgroup, cgroup) == 0)
			return &story->units[i - 1];
	return NULL;
}

static void thaw(struct dg_story *story, const char *cgroup)
{
	for (size_t i = 0; i < story->n_units; i++)
		if (strcmp(story->units[i].cgroup, cgroup) == 0)
			story->units[i].frozen = false;
}

int dg_story_on_unit(struct dg_story *story, event_t *event)
{
	const char *cgroup = dg_history_get(event, "cgroup");
	const char *name = dg_history_get(event, "action");
	struct dg_story_unit *unit;
	enum dg_action action;
	char *copy;
	int r;

	if (cgroup && name && strcmp(name, "thaw") == 0)
		thaw(story, cgroup);
	if (!cgroup || !name || dg_action_from_name(name, &action) < 0)
		return 0;
	copy = strdup(cgroup);
	if (!copy)
		return -ENOMEM;
	unit = GROW(story, units, DG_STORY_PARTS_MAX, &r);
	if (!unit) {
		free(copy);
		return r;
	}
	unit->cgroup = copy;
	unit->action = action;
	unit->boot_ns = number(event, "boot_ns");
	unit->frozen = action == DG_ACTION_FREEZE;
	return 0;
}

void dg_story_units_done(struct dg_story *story)
{
	for (size_t i = 0; i < story->n_units; i++)
		free(story->units[i].cgroup);
	free(story->units);
}
