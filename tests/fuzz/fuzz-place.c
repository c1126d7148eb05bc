/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the steps `place` and `repaired` print: files are named by whoever made
 * them. The same bytes as a list of bad blocks.
 */
#include <stdlib.h>
#include <string.h>

#include "core/badblocks.h"
#include "core/place.h"
#include "core/repair.h"
#include "fuzz.h"

#define RANGES 4

static bool has(const struct dg_place_list *list, const struct dg_place *place, uint64_t offset)
{
	for (size_t i = 0; i < list->n_items; i++)
		if (list->items[i].kind == place->kind && list->items[i].ino == place->ino &&
		    offset >= list->items[i].offset &&
		    offset - list->items[i].offset < list->items[i].len)
			return true;
	return false;
}

/* In order, and nothing of it is lost. */
static void check_merged(struct dg_place_list *list)
{
	struct dg_place first[8];
	size_t n = list->n_items < 8 ? list->n_items : 8;

	for (size_t i = 0; i < n; i++)
		first[i] = list->items[i];
	dg_place_list_merge(list);
	for (size_t i = 1; i < list->n_items; i++)
		if (list->items[i - 1].offset > list->items[i].offset)
			abort();
	for (size_t i = 0; i < n; i++)
		if (!has(list, &first[i], first[i].offset) ||
		    !has(list, &first[i], first[i].offset + first[i].len - 1))
			abort();
}

static void check_places(const char *text, size_t size)
{
	struct dg_place_list list;
	size_t sum = 0;

	if (dg_place_list_read(text, size, &list) < 0)
		abort();
	for (size_t i = 0; i < list.n_items; i++) {
		const struct dg_place *place = &list.items[i];

		if (place->len == 0 || place->offset + place->len < place->offset ||
		    place->kind >= _DG_PLACE_KIND_MAX)
			abort();
		if (place->kind == DG_PLACE_FILE && place->ino == 0)
			abort();
		sum += strlen(place->what);
	}
	for (size_t i = 0; i < list.n_files; i++) {
		const struct dg_place_file *file = &list.files[i];

		if (file->ino == 0 || dg_place_list_file(&list, file->fs_dev, file->ino) != file)
			abort();
		for (size_t p = 0; p < file->n_paths; p++)
			sum += strlen(file->paths[p]);
		sum += strlen(file->no_path);
	}
	if (sum > size)
		abort();
	check_merged(&list);
	dg_place_list_done(&list);
}

static void check_repairs(const char *text, size_t size)
{
	struct dg_repair_answer answers[RANGES];

	dg_repair_read(text, size, answers, RANGES);
	for (size_t i = 0; i < RANGES; i++)
		if (answers[i].repair >= _DG_REPAIR_MAX || strlen(answers[i].why) > size)
			abort();
}

/* Who is told that a range is not listed is told so of each part of it. */
static void check_badblocks(const char *text, size_t size)
{
	for (uint64_t at = 0; at < 64; at += 8)
		if (dg_badblocks_find(text, size, at * 512, 8192) == DG_BADBLOCKS_NOT_LISTED &&
		    dg_badblocks_find(text, size, at * 512 + 512, 512) != DG_BADBLOCKS_NOT_LISTED)
			abort();
}

/* What is good of a range is said once, in its order, and is not listed. */
static void check_good(const char *text, size_t size, uint64_t offset, uint64_t len, uint64_t unit)
{
	uint64_t at = offset, end = offset + len, n = 0;

	for (; dg_badblocks_next_good(text, size, at, end - at, unit, &at, &n); at += n)
		if (n == 0 || at < offset || at + n > end ||
		    dg_badblocks_find(text, size, at, n) != DG_BADBLOCKS_NOT_LISTED)
			abort();
}

static void check_parts(const char *text, size_t size)
{
	const char *cursor = text;
	struct dg_repair_part part;

	while (dg_repair_next_part(&cursor, text + size, RANGES, &part))
		if (part.range >= RANGES || part.len == 0 || part.offset + part.len < part.offset)
			abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	check_places((const char *)data, size);
	check_repairs((const char *)data, size);
	check_badblocks((const char *)data, size);
	check_parts((const char *)data, size);
	check_good((const char *)data, size, 1024, 1 << 20, 512);
	check_good((const char *)data, size, 512, UINT64_MAX - 512, 4096);
	return 0;
}
