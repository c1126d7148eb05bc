/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "core/story-private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static size_t index_of(const struct dg_story *story, struct dg_process wanted)
{
	/* The youngest is asked for most. */
	for (size_t i = story->n_holders; i > 0; i--)
		if (dg_process_equal(story->holders[i - 1].process, wanted))
			return i - 1;
	return SIZE_MAX;
}

const struct dg_story_holder *dg_story_find_holder(const struct dg_story *story,
						   struct dg_process process)
{
	size_t i = index_of(story, process);

	return i == SIZE_MAX ? NULL : &story->holders[i];
}

static struct dg_story_holder *find_holder(struct dg_story *story, event_t *event)
{
	size_t i = index_of(story, process_of(event));

	return i == SIZE_MAX ? NULL : &story->holders[i];
}

int dg_story_on_holder(struct dg_story *story, event_t *event)
{
	struct dg_story_holder *holder = find_holder(story, event);
	int r;

	if (!holder) {
		holder = GROW(story, holders, DG_STORY_HOLDERS_MAX, &r);
		if (!holder)
			return r;
		holder->process = process_of(event);
		holder->at_us = event->mono_us;
	}
	TEXT(event, "comm", holder->comm);
	TEXT(event, "rule", holder->rule);
	TEXT(event, "exempt", holder->exempt);
	holder->uid = (uid_t)number(event, "uid");
	holder->mapped_bytes = number(event, "bytes");
	holder->addr = dg_history_number(event, "addr", 16, 0);
	holder->fs_dev = device(event, "fs_dev");
	holder->permille = (uint32_t)dg_history_number(event, "permille", 10, 1000);
	holder->shared_with = (pid_t)number(event, "shared_with");
	for (unsigned use = 0; use < DG_USE_KERNEL; use++)
		holder->counts[use] = (uint32_t)number(event, dg_use_name(use));
	return 0;
}

int dg_story_on_act(struct dg_story *story, event_t *event)
{
	struct dg_story_holder *holder = find_holder(story, event);
	const char *name = dg_history_get(event, "action");
	struct dg_story_action *action;
	enum dg_action what;

	if (!name || dg_action_from_name(name, &what) < 0)
		return 0;
	if (!holder)
		return DG_STORY_LEFT_OUT;
	if (holder->n_actions >= DG_LADDER_MAX) {
		story->n_left_out++;
		return DG_STORY_LEFT_OUT;
	}
	action = &holder->actions[holder->n_actions++];
	*action = (struct dg_story_action){
		.action = what,
		.grace_ms = (uint32_t)number(event, "grace_ms"),
		.rung = number(event, "rung"),
		.at_us = event->mono_us,
	};
	return 0;
}

/* The last one of that rung; what says none is of the last one. */
static struct dg_story_action *find_action(struct dg_story_holder *holder, event_t *event)
{
	uint64_t rung = dg_history_number(event, "rung", 10, UINT64_MAX);

	for (size_t i = holder->n_actions; i > 0; i--)
		if (rung == UINT64_MAX || holder->actions[i - 1].rung == rung)
			return &holder->actions[i - 1];
	return NULL;
}

/* In the place of what was there before. */
static int keep(event_t *event, const char *key, char **text)
{
	const char *value = dg_history_get(event, key);
	char *copy;

	if (!value || !*value)
		return 0;
	copy = strdup(value);
	if (!copy)
		return -ENOMEM;
	free(*text);
	*text = copy;
	return 0;
}

int dg_story_on_acted(struct dg_story *story, event_t *event)
{
	struct dg_story_holder *holder = find_holder(story, event);
	struct dg_story_action *action;
	int r;

	if (!holder)
		return DG_STORY_LEFT_OUT;
	action = find_action(holder, event);
	if (!action)
		return 0;
	TEXT(event, "outcome", action->outcome);
	action->status = (int)number(event, "status");
	action->took_us = number(event, "took_us");
	action->root_ns = dg_history_number(event, "root_ns", 10, action->root_ns);
	r = keep(event, "unit", &action->unit);
	if (r >= 0)
		r = keep(event, "checkpoint", &action->checkpoint);
	return r < 0 ? r : keep(event, "output", &action->output);
}

int dg_story_on_cooperate(struct dg_story *story, event_t *event)
{
	struct dg_story_holder *holder = find_holder(story, event);

	if (!holder)
		return DG_STORY_LEFT_OUT;
	TEXT(event, "outcome", holder->cooperation);
	return 0;
}

int dg_story_on_freed(struct dg_story *story, event_t *event)
{
	struct dg_story_holder *holder = find_holder(story, event);

	if (!holder)
		return DG_STORY_LEFT_OUT;
	TEXT(event, "how", holder->how);
	holder->over_us = event->mono_us;
	return 0;
}

void dg_story_holders_done(struct dg_story *story)
{
	for (size_t i = 0; i < story->n_holders; i++)
		for (size_t k = 0; k < story->holders[i].n_actions; k++) {
			free(story->holders[i].actions[k].unit);
			free(story->holders[i].actions[k].output);
			free(story->holders[i].actions[k].checkpoint);
		}
	free(story->holders);
}
