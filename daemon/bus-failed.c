/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bus-failed.h"

static void put_failure(struct dict *d, const struct dg_story_failure *failure)
{
	static const char *const flags[] = {"no-file",  "shared",    "widened",
					    "removing", "told-more", "more"};

	dict_begin(d);
	dict_word(d, "Source", dg_failure_source_name(failure->source));
	dict_word(d, "Type", failure->type);
	dict_word(d, "KernelResult", failure->result);
	if (!failure->unaddressed)
		dict_u64(d, "Start", failure->range.start);
	dict_u64(d, "Length", failure->range.len);
	if (failure->has_disk_offset)
		dict_u64(d, "DeviceOffset", failure->disk_offset);
	if (failure->ino > 0) {
		dict_dev(d, "FileSystem", failure->fs_dev);
		dict_u64(d, "Inode", failure->ino);
		dict_u64(d, "FileOffset", failure->file_offset);
	}
	dict_flags(d, "Flags", failure->flags & ~(uint32_t)DG_FAIL_MORE, flags,
		   sizeof(flags) / sizeof(*flags));
	dict_end(d);
}

static void put_place(struct dict *d, struct viewer viewer, const struct dg_story *story,
		      const struct dg_story_place *place)
{
	const struct dg_story_file *file =
		place->ino > 0 ? dg_story_find_file(story, place->fs_dev, place->ino) : NULL;

	dict_begin(d);
	dict_u64(d, "DeviceOffset", place->offset);
	dict_u64(d, "Length", place->len);
	dict_word(d, "Content", dg_place_kind_name(place->kind));
	dict_word(d, "What", place->what);
	if (place->fs_dev)
		dict_dev(d, "FileSystem", place->fs_dev);
	if (place->ino > 0)
		dict_u64(d, "Inode", place->ino);
	if (place->kind == DG_PLACE_FILE)
		dict_u64(d, "FileOffset", place->file_offset);
	if (viewer.all && file) {
		dict_bytes(d, "Path", file->path);
		dict_word(d, "NoPath", file->path ? "" : file->no_path);
		dict_bool(d, "Deleted", file->deleted);
		dict_bool(d, "Elsewhere", file->elsewhere);
	}
	dict_end(d);
}

void bus_put_failed(struct dict *d, const struct dg_story *story)
{
	dict_u64(d, "FailedRanges", story->n_failed);
	dict_u64(d, "FailedBytes", story->failed_bytes);
}

/* What the device's rule asks for, and what was done. */
static void put_limit(struct dict *d, const struct dg_story_limit *limit)
{
	if (!limit->known)
		return;
	dict_u64(d, "BadPages", limit->bad);
	dict_u64(d, "NewBadPages", limit->new);
	dict_u64(d, "LimitCount", limit->count);
	dict_u32(d, "FailureLimit", limit->limit.pages);
	dict_u64(d, "FailureLimitUsec", limit->limit.within_us);
	dict_bool(d, "LimitReached", limit->reached);
}

static void put_reactions(struct dict *d, struct viewer viewer, const struct dg_story *story)
{
	dict_list_begin(d, "Reactions");
	for (unsigned i = 0; i < _DG_CAUSE_MAX; i++) {
		const struct dg_story_reaction *reaction = &story->reactions[i];

		if (!reaction->outcome[0])
			continue;
		dict_begin(d);
		dict_word(d, "Cause", dg_cause_name(i));
		dict_word(d, "Action", dg_reaction_name(reaction->action));
		dict_bytes(d, "Rule", reaction->rule);
		dict_word(d, "Outcome", reaction->outcome);
		dict_u64(d, "Removal", reaction->removal);
		dict_i32(d, "Status", reaction->status);
		dict_u64(d, "TookUsec", reaction->took_us);
		if (viewer.all && reaction->output) /* what a program of root's has to say */
			dict_bytes(d, "Output", reaction->output);
		dict_end(d);
	}
	dict_list_end(d);
}

void bus_put_failures(struct dict *d, struct viewer viewer, const struct dg_story *story)
{
	if (story->kind != DG_STORY_FAILURE)
		return;
	bus_put_failed(d, story);
	put_limit(d, &story->limit);
	put_reactions(d, viewer, story);
	dict_list_begin(d, "Failures");
	for (size_t i = 0; i < story->n_failures; i++)
		put_failure(d, &story->failures[i]);
	dict_list_end(d);
	dict_list_begin(d, "Places");
	for (size_t i = 0; i < story->n_places; i++)
		put_place(d, viewer, story, &story->places[i]);
	dict_list_end(d);
}
