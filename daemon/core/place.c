/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "core/place.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/record.h"

/* fmr_flags */
#define OF_ATTR_FORK 0x2U
#define OF_EXTENT_MAP 0x4U
#define OF_SPECIAL_OWNER 0x10U
#define OWNER(type, code) ((uint64_t)(type) << 32 | (code))

static const char *const kind_names[_DG_PLACE_KIND_MAX] = {
	[DG_PLACE_UNKNOWN] = "unknown",   [DG_PLACE_FILE] = "file",
	[DG_PLACE_METADATA] = "metadata", [DG_PLACE_FREE] = "free",
	[DG_PLACE_OUTSIDE] = "outside",
};

static const struct {
	uint64_t owner;
	enum dg_place_kind kind;
	const char *what;
} special_owners[] = {
	{OWNER(0, 1), DG_PLACE_FREE, ""},
	{OWNER(0, 2), DG_PLACE_UNKNOWN, "no-owners"},
	{OWNER(0, 3), DG_PLACE_METADATA, "other"},
	{OWNER('X', 1), DG_PLACE_METADATA, "superblock"},
	{OWNER('X', 2), DG_PLACE_METADATA, "log"},
	{OWNER('X', 3), DG_PLACE_METADATA, "btree"},
	{OWNER('X', 4), DG_PLACE_METADATA, "inode-btree"},
	{OWNER('X', 5), DG_PLACE_METADATA, "inodes"},
	{OWNER('X', 6), DG_PLACE_METADATA, "refcount-btree"},
	/* Of a file that is being written to, and that XFS does not name. */
	{OWNER('X', 7), DG_PLACE_UNKNOWN, "cow"},
	{OWNER('X', 8), DG_PLACE_FREE, "defective"},
	{OWNER('f', 1), DG_PLACE_METADATA, "descriptors"},
	{OWNER('f', 2), DG_PLACE_METADATA, "descriptors"},
	{OWNER('f', 3), DG_PLACE_METADATA, "block-bitmap"},
	{OWNER('f', 4), DG_PLACE_METADATA, "inode-bitmap"},
};

const char *dg_place_kind_name(enum dg_place_kind kind)
{
	return kind < _DG_PLACE_KIND_MAX ? kind_names[kind] : "unknown";
}

int dg_place_kind_from_name(const char *name, enum dg_place_kind *ret)
{
	for (unsigned kind = 0; kind < _DG_PLACE_KIND_MAX; kind++)
		if (strcmp(kind_names[kind], name) == 0) {
			*ret = kind;
			return 0;
		}
	return -EINVAL;
}

struct dg_owner dg_owner_of(uint64_t owner, uint32_t flags)
{
	if (!(flags & OF_SPECIAL_OWNER)) {
		if (flags & OF_EXTENT_MAP)
			return (struct dg_owner){DG_PLACE_METADATA, "extents", true};
		if (flags & OF_ATTR_FORK)
			return (struct dg_owner){DG_PLACE_METADATA, "xattr", true};
		return (struct dg_owner){DG_PLACE_FILE, "", true};
	}
	for (size_t i = 0; i < sizeof(special_owners) / sizeof(special_owners[0]); i++)
		if (special_owners[i].owner == owner)
			return (struct dg_owner){special_owners[i].kind, special_owners[i].what,
						 false};
	return (struct dg_owner){DG_PLACE_METADATA, "other", false};
}

struct record {
	const char *text;
	size_t n;
};

static bool get(struct record record, const char *key, uint64_t *ret)
{
	return dg_record_get_u64(record.text, record.n, key, ret) >= 0;
}

static bool is_set(struct record record, const char *key)
{
	uint64_t value;

	return get(record, key, &value) && value != 0;
}

static bool get_kind(struct record record, enum dg_place_kind *ret)
{
	const char *name = dg_record_get(record.text, record.n, "KIND");

	return name && dg_place_kind_from_name(name, ret) >= 0;
}

static int add_place(struct dg_place_list *list, struct record record)
{
	struct dg_place *grown, place = {
					.what = dg_record_get(record.text, record.n, "WHAT") ?: "",
					.told = is_set(record, "TOLD"),
					.unwritten = is_set(record, "UNWRITTEN"),
				};
	uint64_t range;

	if (!get(record, "RANGE", &range) || !get(record, "OFFSET", &place.offset) ||
	    !get(record, "LEN", &place.len) || !get_kind(record, &place.kind))
		return 0;
	if (place.len == 0 || place.offset + place.len < place.offset)
		return 0;
	place.range = (size_t)range;
	dg_record_get_dev(record.text, record.n, "FS_DEV", &place.fs_dev);
	get(record, "INO", &place.ino);
	get(record, "FILE_OFFSET", &place.file_offset);
	if (place.kind == DG_PLACE_FILE && place.ino == 0)
		return 0;
	grown = reallocarray(list->items, list->n_items + 1, sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	list->items = grown;
	grown[list->n_items++] = place;
	return 0;
}

/* PATH repeats. */
static int add_paths(struct dg_place_file *file, struct record record)
{
	const char **grown;

	for (const char *field = record.text; field < record.text + record.n;
	     field += strlen(field) + 1) {
		if (strncmp(field, "PATH=", 5) != 0)
			continue;
		grown = reallocarray(file->paths, file->n_paths + 1, sizeof(*grown));
		if (!grown)
			return -ENOMEM;
		file->paths = grown;
		grown[file->n_paths++] = field + 5;
	}
	return 0;
}

static int add_file(struct dg_place_list *list, struct record record)
{
	struct dg_place_file *grown,
		file = {
			.deleted = is_set(record, "DELETED"),
			.elsewhere = is_set(record, "ELSEWHERE"),
			.no_path = dg_record_get(record.text, record.n, "NO_PATH") ?: "",
		};
	int r;

	if (!get(record, "FILE", &file.ino) || file.ino == 0 ||
	    dg_record_get_dev(record.text, record.n, "FS_DEV", &file.fs_dev) < 0 ||
	    dg_place_list_file(list, file.fs_dev, file.ino))
		return 0;
	get(record, "GENERATION", &file.generation);
	get(record, "LINKS", &file.links);
	r = add_paths(&file, record);
	grown = r < 0 ? NULL : reallocarray(list->files, list->n_files + 1, sizeof(*grown));
	if (!grown) {
		free(file.paths);
		return -ENOMEM;
	}
	list->files = grown;
	grown[list->n_files++] = file;
	return 0;
}

static int add_record(struct dg_place_list *list, struct record record)
{
	const char *end = dg_record_get(record.text, record.n, "END");

	if (end) {
		list->complete = strcmp(end, "ok") == 0;
		list->cut = strcmp(end, "cut") == 0;
		return 0;
	}
	if (dg_record_get(record.text, record.n, "FILE"))
		return add_file(list, record);
	return add_place(list, record);
}

int dg_place_list_read(const char *output, size_t n_output, struct dg_place_list *ret)
{
	const char *cursor = output, *end = output + n_output;
	struct dg_place_list list = {};
	struct record record;
	int r = 0;

	while (r >= 0 && (record.text = dg_record_next(&cursor, end, &record.n)))
		r = add_record(&list, record);
	if (r < 0) {
		dg_place_list_done(&list);
		return r;
	}
	*ret = list;
	return 0;
}

void dg_place_list_done(struct dg_place_list *list)
{
	for (size_t i = 0; i < list->n_files; i++)
		free(list->files[i].paths);
	free(list->files);
	free(list->items);
	*list = (struct dg_place_list){};
}

const struct dg_place_file *dg_place_list_file(const struct dg_place_list *list, dg_dev_t fs_dev,
					       uint64_t ino)
{
	for (size_t i = 0; i < list->n_files; i++)
		if (list->files[i].ino == ino && list->files[i].fs_dev == fs_dev)
			return &list->files[i];
	return NULL;
}

static int compare_numbers(uint64_t a, uint64_t b)
{
	return a < b ? -1 : a > b;
}

/* Of one owner they come one after the other. */
static int compare_owners(const void *a, const void *b)
{
	const struct dg_place *x = a, *y = b;
	int r = compare_numbers(x->kind, y->kind);

	r = r ?: strcmp(x->what, y->what);
	r = r ?: compare_numbers(x->fs_dev, y->fs_dev);
	r = r ?: compare_numbers(x->ino, y->ino);
	r = r ?: compare_numbers(x->told, y->told);
	r = r ?: compare_numbers(x->offset, y->offset);
	return r ?: compare_numbers(x->len, y->len);
}

static int compare_offsets(const void *a, const void *b)
{
	const struct dg_place *x = a, *y = b;
	int r = compare_numbers(x->offset, y->offset);

	r = r ?: compare_numbers(y->told, x->told);
	return r ?: compare_owners(a, b);
}

static bool goes_on(const struct dg_place *a, const struct dg_place *b)
{
	return a->kind == b->kind && strcmp(a->what, b->what) == 0 && a->fs_dev == b->fs_dev &&
	       a->ino == b->ino && a->told == b->told && b->offset <= a->offset + a->len &&
	       (a->kind != DG_PLACE_FILE ||
		a->file_offset - a->offset == b->file_offset - b->offset);
}

void dg_place_list_merge(struct dg_place_list *list)
{
	size_t n = 0;

	if (list->n_items == 0)
		return;
	qsort(list->items, list->n_items, sizeof(*list->items), compare_owners);
	for (size_t i = 0; i < list->n_items; i++) {
		const struct dg_place *next = &list->items[i];
		struct dg_place *last = n > 0 ? &list->items[n - 1] : NULL;

		if (!last || !goes_on(last, next))
			list->items[n++] = *next;
		else if (next->offset + next->len > last->offset + last->len)
			last->len = next->offset + next->len - last->offset;
	}
	list->n_items = n;
	qsort(list->items, n, sizeof(*list->items), compare_offsets);
}
