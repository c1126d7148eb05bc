/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "core/story.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/grow.h"
#include "core/story-private.h"

static bool truth(event_t *event, const char *key)
{
	return number(event, key) != 0;
}

void *dg_story_grow(struct dg_story *story, void *array, size_t *n, size_t size, size_t max,
		    int *ret_error)
{
	char **items = array;

	*ret_error = 0;
	if (*n >= max) {
		story->n_left_out++;
		*ret_error = DG_STORY_LEFT_OUT;
		return NULL;
	}
	if (dg_grow_array(array, *n, size) < 0) {
		*ret_error = -ENOMEM;
		return NULL;
	}
	return memset(*items + (*n)++ * size, 0, size);
}

static int on_begin(struct dg_story *story, event_t *event)
{
	uint64_t elapsed_us = number(event, "elapsed_ms") * 1000;
	const char *kind = dg_history_get(event, "kind");

	story->id = number(event, "id");
	if (kind && strcmp(kind, dg_story_kind_name(DG_STORY_FAILURE)) == 0)
		story->kind = DG_STORY_FAILURE;
	TEXT(event, "boot_id", story->boot_id);
	TEXT(event, "device", story->device);
	TEXT(event, "bus", story->bus);
	TEXT(event, "driver", story->driver);
	story->surprise = truth(event, "surprise");
	story->taken_over = truth(event, "taken_over");
	story->by_user = truth(event, "by_user");
	story->forced = truth(event, "forced");
	story->unbinder_pid = (pid_t)number(event, "unbinder");
	story->unbinder_start_ns = number(event, "unbinder_start_ns");
	story->deadline_us = number(event, "deadline_us");
	story->reserve_us = number(event, "reserve_us");
	story->cap_ms = (uint32_t)number(event, "cap_ms");
	story->began_us = event->mono_us > elapsed_us ? event->mono_us - elapsed_us : 0;
	story->began_wall_us = event->wall_us > elapsed_us ? event->wall_us - elapsed_us : 0;
	return 0;
}

static enum dg_mode mode_from_name(const char *name)
{
	for (unsigned mode = 0; name && mode < _DG_MODE_MAX; mode++)
		if (strcmp(name, dg_mode_name(mode)) == 0)
			return mode;
	return DG_MODE_UNKNOWN;
}

static int on_target(struct dg_story *story, event_t *event)
{
	struct dg_story_target *target;
	int r;

	target = GROW(story, targets, DG_STORY_PARTS_MAX, &r);
	if (!target)
		return r;
	TEXT(event, "name", target->name);
	TEXT(event, "ns_device", target->ns_device);
	TEXT(event, "uuid", target->uuid);
	target->dev = device(event, "dev");
	target->mode = mode_from_name(dg_history_get(event, "mode"));
	return 0;
}

static void leave_state(struct dg_story *story, uint64_t now_us)
{
	struct dg_story_state *last;

	if (story->n_states == 0)
		return;
	last = &story->states[story->n_states - 1];
	if (last->took_us == 0 && now_us > last->at_us)
		last->took_us = now_us - last->at_us;
}

static int on_state(struct dg_story *story, event_t *event)
{
	const char *name = dg_history_get(event, "name");
	struct dg_story_state *entered;
	enum dg_state state;
	int r;

	if (!name || dg_state_from_name(name, &state) < 0)
		return 0;
	leave_state(story, event->mono_us);
	story->state = state;
	entered = GROW(story, states, DG_STORY_PARTS_MAX, &r);
	/* A new daemon must know the last one, however many there were. */
	if (!entered)
		return r < 0 ? r : 0;
	entered->state = state;
	entered->at_us = event->mono_us;
	return 0;
}

static int on_resume(struct dg_story *story, event_t *event)
{
	story->resumes++;
	return 0;
}

static int on_job(struct dg_story *story, event_t *event)
{
	struct dg_story_job *job;
	int r;

	job = GROW(story, jobs, DG_STORY_PARTS_MAX, &r);
	if (!job)
		return r;
	TEXT(event, "name", job->name);
	job->at_us = event->mono_us;
	return 0;
}

/* The youngest of that name that is not over. */
static struct dg_story_job *running_job(struct dg_story *story, event_t *event)
{
	const char *name = dg_history_get(event, "name");

	for (size_t i = story->n_jobs; name && i > 0; i--)
		if (!story->jobs[i - 1].over && strcmp(story->jobs[i - 1].name, name) == 0)
			return &story->jobs[i - 1];
	return NULL;
}

static int on_step(struct dg_story *story, event_t *event)
{
	struct dg_story_job *job = running_job(story, event);

	if (job)
		job->process = process_of(event);
	return 0;
}

static int on_job_end(struct dg_story *story, event_t *event)
{
	const char *error = dg_history_get(event, "error");
	struct dg_story_job *job = running_job(story, event);

	if (!job)
		return 0;
	job->over = true;
	job->took_us = number(event, "took_us");
	job->status = (int)number(event, "status");
	TEXT(event, "end", job->end);
	if (strcmp(job->name, "mounts") == 0 && strcmp(job->end, "ok") == 0)
		story->knows_mounts = true;
	if (!error || !*error)
		return 0;
	job->error = strdup(error);
	return job->error ? 0 : -ENOMEM;
}

static struct dg_story_mount *find_mount(struct dg_story *story, const char *path, uint64_t ns)
{
	for (size_t i = 0; i < story->n_mounts; i++)
		if (story->mounts[i].ns == ns && strcmp(story->mounts[i].path, path) == 0)
			return &story->mounts[i];
	return NULL;
}

static int on_mount(struct dg_story *story, event_t *event)
{
	const char *path = dg_history_get(event, "path");
	uint64_t ns = number(event, "ns");
	struct dg_story_mount *mount;
	char *copy;
	int r;

	if (!path)
		return 0;
	mount = find_mount(story, path, ns);
	if (!mount) {
		copy = strdup(path);
		if (!copy)
			return -ENOMEM;
		mount = GROW(story, mounts, DG_STORY_PARTS_MAX, &r);
		if (!mount) {
			free(copy);
			return r;
		}
		mount->path = copy;
		mount->ns = ns;
	}
	TEXT(event, "type", mount->type);
	TEXT(event, "result", mount->result);
	mount->pid = (pid_t)number(event, "pid");
	mount->dev = device(event, "dev") ?: mount->dev;
	mount->host = mount->host || truth(event, "host");
	mount->locked = mount->locked || truth(event, "locked");
	return 0;
}

static int on_mark(struct dg_story *story, event_t *event)
{
	const char *name = dg_history_get(event, "name");
	enum dg_mark mark;

	if (name && dg_mark_from_name(name, &mark) >= 0)
		story->marks |= 1U << mark;
	return 0;
}

static int add_note(struct dg_story *story, const char *note)
{
	char *copy, **slot;
	int r;

	copy = strdup(note);
	if (!copy)
		return -ENOMEM;
	slot = GROW(story, notes, DG_STORY_PARTS_MAX, &r);
	if (slot)
		*slot = copy;
	else
		free(copy);
	return r;
}

static int on_note(struct dg_story *story, event_t *event)
{
	const char *note = dg_history_get(event, "text");

	return note ? add_note(story, note) : 0;
}

static int on_system(struct dg_story *story, event_t *event)
{
	const char *why = dg_history_get(event, "why");
	char note[256];

	snprintf(note, sizeof(note), "system device: it carries %s", why ?: "the system");
	return add_note(story, note);
}

static int on_kernel(struct dg_story *story, event_t *event)
{
	const char *name = dg_history_get(event, "name");
	const char *device = dg_history_get(event, "device") ?: "";
	const char *path = dg_history_get(event, "path") ?: "";
	char note[4096 + 128];

	snprintf(note, sizeof(note), "used by the kernel itself: %s%s%s%s%s", name ?: "unknown",
		 *device ? " " : "", device, *path ? " on " : "", path);
	/* A step that is done again finds the same. */
	for (size_t i = 0; i < story->n_notes; i++)
		if (strcmp(story->notes[i], note) == 0)
			return 0;
	return add_note(story, note);
}

static int on_done(struct dg_story *story, event_t *event)
{
	const char *result = dg_history_get(event, "result");
	const char *revoke = dg_history_get(event, "revoke");
	struct dg_done *done = &story->done;

	for (unsigned i = 0; result && i < _DG_RESULT_MAX; i++)
		if (strcmp(result, dg_result_name(i)) == 0)
			done->result = i;
	for (unsigned i = 0; revoke && i < _DG_REVOKE_MAX; i++)
		if (strcmp(revoke, dg_revoke_name(i)) == 0)
			done->revoke = i;
	done->id = story->id;
	done->inodes = number(event, "inodes");
	done->entries = number(event, "entries");
	done->vmas = number(event, "vmas");
	done->pages_pinned = number(event, "pinned");
	done->shutdowns = (uint32_t)number(event, "shutdowns");
	done->held_us = number(event, "held_us");
	done->revoke_us = number(event, "revoke_us");
	story->has_done = true;
	return 0;
}

static int on_end(struct dg_story *story, event_t *event)
{
	const char *name = dg_history_get(event, "state");
	enum dg_state state;

	leave_state(story, event->mono_us);
	if (name && dg_state_from_name(name, &state) >= 0)
		story->state = state;
	TEXT(event, "outcome", story->outcome);
	story->ended_us = event->mono_us;
	story->ended_wall_us = event->wall_us;
	return 0;
}

static const struct {
	const char *kind;
	int (*add)(struct dg_story *story, event_t *event);
} kinds[] = {
	{"begin", on_begin},
	{"target", on_target},
	{"resume", on_resume},
	{"state", on_state},
	{"job", on_job},
	{"job-end", on_job_end},
	{"step", on_step},
	{"mount", on_mount},
	{"system", on_system},
	{"rule", dg_story_on_rule},
	{"device-rule", dg_story_on_device_rule},
	{"holder", dg_story_on_holder},
	{"act", dg_story_on_act},
	{"acted", dg_story_on_acted},
	{"cooperate", dg_story_on_cooperate},
	{"freed", dg_story_on_freed},
	{"failure", dg_story_on_failure},
	{"tell", dg_story_on_tell},
	{"told", dg_story_on_told},
	{"missed", dg_story_on_told},
	{"place", dg_story_on_place},
	{"file", dg_story_on_file},
	{"limit", dg_story_on_limit},
	{"reaction", dg_story_on_reaction},
	{"untold", dg_story_on_told},
	{"unit", dg_story_on_unit},
	{"kernel", on_kernel},
	{"mark", on_mark},
	{"note", on_note},
	{"done", on_done},
	{"end", on_end},
};

int dg_story_add(struct dg_story *story, event_t *event)
{
	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++)
		if (strcmp(kinds[i].kind, event->kind) == 0)
			return kinds[i].add(story, event);
	return 0;
}

const char *dg_story_namespace(const struct dg_story *story)
{
	const struct dg_story_target *target = story->targets;

	if (story->n_targets == 0)
		return NULL;
	return target->uuid[0] ? target->uuid : target->name;
}

int dg_story_read(const char *record, size_t n_record, struct dg_story *ret)
{
	const char *end = record + n_record;
	struct dg_history_event event;
	struct dg_story story = {};
	char line[DG_HISTORY_LINE_MAX];
	int r = 0;

	while (r >= 0 && dg_history_next(&record, end, line, &event))
		r = dg_story_add(&story, &event);
	if (r < 0) {
		dg_story_done(&story);
		return r;
	}
	*ret = story;
	return 0;
}

void dg_story_done(struct dg_story *story)
{
	for (size_t i = 0; i < story->n_jobs; i++)
		free(story->jobs[i].error);
	for (size_t i = 0; i < story->n_mounts; i++)
		free(story->mounts[i].path);
	for (size_t i = 0; i < story->n_notes; i++)
		free(story->notes[i]);
	free(story->targets);
	free(story->states);
	free(story->jobs);
	dg_story_rules_done(story);
	dg_story_holders_done(story);
	dg_story_units_done(story);
	dg_story_failures_done(story);
	dg_story_places_done(story);
	dg_story_reactions_done(story);
	free(story->mounts);
	free(story->notes);
	*story = (struct dg_story){};
}
