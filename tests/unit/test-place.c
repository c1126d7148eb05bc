/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "core/place.h"

#include "test.h"

#define RECORDS(text) text, sizeof(text) - 1
#define OWNER(type, code) ((uint64_t)(type) << 32 | (code))
#define ATTR_FORK 0x2
#define EXTENT_MAP 0x4
#define SHARED 0x8
#define SPECIAL 0x10

static void owners(void **state)
{
	static const struct {
		uint64_t owner;
		uint32_t flags;
		enum dg_place_kind kind;
		const char *what;
		bool is_inode;
	} cases[] = {
		{131, 0, DG_PLACE_FILE, "", true},
		{131, SHARED, DG_PLACE_FILE, "", true},
		{131, ATTR_FORK, DG_PLACE_METADATA, "xattr", true},
		{131, EXTENT_MAP, DG_PLACE_METADATA, "extents", true},
		{131, EXTENT_MAP | ATTR_FORK, DG_PLACE_METADATA, "extents", true},
		/* An inode may have the number that is special otherwise. */
		{OWNER('X', 2), 0, DG_PLACE_FILE, "", true},
		{OWNER(0, 1), SPECIAL, DG_PLACE_FREE, "", false},
		{OWNER(0, 2), SPECIAL, DG_PLACE_UNKNOWN, "no-owners", false},
		{OWNER(0, 3), SPECIAL, DG_PLACE_METADATA, "other", false},
		{OWNER('X', 1), SPECIAL, DG_PLACE_METADATA, "superblock", false},
		{OWNER('X', 2), SPECIAL, DG_PLACE_METADATA, "log", false},
		{OWNER('X', 3), SPECIAL, DG_PLACE_METADATA, "btree", false},
		{OWNER('X', 4), SPECIAL, DG_PLACE_METADATA, "inode-btree", false},
		{OWNER('X', 5), SPECIAL, DG_PLACE_METADATA, "inodes", false},
		{OWNER('X', 6), SPECIAL, DG_PLACE_METADATA, "refcount-btree", false},
		{OWNER('X', 7), SPECIAL, DG_PLACE_UNKNOWN, "cow", false},
		{OWNER('X', 8), SPECIAL, DG_PLACE_FREE, "defective", false},
		{OWNER('X', 9), SPECIAL, DG_PLACE_METADATA, "other", false},
		{OWNER('f', 1), SPECIAL, DG_PLACE_METADATA, "descriptors", false},
		{OWNER('f', 2), SPECIAL, DG_PLACE_METADATA, "descriptors", false},
		{OWNER('f', 3), SPECIAL, DG_PLACE_METADATA, "block-bitmap", false},
		{OWNER('f', 4), SPECIAL, DG_PLACE_METADATA, "inode-bitmap", false},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct dg_owner owner = dg_owner_of(cases[i].owner, cases[i].flags);

		assert_int_equal(owner.kind, cases[i].kind);
		assert_string_equal(owner.what, cases[i].what);
		assert_int_equal(owner.is_inode, cases[i].is_inode);
	}
}

static void names(void **state)
{
	assert_string_equal(dg_place_kind_name(DG_PLACE_FILE), "file");
	assert_string_equal(dg_place_kind_name(DG_PLACE_OUTSIDE), "outside");
	assert_string_equal(dg_place_kind_name(_DG_PLACE_KIND_MAX), "unknown");
}

static void pieces_and_files(void **state)
{
	const struct dg_place_file *file;
	struct dg_place_list list;

	assert_int_equal(
		dg_place_list_read(
			RECORDS("RANGE=0\0OFFSET=4096\0LEN=8192\0KIND=file\0FS_DEV=259:1\0INO=131\0"
				"FILE_OFFSET=65536\0UNWRITTEN=1\0\0"
				"RANGE=0\0OFFSET=4096\0LEN=8192\0KIND=file\0FS_DEV=259:1\0INO=132\0"
				"FILE_OFFSET=0\0TOLD=1\0\0"
				"RANGE=1\0OFFSET=0\0LEN=4096\0KIND=metadata\0WHAT=xattr\0"
				"FS_DEV=259:1\0INO=131\0\0"
				"RANGE=2\0OFFSET=0\0LEN=1\0KIND=unknown\0WHAT=no-owners\0"
				"FS_DEV=259:1\0\0"
				"FILE=131\0FS_DEV=259:1\0GENERATION=4294967295\0LINKS=2\0"
				"PATH=/a\nb\0PATH=/c\377\0\0"
				"FILE=132\0FS_DEV=259:1\0GENERATION=7\0LINKS=0\0DELETED=1\0"
				"ELSEWHERE=1\0PATH=/gone\0\0"
				"FILE=133\0FS_DEV=259:1\0NO_PATH=not-found\0\0END=ok\0\0"),
			&list),
		0);
	assert_int_equal(list.n_items, 4);
	assert_int_equal(list.items[0].offset, 4096);
	assert_int_equal(list.items[0].len, 8192);
	assert_int_equal(list.items[0].kind, DG_PLACE_FILE);
	assert_int_equal(list.items[0].fs_dev, DG_DEV(259, 1));
	assert_int_equal(list.items[0].file_offset, 65536);
	assert_true(list.items[0].unwritten);
	assert_false(list.items[0].told);
	assert_true(list.items[1].told);
	assert_int_equal(list.items[2].range, 1);
	assert_string_equal(list.items[2].what, "xattr");
	assert_int_equal(list.items[2].ino, 131);
	assert_string_equal(list.items[3].what, "no-owners");
	assert_int_equal(list.n_files, 3);
	file = dg_place_list_file(&list, DG_DEV(259, 1), 131);
	assert_int_equal(file->n_paths, 2);
	assert_string_equal(file->paths[0], "/a\nb");
	assert_string_equal(file->paths[1], "/c\377");
	assert_int_equal(file->generation, 4294967295);
	assert_int_equal(file->links, 2);
	assert_string_equal(file->no_path, "");
	file = dg_place_list_file(&list, DG_DEV(259, 1), 132);
	assert_true(file->deleted);
	assert_true(file->elsewhere);
	assert_string_equal(dg_place_list_file(&list, DG_DEV(259, 1), 133)->no_path, "not-found");
	assert_null(dg_place_list_file(&list, DG_DEV(259, 2), 131));
	assert_true(list.complete);
	dg_place_list_done(&list);
}

/* "offset+len:ino" of each, in order. */
static const char *listed(const struct dg_place_list *list)
{
	static char text[512];
	size_t n = 0;

	for (size_t i = 0; i < list->n_items; i++)
		n += (size_t)snprintf(text + n, sizeof(text) - n, "%s%lu+%lu:%lu", i > 0 ? " " : "",
				      list->items[i].offset, list->items[i].len,
				      list->items[i].ino);
	return text;
}

/* A block that two share is a piece of each; the module's word comes first. */
static void neighbours_become_one(void **state)
{
#define PIECE(offset, ino, at, more)                                                               \
	"RANGE=0\0OFFSET=" offset "\0LEN=4096\0KIND=file\0FS_DEV=259:1\0INO=" ino                  \
	"\0FILE_OFFSET=" at more "\0\0"
	struct dg_place_list list;

	assert_int_equal(
		dg_place_list_read(
			RECORDS(PIECE("8192", "131", "4096", "") PIECE(
				"4096", "131", "0", "") PIECE("4096", "132", "0",
							      "\0TOLD=1") PIECE("8192", "132",
										"4096", "\0TOLD=1")
					PIECE("12288", "132", "0", "\0TOLD=1") PIECE(
						"4096", "131", "0",
						"") "RANGE=1\0OFFSET=0\0LEN=512\0KIND=free\0\0"
						    "RANGE=1\0OFFSET=512\0LEN=512\0KIND=free\0\0"
						    "RANGE=1\0OFFSET=1024\0LEN=512\0KIND="
						    "unknown\0WHAT=x\0\0"
						    "RANGE=1\0OFFSET=1536\0LEN=512\0KIND="
						    "unknown\0WHAT=y\0\0"),
			&list),
		0);
	dg_place_list_merge(&list);
	assert_string_equal(listed(&list), "0+1024:0 1024+512:0 1536+512:0 4096+8192:132 "
					   "4096+8192:131 12288+4096:132");
	dg_place_list_done(&list);
	list = (struct dg_place_list){};
	dg_place_list_merge(&list);
	assert_int_equal(list.n_items, 0);
}

/* What the step could not say is not there; what it did say is. */
static void a_step_that_was_killed(void **state)
{
	struct dg_place_list list;

	assert_int_equal(
		dg_place_list_read(
			RECORDS("RANGE=0\0OFFSET=0\0LEN=4096\0KIND=free\0\0RANGE=1\0OFF"), &list),
		0);
	assert_int_equal(list.n_items, 1);
	assert_false(list.complete);
	assert_false(list.cut);
	dg_place_list_done(&list);
	assert_int_equal(dg_place_list_read(RECORDS("RANGE=0\0OFFSET=0\0LEN=1\0KIND=free\0\0"
						    "END=cut\0\0"),
					    &list),
			 0);
	assert_false(list.complete);
	assert_true(list.cut);
	dg_place_list_done(&list);
}

static void what_is_no_answer(void **state)
{
	struct dg_place_list list;

	assert_int_equal(
		dg_place_list_read(
			RECORDS("OFFSET=0\0LEN=1\0KIND=free\0\0"
				"RANGE=0\0LEN=1\0KIND=free\0\0"
				"RANGE=0\0OFFSET=0\0LEN=0\0KIND=free\0\0"
				"RANGE=0\0OFFSET=18446744073709551615\0LEN=2\0KIND=free\0\0"
				"RANGE=0\0OFFSET=0\0LEN=1\0KIND=odd\0\0"
				"RANGE=0\0OFFSET=0\0LEN=1\0KIND=file\0FS_DEV=259:1\0\0"
				"FILE=0\0FS_DEV=259:1\0\0FILE=5\0\0FILE=6\0FS_DEV=x\0\0"
				"FILE=7\0FS_DEV=259:1\0PATH=/a\0\0FILE=7\0FS_DEV=259:1\0PATH=/b\0\0"
				"NOTHING=1\0\0"),
			&list),
		0);
	assert_int_equal(list.n_items, 0);
	assert_int_equal(list.n_files, 1);
	assert_string_equal(list.files[0].paths[0], "/a");
	dg_place_list_done(&list);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(owners),
		cmocka_unit_test(names),
		cmocka_unit_test(pieces_and_files),
		cmocka_unit_test(neighbours_become_one),
		cmocka_unit_test(a_step_that_was_killed),
		cmocka_unit_test(what_is_no_answer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
