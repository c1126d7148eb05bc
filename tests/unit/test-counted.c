/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A record of the kernel's that grows, or is shown again, is counted for what is new of it. */
#include "core/counted.h"

#include "test.h"

#define PAGE 4096ULL

static struct dg_counted_list list;

static int teardown(void **state)
{
	dg_counted_done(&list);
	return 0;
}

/* Pages of one file, and so many events. */
static struct dg_counted record(uint64_t serial, uint64_t page, uint64_t n, uint32_t count)
{
	const struct dg_failure_record record = {
		.serial = serial,
		.result = "Recovered",
		.range = {(1ULL << 32) + page * PAGE, n * PAGE},
		.disk_offset = page * PAGE,
		.count = count,
		.n_told = count * 2,
		.has_file = true,
		.fs_dev = DG_DEV(259, 0),
		.ino = 12,
		.file_offset = page * PAGE,
	};
	struct dg_counted counted;

	dg_counted_init(&counted, &record, "a");
	return counted;
}

static void assert_news(const struct dg_counted *counted, uint64_t page, uint64_t n, uint64_t count)
{
	struct dg_counted_news news;

	dg_counted_compare(&list, counted, &news);
	assert_int_equal(news.count, count);
	assert_int_equal(news.told, count * 2);
	if (count == 0)
		return;
	assert_int_equal(news.offset, page * PAGE);
	assert_int_equal(news.len, n * PAGE);
}

static void add(struct dg_counted counted)
{
	assert_int_equal(dg_counted_add(&list, &counted), 0);
}

static void one_that_grows(void **state)
{
	struct dg_counted counted = record(1, 4, 2, 2);

	assert_news(&counted, 4, 2, 2);
	add(counted);
	assert_news(&counted, 0, 0, 0); /* shown again */
	counted = record(2, 4, 3, 3);
	assert_news(&counted, 6, 1, 1);
	add(counted);
	assert_int_equal(list.n_items, 1);
	counted = record(3, 2, 5, 5);
	assert_news(&counted, 2, 2, 2);
	add(counted);
	/* A page of it has failed again. */
	counted = record(4, 2, 5, 6);
	assert_news(&counted, 2, 5, 1);
	/* On both sides. */
	counted = record(5, 1, 7, 7);
	assert_news(&counted, 1, 7, 2);
	/* With two that it has come to touch. */
	add(record(6, 9, 1, 1));
	add(record(7, 11, 1, 1));
	counted = record(8, 9, 3, 3);
	assert_news(&counted, 10, 1, 1);
	add(counted);
	assert_int_equal(list.n_items, 2);
}

/* The kernel has forgotten the one, and here is the next: it has not more events. */
static void another_of_the_same_place(void **state)
{
	struct dg_counted counted = record(9, 4, 2, 2);

	add(record(1, 4, 2, 2));
	assert_news(&counted, 4, 2, 2);
	counted = record(9, 4, 1, 5);
	assert_news(&counted, 4, 1, 5); /* does not contain it */
}

/* As in the kernel, where they are two records. */
static void of_another_kind(void **state)
{
	struct dg_counted counted;

	add(record(1, 4, 1, 1));
	counted = record(2, 4, 1, 3);
	counted.ino++;
	assert_news(&counted, 4, 1, 3);
	counted = record(2, 4, 1, 3);
	counted.result[0] = 'X';
	assert_news(&counted, 4, 1, 3);
	counted = record(2, 4, 1, 3);
	counted.ns[0] = 'b';
	assert_news(&counted, 4, 1, 3);
	/* One that is widened was of any. */
	counted = record(2, 2, 5, 3);
	counted.widened = true;
	counted.has_file = false;
	assert_news(&counted, 2, 5, 2);
}

static void forgotten(void **state)
{
	struct dg_counted counted = record(9, 4, 2, 3);

	add(record(1, 4, 1, 1));
	add(record(2, 8, 1, 1));
	dg_counted_forget(&list, 1);
	assert_int_equal(list.n_items, 1);
	assert_news(&counted, 4, 2, 3);
	dg_counted_forget(&list, 2);
	assert_int_equal(list.n_items, 0);
	add(counted);
	assert_int_equal(list.n_items, 1);
}

#define FAILURE(serial, source, offset, len, count)                                                \
	"1 2 failure serial=" serial " source=" source " flags=0 type=dax\\x20page "               \
	"result=Recovered start=100000000 len=" len " count=" count " told=" count                 \
	" time_ns=77 disk_offset=" offset " fs_dev=259:0 ino=12 generation=0 file_offset=" offset  \
	"\n"

/* What a daemon that died had taken. */
static void from_a_record(void **state)
{
	static const char text[] =
		"1 2 begin id=1000000000001 kind=memory-failure\n1 2 target name=pmem0 "
		"uuid=a\n" FAILURE("1", "memory-failure", "16384", "4096",
				   "1") FAILURE("2", "memory-failure", "16384", "8192", "2")
			FAILURE("3", "badblocks", "0", "4096", "1")
				FAILURE("4", "memory-failure", "65536", "4096", "0")
					FAILURE("5", "memory-failure", "0", "4096",
						"1") "1 2 failure serial=6 source=memory-fai";
	struct dg_counted counted = record(9, 4, 3, 3);
	struct dg_counted *unsure;
	size_t at = 0;

	assert_int_equal(dg_counted_read(&list, text, sizeof(text) - 1), 0);
	assert_int_equal(list.n_items, 2);
	unsure = dg_counted_next_unsure(&list, &counted, &at);
	assert_non_null(unsure);
	assert_int_equal(unsure->offset, 16384);
	assert_int_equal(unsure->len, 8192);
	assert_int_equal(unsure->time_ns, 77);
	assert_null(dg_counted_next_unsure(&list, &counted, &at));
	counted.told = 4;
	assert_news(&counted, 6, 1, 1);
	/* It had not been written after all. */
	at = 0;
	dg_counted_next_unsure(&list, &counted, &at);
	dg_counted_drop(&list, &at);
	counted.told = 6;
	assert_news(&counted, 4, 3, 3);
	assert_int_equal(list.n_items, 1);
	list.items[0]->unsure = false;
	counted = record(9, 0, 1, 2);
	at = 0;
	assert_null(dg_counted_next_unsure(&list, &counted, &at));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_teardown(name, teardown)
	const struct CMUnitTest tests[] = {
		TEST(one_that_grows),  TEST(another_of_the_same_place),
		TEST(of_another_kind), TEST(forgotten),
		TEST(from_a_record),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
