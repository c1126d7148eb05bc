/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the device's rule wants done about a memory failure, and what came of it. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/story-private.h"

const char *dg_cause_name(enum dg_cause cause)
{
	static const char *const names[_DG_CAUSE_MAX] = {
		[DG_CAUSE_METADATA] = "metadata",
		[DG_CAUSE_LIMIT] = "limit",
	};

	return (unsigned)cause < _DG_CAUSE_MAX ? names[cause] : "unknown";
}

int dg_story_on_limit(struct dg_story *story, event_t *event)
{
	story->limit = (struct dg_story_limit){
		.known = true,
		.bad = number(event, "bad"),
		.new = number(event, "new"),
		.count = number(event, "count"),
		.limit = {(uint32_t)number(event, "pages"), number(event, "within_us")},
		.reached = number(event, "reached") != 0,
		.at_us = event->mono_us,
	};
	return 0;
}

int dg_story_on_reaction(struct dg_story *story, event_t *event)
{
	const char *cause = dg_history_get(event, "cause") ?: "";
	const char *action = dg_history_get(event, "action") ?: "";
	const char *output = dg_history_get(event, "output");
	struct dg_story_reaction *reaction;
	unsigned i = 0, k = 0;

	while (i < _DG_CAUSE_MAX && strcmp(cause, dg_cause_name(i)) != 0)
		i++;
	while (k < _DG_REACTION_MAX && strcmp(action, dg_reaction_name(k)) != 0)
		k++;
	if (i == _DG_CAUSE_MAX || k == _DG_REACTION_MAX)
		return 0;
	reaction = &story->reactions[i];
	reaction->action = k;
	TEXT(event, "rule", reaction->rule);
	TEXT(event, "outcome", reaction->outcome);
	reaction->removal = number(event, "removal");
	reaction->status = (int)number(event, "status");
	reaction->took_us = number(event, "took_us");
	free(reaction->output);
	reaction->output = output && *output ? strdup(output) : NULL;
	return output && *output && !reaction->output ? -ENOMEM : 0;
}

void dg_story_reactions_done(struct dg_story *story)
{
	for (size_t i = 0; i < _DG_CAUSE_MAX; i++)
		free(story->reactions[i].output);
}
