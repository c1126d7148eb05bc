/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Shared by the story*.c files, and nobody else. */
#pragma once

#include <stdio.h>

#include "core/record.h"
#include "core/story.h"

typedef const struct dg_history_event event_t;

/* What a buffer cannot hold is cut: these are for people, or names of ours. */
static inline void text(event_t *event, const char *key, char *to, size_t size)
{
	const char *value = dg_history_get(event, key);

	if (value)
		snprintf(to, size, "%s", value);
}
#define TEXT(event, key, array) text(event, key, array, sizeof(array))

static inline uint64_t number(event_t *event, const char *key)
{
	return dg_history_number(event, key, 10, 0);
}

static inline dg_dev_t device(event_t *event, const char *key)
{
	const char *value = dg_history_get(event, key);
	dg_dev_t dev;

	return value && dg_dev_parse(value, &dev) >= 0 ? dev : 0;
}

static inline struct dg_process process_of(event_t *event)
{
	return (struct dg_process){
		.pid = (pid_t)number(event, "pid"),
		.start_ns = number(event, "start_ns"),
	};
}

/*
 * One more element, zeroed; or NULL, and *ret_error says why: DG_STORY_LEFT_OUT
 * or -ENOMEM.
 */
void *dg_story_grow(struct dg_story *story, void *array, size_t *n, size_t size, size_t max,
		    int *ret_error);
#define GROW(story, array, max, ret_error)                                                         \
	dg_story_grow(story, &(story)->array, &(story)->n_##array, sizeof(*(story)->array), max,   \
		      ret_error)

/* The rules of the incident. */
int dg_story_on_rule(struct dg_story *story, event_t *event);
int dg_story_on_device_rule(struct dg_story *story, event_t *event);
void dg_story_rules_done(struct dg_story *story);

/* Events of one holder. */
int dg_story_on_holder(struct dg_story *story, event_t *event);
int dg_story_on_act(struct dg_story *story, event_t *event);
int dg_story_on_acted(struct dg_story *story, event_t *event);
int dg_story_on_cooperate(struct dg_story *story, event_t *event);
int dg_story_on_freed(struct dg_story *story, event_t *event);
int dg_story_on_unit(struct dg_story *story, event_t *event);
/* Failed pages, and who was told of them. */
int dg_story_on_failure(struct dg_story *story, event_t *event);
int dg_story_on_tell(struct dg_story *story, event_t *event);
int dg_story_on_told(struct dg_story *story, event_t *event);
void dg_story_failures_done(struct dg_story *story);
/* What they were used for. */
int dg_story_on_place(struct dg_story *story, event_t *event);
int dg_story_on_file(struct dg_story *story, event_t *event);
void dg_story_places_done(struct dg_story *story);
int dg_story_on_limit(struct dg_story *story, event_t *event);
int dg_story_on_reaction(struct dg_story *story, event_t *event);
void dg_story_reactions_done(struct dg_story *story);
void dg_story_units_done(struct dg_story *story);
void dg_story_holders_done(struct dg_story *story);
