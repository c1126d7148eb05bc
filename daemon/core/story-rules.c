/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "core/story-private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

const struct dg_story_rule *dg_story_find_rule(const struct dg_story *story, const char *name)
{
	for (size_t i = 0; i < story->n_rules; i++)
		if (strcmp(story->rules[i].name, name) == 0)
			return &story->rules[i];
	return NULL;
}

int dg_story_on_rule(struct dg_story *story, event_t *event)
{
	const char *name = dg_history_get(event, "name");
	const char *path = dg_history_get(event, "path") ?: "";
	const char *contents = dg_history_get(event, "text");
	struct dg_story_rule *rule = NULL;
	char *copy, *file;
	int r = -ENOMEM;

	if (!name || !contents || dg_story_find_rule(story, name))
		return 0;
	copy = strdup(contents);
	file = strdup(path);
	if (copy && file)
		rule = GROW(story, rules, DG_STORY_PARTS_MAX, &r);
	if (!rule) {
		free(copy);
		free(file);
		return r;
	}
	TEXT(event, "name", rule->name);
	rule->path = file;
	rule->line = (unsigned)number(event, "line");
	rule->text = copy;
	return 0;
}

void dg_story_rules_done(struct dg_story *story)
{
	for (size_t i = 0; i < story->n_rules; i++) {
		free(story->rules[i].path);
		free(story->rules[i].text);
	}
	free(story->rules);
}

int dg_story_on_device_rule(struct dg_story *story, event_t *event)
{
	const char *on_busy = dg_history_get(event, "on_busy");

	TEXT(event, "name", story->device_rule);
	for (unsigned i = 0; on_busy && i < _DG_ON_BUSY_MAX; i++)
		if (strcmp(on_busy, dg_on_busy_name(i)) == 0)
			story->on_busy = i;
	story->budget_ms = (uint32_t)number(event, "budget_ms");
	story->restore = number(event, "restore") > 0;
	return 0;
}
