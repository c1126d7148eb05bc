/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What is in the story of a memory failure, and in no other. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/story-private.h"

const char *dg_story_kind_name(enum dg_story_kind kind)
{
	static const char *const names[_DG_STORY_KIND_MAX] = {
		[DG_STORY_REMOVAL] = "removal",
		[DG_STORY_FAILURE] = "memory-failure",
	};

	return (unsigned)kind < _DG_STORY_KIND_MAX ? names[kind] : "unknown";
}

int dg_story_on_failure(struct dg_story *story, event_t *event)
{
	const char *source = dg_history_get(event, "source") ?: "";
	struct dg_story_failure *failure;
	int r;

	story->n_failed++;
	story->failed_bytes += number(event, "len");
	failure = GROW(story, failures, DG_STORY_FAILURES_MAX, &r);
	/* It is counted, and the kernel has it until it is in a record. */
	if (!failure)
		return r < 0 ? r : 0;
	failure->serial = number(event, "serial");
	while (failure->source < _DG_FAILURE_SOURCE_MAX - 1 &&
	       strcmp(source, dg_failure_source_name(failure->source)) != 0)
		failure->source++;
	TEXT(event, "type", failure->type);
	TEXT(event, "result", failure->result);
	failure->flags = (uint32_t)number(event, "flags");
	failure->unaddressed = dg_history_get(event, "start") == NULL;
	failure->range.start = dg_history_number(event, "start", 16, 0);
	failure->range.len = number(event, "len");
	failure->has_disk_offset = dg_history_get(event, "disk_offset") != NULL;
	failure->disk_offset = number(event, "disk_offset");
	failure->fs_dev = device(event, "fs_dev");
	failure->ino = number(event, "ino");
	failure->file_offset = number(event, "file_offset");
	failure->at_us = event->mono_us;
	return 0;
}

static struct dg_story_holder *holder_of(struct dg_story *story, event_t *event)
{
	return (struct dg_story_holder *)dg_story_find_holder(story, process_of(event));
}

/* The first ones are told one by one, the others counted. */
int dg_story_on_tell(struct dg_story *story, event_t *event)
{
	struct dg_story_holder *holder = holder_of(story, event);
	const char *name = dg_history_get(event, "action");
	enum dg_action what;

	if (!holder || !name || dg_action_from_name(name, &what) < 0)
		return 0;
	if (holder->n_actions >= DG_LADDER_MAX)
		return 0;
	holder->actions[holder->n_actions++] = (struct dg_story_action){
		.action = what,
		.at_us = event->mono_us,
		.addr = dg_history_number(event, "addr", 16, 0),
	};
	return 0;
}

int dg_story_on_told(struct dg_story *story, event_t *event)
{
	struct dg_story_holder *holder = holder_of(story, event);
	uint64_t addr = dg_history_number(event, "addr", 16, 0);

	if (holder && strcmp(event->kind, "told") == 0)
		holder->n_told++;
	for (size_t i = holder ? holder->n_actions : 0; i > 0; i--) {
		struct dg_story_action *action = &holder->actions[i - 1];

		if (action->addr != addr)
			continue;
		TEXT(event, "outcome", action->outcome);
		break;
	}
	return 0;
}

static int read_map(struct dg_told_list *told, event_t *event, const char *map, bool missed)
{
	struct dg_told item = {
		.process = process_of(event),
		.pages = {dg_history_number(event, "start", 16, 0), number(event, "len")},
	};
	char *end;

	item.addr = strtoull(map, &end, 16);
	if (*end != ':' || item.process.pid <= 0)
		return 0;
	item.len = strtoull(end + 1, NULL, 16);
	if (item.len > UINT64_MAX - item.addr)
		return 0;
	if (!missed)
		return dg_told_add(told, &item);
	dg_told_drop(told, &item);
	return 0;
}

static int on_line(struct dg_told_list *told, event_t *event)
{
	bool missed = strcmp(event->kind, "missed") == 0;
	int r = 0;

	if (!missed && strcmp(event->kind, "tell") != 0)
		return 0;
	for (size_t i = 0; i < event->n_pairs && r >= 0; i++)
		if (strcmp(event->pairs[i].key, "map") == 0)
			r = read_map(told, event, event->pairs[i].value, missed);
	return r;
}

int dg_told_read(struct dg_told_list *told, const char *record, size_t n_record)
{
	const char *end = record + n_record;
	char line[DG_HISTORY_LINE_MAX];
	struct dg_history_event event;
	int r = 0;

	while (r >= 0 && dg_history_next(&record, end, line, &event))
		r = on_line(told, &event);
	return r;
}

void dg_story_failures_done(struct dg_story *story)
{
	free(story->failures);
}
