/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What failed memory was used for: the step `place` asks the file systems, after those who
 * map it have been told. One step at a time for an incident; what comes meanwhile is
 * the next one's. What it says goes into the incident's record and into the ledger.
 *
 * Any removal comes first: none is started while one is open, and one that runs, which
 * may keep a file system busy, is ended. The incident waits for it, and nobody else
 * does: the kernel may forget the ranges, and what fails meanwhile is another incident.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/grow.h"
#include "core/place.h"
#include "manager-failure.h"
#include "names.h"

#define STEP_RANGES_MAX 4096U /* see daxguard-step(8) */
#define RANGES_MAX 16384U     /* of an incident */
#define STEP_US 10000000ULL
#define ANSWER_MSEC 9000U /* the step's own: so it says what it has found by then */
#define WAIT_US 30000000ULL

struct asked {
	uint64_t offset, len; /* on the disk */
	bool has_file;        /* the module knows it */
	dg_dev_t fs_dev;
	uint64_t ino, file_offset;
	uint32_t generation;
};

struct places {
	struct asked *items;
	size_t n_items, n_asked; /* the first of them are asked for now */
	size_t n_taken;          /* in all */
	char why[DG_STORY_WORD]; /* not all have an answer; the first reason */
	size_t n_unlisted;       /* that the story had no room for */
	struct step *step;
	uint64_t started_us;
	uint64_t until_us; /* the incident waits; 0: it does not yet */
};

struct places *places_free(struct places *places)
{
	if (!places)
		return NULL;
	if (places->step)
		step_cancel(places->step);
	free(places->items);
	free(places);
	return NULL;
}

static void miss(struct places *p, const char *why)
{
	if (!p->why[0])
		snprintf(p->why, sizeof(p->why), "%s", why);
}

static void drop(struct failure *failure, const char *why)
{
	struct places *p = failure->places;

	if (p->n_items > 0)
		miss(p, why);
	p->n_items = p->n_asked = 0;
	failure_go_on(failure);
}

static bool goes_on(const struct asked *last, const struct asked *next)
{
	if (next->offset != last->offset + last->len || next->has_file != last->has_file)
		return false;
	return !last->has_file || (next->fs_dev == last->fs_dev && next->ino == last->ino &&
				   next->generation == last->generation &&
				   next->file_offset == last->file_offset + last->len);
}

static int add(struct places *p, const struct asked *range)
{
	size_t n = p->n_items;

	if (n > p->n_asked && goes_on(&p->items[n - 1], range)) {
		p->items[n - 1].len += range->len;
		return 0;
	}
	if (p->n_taken >= RANGES_MAX)
		return -ENOSPC;
	if (DG_GROW(p->items, n) < 0)
		return -ENOMEM;
	p->items[p->n_items++] = *range;
	p->n_taken++;
	return 0;
}

void places_add(struct failure *failure, const struct dg_failure_record *record)
{
	const struct asked range = {
		.offset = record->disk_offset,
		.len = record->range.len,
		.has_file = record->has_file && record->ino > 0,
		.fs_dev = record->fs_dev,
		.ino = record->ino,
		.file_offset = record->file_offset,
		.generation = record->generation,
	};
	struct places *p = failure->places;
	int r;

	if (failure->mode == DG_MODE_DEVDAX || !record->has_disk_offset)
		return;
	if (!p)
		p = failure->places = calloc(1, sizeof(*p));
	if (!p)
		return;
	r = add(p, &range);
	if (r < 0)
		miss(p, r == -ENOSPC ? "too-many" : "ENOMEM");
}

static void write_job_end(struct failure *failure, const char *end,
			  const struct step_outcome *outcome)
{
	struct entry entry;

	entry_begin(&entry, "job-end");
	entry_text(&entry, "name", "place");
	entry_text(&entry, "end", end);
	entry_number(&entry, "took_us", manager_now(failure->m) - failure->places->started_us);
	if (outcome) {
		entry_number(&entry, "status", (uint64_t)outcome->status);
		entry_text(&entry, "error", outcome->error);
	}
	failure_write(failure, &entry);
}

static void write_file(struct failure *failure, const struct dg_place_file *file)
{
	const struct dg_story_file *known =
		dg_story_find_file(failure->story, file->fs_dev, file->ino);
	struct entry entry;

	if (known && (known->path || file->n_paths == 0))
		return;
	entry_begin(&entry, "file");
	entry_dev(&entry, "fs_dev", file->fs_dev);
	entry_number(&entry, "ino", file->ino);
	if (file->n_paths > 0)
		entry_text(&entry, "path", file->paths[0]);
	else
		entry_text(&entry, "no_path", file->no_path);
	if (file->deleted)
		entry_number(&entry, "deleted", 1);
	if (file->elsewhere)
		entry_number(&entry, "elsewhere", 1);
	failure_write(failure, &entry);
}

static void write_place(struct failure *failure, const struct dg_place *place)
{
	struct entry entry;

	entry_begin(&entry, "place");
	entry_number(&entry, "offset", place->offset);
	entry_number(&entry, "len", place->len);
	entry_text(&entry, "kind", dg_place_kind_name(place->kind));
	if (place->what[0])
		entry_text(&entry, "what", place->what);
	if (place->fs_dev)
		entry_dev(&entry, "fs_dev", place->fs_dev);
	if (place->ino > 0)
		entry_number(&entry, "ino", place->ino);
	if (place->kind == DG_PLACE_FILE)
		entry_number(&entry, "file_offset", place->file_offset);
	failure_write(failure, &entry);
}

static void keep_place(struct failure *failure, const struct dg_place *place, const char *path)
{
	static const enum dg_content contents[_DG_PLACE_KIND_MAX] = {
		[DG_PLACE_FILE] = DG_CONTENT_FILE,
		[DG_PLACE_METADATA] = DG_CONTENT_METADATA,
		[DG_PLACE_FREE] = DG_CONTENT_FREE,
		[DG_PLACE_OUTSIDE] = DG_CONTENT_OUTSIDE,
	};
	const char *ns = dg_story_namespace(failure->story);
	struct dg_failure f = {
		.offset = place->offset,
		.length = place->len,
		.content = contents[place->kind],
		.fs_dev = place->ino > 0 ? place->fs_dev : 0,
		.ino = place->ino,
		.file_offset = place->file_offset,
		.path = path && strlen(path) < DG_LEDGER_PATH_MAX ? path : NULL,
	};

	if (f.content == DG_CONTENT_UNKNOWN || !ns)
		return;
	snprintf(f.ns, sizeof(f.ns), "%s", ns);
	(void)!keeper_place(failure->m->keeper, &f);
}

/* The ledger has one owner of each range: the first. */
static void keep_places(struct failure *failure, const struct dg_place_list *list)
{
	const struct dg_place_file *file = NULL;
	uint64_t done = 0;

	for (size_t i = 0; i < list->n_items; i++) {
		struct dg_place place = list->items[i];
		uint64_t by = place.offset < done ? done - place.offset : 0;

		if (place.kind == DG_PLACE_UNKNOWN || by >= place.len)
			continue;
		place.offset += by;
		place.file_offset += by;
		place.len -= by;
		done = place.offset + place.len;
		if (!file || file->ino != place.ino || file->fs_dev != place.fs_dev)
			file = dg_place_list_file(list, place.fs_dev, place.ino);
		keep_place(failure, &place, file && file->n_paths > 0 ? file->paths[0] : NULL);
	}
}

static void note_metadata(struct failure *failure)
{
	struct entry entry;
	char text[80];

	snprintf(text, sizeof(text), "metadata of the file system: %s", failure->metadata);
	entry_begin(&entry, "note");
	entry_text(&entry, "text", text);
	failure_write(failure, &entry);
}

static void take_places(struct failure *failure, struct dg_place_list *list)
{
	size_t n_before;
	bool knew_metadata = failure->metadata[0];

	dg_place_list_merge(list);
	for (size_t i = 0; i < list->n_files; i++)
		write_file(failure, &list->files[i]);
	n_before = failure->story->n_left_out;
	for (size_t i = 0; i < list->n_items; i++) {
		const struct dg_place *place = &list->items[i];

		write_place(failure, place);
		if (place->kind == DG_PLACE_METADATA && !failure->metadata[0])
			snprintf(failure->metadata, sizeof(failure->metadata), "%s",
				 place->what[0] ? place->what : "other");
	}
	failure->places->n_unlisted += failure->story->n_left_out - n_before;
	keep_places(failure, list);
	if (failure->metadata[0] && !knew_metadata) {
		note_metadata(failure);
		failure_metadata(failure);
	}
}

/* Those that were asked for have had their turn. */
static void drop_asked(struct places *p)
{
	p->n_items -= p->n_asked;
	memmove(p->items, p->items + p->n_asked, p->n_items * sizeof(*p->items));
	p->n_asked = 0;
}

/* A step that has failed, or was too slow, is the last one of the incident. */
static void on_placed(void *userdata, const struct step_outcome *outcome)
{
	struct failure *failure = userdata;
	struct places *p = failure->places;
	bool ok = outcome->end == STEP_OK;
	struct dg_place_list list;

	p->step = NULL;
	if (outcome->end == STEP_TIMEOUT || outcome->end == STEP_SIGNALED)
		failure->m->n_lost_steps++;
	write_job_end(failure, step_end_name(outcome->end), outcome);
	if (dg_place_list_read(outcome->output, outcome->n_output, &list) >= 0) {
		take_places(failure, &list);
		if (list.cut || (ok && !list.complete))
			miss(p, "cut");
		dg_place_list_done(&list);
	} else if (ok) {
		miss(p, "ENOMEM");
	}
	drop_asked(p);
	if (!ok) {
		miss(p, step_end_name(outcome->end));
		p->n_taken = RANGES_MAX;
		p->n_items = 0;
	}
	places_ask(failure);
	failure_go_on(failure);
}

static int write_input(const struct failure *failure, struct dg_record_writer *writer)
{
	const struct places *p = failure->places;
	int r;

	dg_record_field_dev(writer, "DEV", failure->dev);
	dg_record_field_u64(writer, "TIMEOUT_MSEC", ANSWER_MSEC);
	r = dg_record_end(writer);
	for (size_t i = 0; i < p->n_asked && r >= 0; i++) {
		const struct asked *range = &p->items[i];

		dg_record_field_u64(writer, "OFFSET", range->offset);
		dg_record_field_u64(writer, "LEN", range->len);
		if (range->has_file) {
			dg_record_field_dev(writer, "FS_DEV", range->fs_dev);
			dg_record_field_u64(writer, "INO", range->ino);
			dg_record_field_u64(writer, "GENERATION", range->generation);
			dg_record_field_u64(writer, "FILE_OFFSET", range->file_offset);
		}
		r = dg_record_end(writer);
	}
	return r;
}

static int start(struct failure *failure)
{
	static const char *const argv[] = {"place", NULL};
	struct places *p = failure->places;
	struct dg_record_writer writer = {};
	int r;

	p->n_asked = p->n_items < STEP_RANGES_MAX ? p->n_items : STEP_RANGES_MAX;
	p->started_us = manager_now(failure->m);
	r = write_input(failure, &writer);
	if (r >= 0)
		r = step_start_with(failure->m->steps, argv, writer.data, writer.n, STEP_US,
				    on_placed, failure, &p->step);
	dg_record_writer_done(&writer);
	return r;
}

void places_ask(struct failure *failure)
{
	struct places *p = failure->places;
	struct entry entry;
	int r;

	if (!p || p->step || p->n_items == 0 || manager_is_holding(failure->m))
		return;
	r = start(failure);
	if (r < 0) {
		p->step = NULL;
		drop(failure, strerrorname_np(-r) ?: "failed");
		return;
	}
	entry_begin(&entry, "job");
	entry_text(&entry, "name", "place");
	entry_number(&entry, "timeout_us", STEP_US);
	failure_write(failure, &entry);
	entry_begin(&entry, "step");
	entry_text(&entry, "name", "place");
	entry_process(&entry, (struct dg_process){step_pid(p->step), step_start_ns(p->step)});
	failure_write(failure, &entry);
}

static void cancel(struct failure *failure, const char *end)
{
	struct places *p = failure->places;

	if (!p->step)
		return;
	step_cancel(p->step);
	p->step = NULL;
	p->n_asked = 0;
	write_job_end(failure, end, NULL);
}

void places_hold(struct failure *failure)
{
	if (failure->places)
		cancel(failure, step_end_name(STEP_CANCELED));
}

bool places_wait(struct failure *failure, const char *why_not, uint64_t *ret_until_us)
{
	struct places *p = failure->places;
	uint64_t now_us = manager_now(failure->m);

	if (!p)
		return false;
	if (p->until_us == 0)
		p->until_us = now_us + WAIT_US;
	if (!why_not && now_us >= p->until_us)
		why_not = manager_is_holding(failure->m) ? "removal" : "timeout";
	if (why_not) {
		cancel(failure, step_end_name(STEP_CANCELED));
		drop(failure, why_not);
	}
	places_ask(failure);
	*ret_until_us = p->until_us;
	return p->n_items > 0;
}

bool places_busy(const struct failure *failure)
{
	return failure->places && (failure->places->step || failure->places->n_items > 0);
}

void places_end(struct failure *failure)
{
	const struct places *p = failure->places;
	struct entry entry;
	char text[160];

	if (p && p->why[0]) {
		snprintf(text, sizeof(text), "what they were used for is not known of all: %s",
			 p->why);
		entry_begin(&entry, "note");
		entry_text(&entry, "text", text);
		failure_write(failure, &entry);
	}
	if (p && p->n_unlisted > 0) {
		snprintf(text, sizeof(text), "%zu more places are not listed (daxguardctl poison)",
			 p->n_unlisted);
		entry_begin(&entry, "note");
		entry_text(&entry, "text", text);
		failure_write(failure, &entry);
	}
}
