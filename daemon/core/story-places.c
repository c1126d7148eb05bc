/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What failed memory was used for, in the story of the failure. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/story-private.h"

static bool is_same(const struct dg_story_place *a, const struct dg_story_place *b)
{
	return a->kind == b->kind && a->fs_dev == b->fs_dev && a->ino == b->ino &&
	       strcmp(a->what, b->what) == 0 &&
	       (a->kind != DG_PLACE_FILE ||
		a->file_offset - a->offset == b->file_offset - b->offset);
}

/* They touch, or overlap: a becomes both. */
static bool unite(struct dg_story_place *a, const struct dg_story_place *b)
{
	uint64_t end = a->offset + a->len, b_end = b->offset + b->len;

	if (b->offset > end || a->offset > b_end || !is_same(a, b))
		return false;
	if (b->offset < a->offset) {
		a->offset = b->offset;
		a->file_offset = b->file_offset;
	}
	a->len = (end > b_end ? end : b_end) - a->offset;
	return true;
}

int dg_story_on_place(struct dg_story *story, event_t *event)
{
	struct dg_story_place place = {
		.offset = number(event, "offset"),
		.len = number(event, "len"),
		.fs_dev = device(event, "fs_dev"),
		.ino = number(event, "ino"),
		.file_offset = number(event, "file_offset"),
	};
	struct dg_story_place *to;
	int r;

	(void)!dg_place_kind_from_name(dg_history_get(event, "kind") ?: "", &place.kind);
	TEXT(event, "what", place.what);
	if (place.len == 0 || place.len > UINT64_MAX - place.offset)
		return 0;
	/* A range that grew, or a daemon that does again what one before it did. */
	for (size_t i = 0; i < story->n_places; i++)
		if (unite(&story->places[i], &place))
			return 0;
	to = GROW(story, places, DG_STORY_PLACES_MAX, &r);
	if (to)
		*to = place;
	return r;
}

const struct dg_story_file *dg_story_find_file(const struct dg_story *story, dg_dev_t fs_dev,
					       uint64_t ino)
{
	for (size_t i = 0; i < story->n_files; i++)
		if (story->files[i].ino == ino && story->files[i].fs_dev == fs_dev)
			return &story->files[i];
	return NULL;
}

int dg_story_on_file(struct dg_story *story, event_t *event)
{
	const char *path = dg_history_get(event, "path");
	uint64_t ino = number(event, "ino");
	dg_dev_t fs_dev = device(event, "fs_dev");
	struct dg_story_file *file = (struct dg_story_file *)dg_story_find_file(story, fs_dev, ino);
	char *copy = NULL;
	int r;

	if (path && *path && !(copy = strdup(path)))
		return -ENOMEM;
	if (!file)
		file = GROW(story, files, DG_STORY_PARTS_MAX, &r);
	if (!file) {
		free(copy);
		return r;
	}
	file->fs_dev = fs_dev;
	file->ino = ino;
	TEXT(event, "no_path", file->no_path);
	file->deleted = number(event, "deleted") != 0;
	file->elsewhere = number(event, "elsewhere") != 0;
	if (copy) {
		free(file->path);
		file->path = copy;
	}
	return 0;
}

void dg_story_places_done(struct dg_story *story)
{
	for (size_t i = 0; i < story->n_files; i++)
		free(story->files[i].path);
	free(story->files);
	free(story->places);
}
