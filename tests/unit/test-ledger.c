/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "test.h"

#include <time.h>

#include "core/ledger.h"

static struct dg_ledger *ledger;

static int setup(void **state)
{
	ledger = dg_ledger_new(0, 0);
	return ledger ? 0 : -1;
}

static int teardown(void **state)
{
	ledger = dg_ledger_free(ledger);
	return 0;
}

static struct dg_failure report(uint64_t offset, uint64_t length, uint64_t when)
{
	return (struct dg_failure){.ns = "a",
				   .offset = offset,
				   .length = length,
				   .sources = DG_SOURCE_BADBLOCKS,
				   .first_ns = when,
				   .last_ns = when,
				   .times = 1};
}

/* A page of a file whose data lies in one piece, from 0 on. */
static struct dg_failure of_file(uint64_t offset, uint64_t length, uint64_t when)
{
	struct dg_failure f = report(offset, length, when);

	f.sources = DG_SOURCE_MEMORY_FAILURE;
	strcpy(f.type, "dax page");
	strcpy(f.result, "Recovered");
	f.content = DG_CONTENT_FILE;
	f.path = "/mnt/f";
	f.fs_dev = DG_DEV(259, 0);
	f.ino = 12;
	f.file_offset = offset;
	return f;
}

static void add(struct dg_failure f)
{
	assert_int_equal(dg_ledger_add(ledger, &f), 0);
}

static void repair(uint64_t offset, uint64_t length, uint64_t when)
{
	struct dg_failure f = {.ns = "a", .offset = offset, .length = length, .repaired_ns = when};

	assert_int_equal(dg_ledger_repair(ledger, &f), 0);
}

/* "offset+length:content:times" of each, '~' if coarse; then '|' and those of history. */
static const char *listed(void)
{
	static char text[1024];
	const struct dg_failure *f = NULL;
	size_t n = 0;

	text[0] = '\0';
	while ((f = dg_ledger_next(ledger, f)))
		n += (size_t)snprintf(text + n, sizeof(text) - n, "%s%s%lu+%lu:%.2s:%lu",
				      n > 0 ? " " : "", f->coarse ? "~" : "", f->offset, f->length,
				      dg_content_name(f->content), f->times);
	while ((f = dg_ledger_next_repaired(ledger, f)))
		n += (size_t)snprintf(text + n, sizeof(text) - n, " |%s%lu+%lu:%.2s:%lu",
				      f->coarse ? "~" : "", f->offset, f->length,
				      dg_content_name(f->content), f->times);
	return text;
}

static void neighbours_are_one(void **state)
{
	const struct dg_failure *f;

	add(of_file(8192, 4096, 30));
	add(of_file(0, 4096, 10));
	assert_string_equal(listed(), "0+4096:fi:1 8192+4096:fi:1");
	add(of_file(4096, 4096, 20));
	assert_string_equal(listed(), "0+12288:fi:3");
	f = dg_ledger_next(ledger, NULL);
	assert_int_equal(f->first_ns, 10);
	assert_int_equal(f->last_ns, 30);
	assert_int_equal(f->file_offset, 0);
	assert_string_equal(f->path, "/mnt/f");
}

static void others_stay_apart(void **state)
{
	struct dg_failure f = of_file(4096, 4096, 1);

	add(of_file(0, 4096, 1));
	f.file_offset += 4096; /* another extent */
	add(f);
	f = of_file(8192, 4096, 1);
	f.ino++;
	add(f);
	f = of_file(12288, 4096, 1);
	f.content = DG_CONTENT_METADATA;
	add(f);
	f = report(0, 4096, 1);
	strcpy(f.ns, "b");
	add(f);
	assert_string_equal(listed(), "0+4096:fi:1 4096+4096:fi:1 8192+4096:fi:1 12288+4096:me:1 "
				      "0+4096:un:1");
}

static void a_repeat_is_counted(void **state)
{
	const struct dg_failure *f;

	add(of_file(0, 8192, 10));
	add(of_file(4096, 4096, 20));
	assert_string_equal(listed(), "0+8192:fi:2");
	f = dg_ledger_next(ledger, NULL);
	assert_int_equal(f->first_ns, 10);
	assert_int_equal(f->last_ns, 20);
}

/* It has each time what it had: what is bad by now was not found again. */
static void a_list_is_read_again(void **state)
{
	const struct dg_failure *f;

	add(report(0, 4096, 10));
	add(report(0, 4096, 20));
	add(report(512, 512, 30));
	assert_string_equal(listed(), "0+4096:un:1");
	f = dg_ledger_next(ledger, NULL);
	assert_int_equal(f->first_ns, 10);
	assert_int_equal(f->last_ns, 30);
	add(report(0, 8192, 40)); /* and half of it is new */
	assert_string_equal(listed(), "0+8192:un:2");
	/* Who has found it first, and what was found of it afterwards. */
	add(of_file(16384, 4096, 40));
	add(report(16384, 512, 50));
	assert_string_equal(listed(), "0+8192:un:2 16384+4096:fi:1");
	assert_int_equal(dg_ledger_find(ledger, "a", 16384)->last_ns, 50);
	add(of_file(16384, 4096, 60));
	assert_string_equal(listed(), "0+8192:un:2 16384+4096:fi:2");
	/* Listed again after it was not. */
	repair(0, 8192, 70);
	add(report(0, 4096, 80));
	assert_string_equal(listed(), "0+4096:un:1 16384+4096:fi:2 |0+8192:un:2");
}

/* Whether it is good again is known of what was listed, and of nothing beside it. */
static void what_is_listed_is_apart(void **state)
{
	add(of_file(0, 40960, 10));
	add(report(8704, 4096, 20));
	assert_string_equal(listed(), "0+8192:fi:1 8192+8192:fi:1 16384+24576:fi:1");
	assert_int_equal(dg_ledger_find(ledger, "a", 8192)->sources, _DG_SOURCE_ALL);
	assert_int_equal(dg_ledger_find(ledger, "a", 8192)->file_offset, 8192);
	assert_false(dg_failure_is_listed(dg_ledger_find(ledger, "a", 0)));
	assert_false(dg_failure_is_listed(dg_ledger_find(ledger, "a", 16384)));
	/* Also of one that comes afterwards. */
	add(of_file(0, 40960, 30));
	assert_string_equal(listed(), "0+8192:fi:2 8192+8192:fi:2 16384+24576:fi:2");
	assert_false(dg_failure_is_listed(dg_ledger_find(ledger, "a", 0)));
	repair(8192, 8192, 40);
	assert_string_equal(listed(), "0+8192:fi:2 16384+24576:fi:2 |8192+8192:fi:2");
	/* The list came first. */
	add(report(81920 + 512, 512, 50));
	add(of_file(73728, 16384, 60));
	assert_string_equal(listed(), "0+8192:fi:2 16384+24576:fi:2 73728+8192:fi:1 "
				      "81920+4096:fi:2 86016+4096:fi:1 |8192+8192:fi:2");
	assert_int_equal(dg_ledger_find(ledger, "a", 81920)->sources, _DG_SOURCE_ALL);
	assert_int_equal(dg_ledger_find(ledger, "a", 86016)->file_offset, 86016);
	assert_false(dg_failure_is_listed(dg_ledger_find(ledger, "a", 86016)));
}

/* The list of bad blocks came first; then the kernel said which file it is. */
static void who_knows_more_is_believed(void **state)
{
	struct dg_failure f;

	add(report(512, 512, 10));
	add(report(16384, 8192, 10));
	f = of_file(0, 4096, 20);
	add(f);
	assert_string_equal(listed(), "0+4096:fi:2 16384+8192:un:1");
	assert_int_equal(dg_ledger_next(ledger, NULL)->first_ns, 10);
	add(of_file(18432, 2048, 30));
	assert_string_equal(listed(),
			    "0+4096:fi:2 16384+2048:un:1 18432+2048:fi:2 20480+4096:un:1");
	/* What is known stays, around it is news. */
	add(report(12288, 12288, 40));
	assert_string_equal(listed(),
			    "0+4096:fi:2 12288+6144:un:2 18432+2048:fi:2 20480+4096:un:2");
}

static void the_space_belongs_to_another_file_now(void **state)
{
	struct dg_failure f = of_file(4096, 4096, 20);
	const struct dg_failure *found;

	add(of_file(0, 12288, 10));
	f.ino = 13;
	f.file_offset = 0;
	add(f);
	assert_string_equal(listed(), "0+4096:fi:1 4096+4096:fi:2 8192+4096:fi:1");
	found = dg_ledger_find(ledger, "a", 8191);
	assert_int_equal(found->ino, 13);
	found = dg_ledger_find(ledger, "a", 8192);
	assert_int_equal(found->ino, 12);
	assert_int_equal(found->file_offset, 8192);
	assert_null(dg_ledger_find(ledger, "a", 12288));
	assert_null(dg_ledger_find(ledger, "b", 0));
	assert_null(dg_ledger_find(ledger, "", 0));
}

static void what_is_repaired_is_history(void **state)
{
	const struct dg_failure *f;

	add(of_file(0, 12288, 10));
	repair(4096, 4096, 50);
	assert_string_equal(listed(), "0+4096:fi:1 8192+4096:fi:1 |4096+4096:fi:1");
	f = dg_ledger_next_repaired(ledger, NULL);
	assert_true(f->repaired);
	assert_int_equal(f->repaired_ns, 50);
	assert_int_equal(f->file_offset, 4096);
	assert_false(dg_ledger_next(ledger, NULL)->repaired);
	repair(8192, 1 << 20, 60);
	assert_string_equal(listed(), "0+4096:fi:1 |4096+8192:fi:2");
	assert_int_equal(dg_ledger_next_repaired(ledger, NULL)->repaired_ns, 60);
	repair(4096, 8192, 70); /* is not bad */
	add(of_file(4096, 4096, 80));
	assert_string_equal(listed(), "0+8192:fi:2 |4096+8192:fi:2");
	repair(0, 8192, 90);
	assert_string_equal(listed(), " |4096+8192:fi:2 |0+8192:fi:2");
}

static void who_was_told(void **state)
{
	struct dg_failure f = report(4096, 4096, 0);

	add(of_file(0, 4096, 10));
	add(of_file(8192, 4096, 10));
	f.told = 3;
	f.seq = 7;
	assert_int_equal(dg_ledger_tell(ledger, &f), 0);
	f.length = 4097;
	assert_int_equal(dg_ledger_tell(ledger, &f), 0);
	assert_int_equal(dg_ledger_find(ledger, "a", 0)->told, 0);
	assert_int_equal(dg_ledger_find(ledger, "a", 8192)->told, 3);
	assert_int_equal(dg_ledger_find(ledger, "a", 8192)->seq, 7);
	f.told = UINT64_MAX;
	assert_int_equal(dg_ledger_tell(ledger, &f), 0);
	assert_true(dg_ledger_find(ledger, "a", 8192)->told == UINT64_MAX);
}

static void nonsense_is_refused(void **state)
{
	static char path[DG_LEDGER_PATH_MAX + 1];
	struct dg_failure wrong[8];

	for (size_t i = 0; i < 8; i++)
		wrong[i] = of_file(4096, 4096, 1);
	wrong[0].length = 0;
	wrong[1].offset = (uint64_t)INT64_MAX - 4095;
	wrong[2].sources = 0;
	wrong[3].sources = 4;
	wrong[4].ns[0] = '\0';
	wrong[5].type[0] = '\n';
	wrong[6].content = _DG_CONTENT_MAX;
	wrong[7].path = memset(path, 'x', DG_LEDGER_PATH_MAX);
	for (size_t i = 0; i < 8; i++)
		assert_int_equal(dg_ledger_add(ledger, &wrong[i]), -EINVAL);
	assert_int_equal(dg_ledger_repair(ledger, &wrong[0]), -EINVAL);
	assert_int_equal(dg_ledger_tell(ledger, &wrong[1]), -EINVAL);
	assert_int_equal(dg_ledger_restore(ledger, &wrong[2]), -EINVAL);
	assert_null(dg_ledger_next(ledger, NULL));
}

/* First the oldest of history, then what lies nearest together; somewhere in there. */
static void too_many(void **state)
{
	struct dg_failure f;

	dg_ledger_free(ledger);
	ledger = dg_ledger_new(4, 0);
	for (uint64_t i = 0; i < 3; i++) {
		add(report(i * 10000, 10, i));
		repair(i * 10000, 10, 10 + i);
	}
	add(report(100, 10, 20));
	add(of_file(200, 10, 21));
	assert_string_equal(listed(), "100+10:un:1 200+10:fi:1 |10000+10:un:1 |20000+10:un:1");
	add(report(1000, 10, 22));
	add(report(5000, 10, 23));
	assert_string_equal(listed(), "100+10:un:1 200+10:fi:1 1000+10:un:1 5000+10:un:1");
	add(report(5500, 10, 24));
	assert_string_equal(listed(), "~100+110:un:2 1000+10:un:1 5000+10:un:1 5500+10:un:1");
	assert_int_equal(dg_ledger_next(ledger, NULL)->first_ns, 20);
	assert_int_equal(dg_ledger_next(ledger, NULL)->ino, 0);
	f = report(0, 10, 25);
	strcpy(f.ns, "b");
	add(f);
	assert_string_equal(listed(), "~100+110:un:2 1000+10:un:1 ~5000+510:un:2 0+10:un:1");
	/* What is known to be good again is; the rest of it is bad, and still coarse. */
	repair(150, 10, 26);
	assert_in_range(dg_ledger_counts(ledger).n_bad, 1, 4);
	assert_non_null(dg_ledger_find(ledger, "a", 149));
	assert_int_equal(dg_ledger_counts(ledger).n_forgotten, 4);
}

static void more_namespaces_than_ranges(void **state)
{
	struct dg_failure f = report(0, 10, 1);

	dg_ledger_free(ledger);
	ledger = dg_ledger_new(2, 0);
	add(f);
	strcpy(f.ns, "b");
	add(f);
	strcpy(f.ns, "c");
	assert_int_equal(dg_ledger_add(ledger, &f), -ENOSPC);
	assert_int_equal(dg_ledger_counts(ledger).n_refused, 1);
	assert_int_equal(dg_ledger_counts(ledger).n_bad, 2);
}

static void paths_are_bounded(void **state)
{
	struct dg_failure f = of_file(0, 10, 1);

	dg_ledger_free(ledger);
	ledger = dg_ledger_new(0, 10);
	add(f);
	f.offset = 100;
	add(f);
	assert_string_equal(dg_ledger_find(ledger, "a", 0)->path, "/mnt/f");
	assert_null(dg_ledger_find(ledger, "a", 100)->path);
	assert_int_equal(dg_ledger_find(ledger, "a", 100)->ino, 12);
	assert_int_equal(dg_ledger_counts(ledger).n_pathless, 1);
	repair(0, 10, 2);
	repair(100, 10, 2);
	add(report(200, 10, 3));
}

static struct dg_failure place(uint64_t offset, uint64_t length, enum dg_content content)
{
	return (struct dg_failure){
		.ns = "a",
		.offset = offset,
		.length = length,
		.content = content,
		.path = "/mnt/f",
		.fs_dev = DG_DEV(259, 0),
		.ino = 12,
		.file_offset = content == DG_CONTENT_FILE ? offset : 0,
		.seq = 9,
	};
}

/* It is no report, of what is bad or of what is not. */
static void what_lies_there(void **state)
{
	struct dg_failure f = place(4096, 4096, DG_CONTENT_FILE);
	const struct dg_failure *found;

	add(report(0, 12288, 10));
	add(report(0, 12288, 20));
	assert_int_equal(dg_ledger_place(ledger, &f), 0);
	assert_string_equal(listed(), "0+4096:un:1 4096+4096:fi:1 8192+4096:un:1");
	found = dg_ledger_find(ledger, "a", 4096);
	assert_string_equal(found->path, "/mnt/f");
	assert_int_equal(found->ino, 12);
	assert_int_equal(found->fs_dev, DG_DEV(259, 0));
	assert_int_equal(found->file_offset, 4096);
	assert_int_equal(found->first_ns, 10);
	assert_int_equal(found->last_ns, 20);
	assert_int_equal(found->sources, DG_SOURCE_BADBLOCKS);
	assert_int_equal(found->seq, 9);
	/* The same once more, and beyond what is bad. */
	f = place(0, 40960, DG_CONTENT_FILE);
	assert_int_equal(dg_ledger_place(ledger, &f), 0);
	assert_int_equal(dg_ledger_counts(ledger).n_bad, 1);
	assert_int_equal(dg_ledger_find(ledger, "a", 0)->length, 12288);
	add(of_file(20480, 4096, 30));
	f = place(0, 40960, DG_CONTENT_METADATA);
	assert_int_equal(dg_ledger_place(ledger, &f), 0);
	assert_int_equal(dg_ledger_find(ledger, "a", 20480)->times, 1);
	assert_string_equal(dg_ledger_find(ledger, "a", 20480)->type, "dax page");
	assert_int_equal(dg_ledger_find(ledger, "a", 20480)->content, DG_CONTENT_METADATA);
	/* What is good again stays good. */
	repair(0, 40960, 40);
	assert_int_equal(dg_ledger_place(ledger, &f), 0);
	assert_int_equal(dg_ledger_counts(ledger).n_bad, 0);
	f.content = DG_CONTENT_UNKNOWN;
	assert_int_equal(dg_ledger_place(ledger, &f), -EINVAL);
	f = place(0, 0, DG_CONTENT_FREE);
	assert_int_equal(dg_ledger_place(ledger, &f), -EINVAL);
}

/* None is lost while there is room, and all are covered when there is not. */
static void a_burst(void **state)
{
	struct timespec begin, end;
	double took_ms;

	clock_gettime(CLOCK_MONOTONIC, &begin);
	for (uint64_t i = 0; i < 10000; i++)
		add(of_file(i * 7919 % 10000 * 8192, 4096, i));
	assert_int_equal(dg_ledger_counts(ledger).n_bad, 10000);
	for (uint64_t i = 10000; i < 40000; i++)
		add(of_file(i * 8192, 4096, i));
	clock_gettime(CLOCK_MONOTONIC, &end);
	took_ms = (double)(end.tv_sec - begin.tv_sec) * 1e3 +
		  (double)(end.tv_nsec - begin.tv_nsec) / 1e6;
	print_message("40000 failures: %.1f ms\n", took_ms);
	assert_int_equal(dg_ledger_counts(ledger).n_bad, DG_LEDGER_RANGES_MAX);
	assert_int_equal(dg_ledger_counts(ledger).n_widened, 40000 - DG_LEDGER_RANGES_MAX);
	for (uint64_t i = 0; i < 40000; i++) {
		const struct dg_failure *f = dg_ledger_find(ledger, "a", i * 8192);

		assert_in_range(i * 8192, f->offset, f->offset + f->length - 4096);
	}
	repair(0, UINT64_C(40000) * 8192, 1);
	assert_int_equal(dg_ledger_counts(ledger).n_bad, 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(neighbours_are_one),
		TEST(others_stay_apart),
		TEST(a_repeat_is_counted),
		TEST(a_list_is_read_again),
		TEST(what_is_listed_is_apart),
		TEST(who_knows_more_is_believed),
		TEST(the_space_belongs_to_another_file_now),
		TEST(what_is_repaired_is_history),
		TEST(who_was_told),
		TEST(nonsense_is_refused),
		TEST(too_many),
		TEST(more_namespaces_than_ranges),
		TEST(paths_are_bounded),
		TEST(what_lies_there),
		TEST(a_burst),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
