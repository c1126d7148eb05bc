/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "test.h"

#include "core/crc32c.h"
#include "core/ledger-record.h"

static const struct dg_failure failure = {
	.ns = "0b1cf8cc-4a2a-4e3a-9b33-1f5e7a1d0001",
	.offset = 4096,
	.length = 8192,
	.sources = DG_SOURCE_MEMORY_FAILURE | DG_SOURCE_BADBLOCKS,
	.type = "dax page",
	.result = "Recovered",
	.content = DG_CONTENT_FILE,
	.path = "/mnt/a b\\\n\xff",
	.fs_dev = 5,
	.ino = 12,
	.file_offset = 77,
	.first_ns = 1700000000000000001,
	.last_ns = UINT64_MAX,
	.times = 3,
	.told = 2,
	.seq = 9,
	.coarse = true,
};

/* RFC 3720, B.4 */
static void the_checksum_is_the_one(void **state)
{
	char bytes[32] = {};

	assert_int_equal(dg_crc32c("123456789", 9), 0xe3069283);
	assert_int_equal(dg_crc32c(bytes, 32), 0x8a9136aa);
	memset(bytes, 0xff, 32);
	assert_int_equal(dg_crc32c(bytes, 32), 0x62a8ab43);
	assert_int_equal(dg_crc32c("", 0), 0);
}

static void a_line_and_back(void **state)
{
	const struct dg_ledger_record record = {DG_LEDGER_BAD, failure};
	struct dg_ledger_record back;
	char line[DG_LEDGER_LINE_MAX + 1];
	int n = dg_ledger_record_format(&record, line, sizeof(line));

	assert_int_equal(n, strlen(line));
	assert_string_equal(
		line + 11,
		"bad seq=9 ns=0b1cf8cc-4a2a-4e3a-9b33-1f5e7a1d0001 offset=4096 length=8192 told=2 "
		"source=memory-failure source=badblocks type=dax\\x20page result=Recovered "
		"content=file path=/mnt/a\\x20b\\x5c\\x0a\\xff dev=5 inode=12 at=77 "
		"first=1700000000000000001 last=18446744073709551615 times=3 coarse=1\n");
	for (size_t size = 0; size <= (size_t)n; size++)
		assert_int_equal(dg_ledger_record_format(&record, line, size), -ENOBUFS);
	assert_int_equal(dg_ledger_record_format(&record, line, (size_t)n + 1), n);
	line[n - 1] = '\0';
	assert_null(dg_ledger_record_parse(line, &back));
	assert_int_equal(back.kind, DG_LEDGER_BAD);
	assert_string_equal(back.failure.path, failure.path);
	back.failure.path = failure.path;
	assert_memory_equal(&back.failure, &failure, sizeof(failure));
}

static void a_place_and_back(void **state)
{
	const struct dg_ledger_record record = {DG_LEDGER_PLACE, failure};
	struct dg_ledger *ledger = dg_ledger_new(0, 0);
	struct dg_ledger_record back;
	char line[DG_LEDGER_LINE_MAX + 1];
	int n = dg_ledger_record_format(&record, line, sizeof(line));

	assert_string_equal(
		line + 11, "place seq=9 ns=0b1cf8cc-4a2a-4e3a-9b33-1f5e7a1d0001 offset=4096 "
			   "length=8192 told=2 content=file path=/mnt/a\\x20b\\x5c\\x0a\\xff dev=5 "
			   "inode=12 at=77\n");
	line[n - 1] = '\0';
	assert_null(dg_ledger_record_parse(line, &back));
	assert_int_equal(back.kind, DG_LEDGER_PLACE);
	assert_int_equal(dg_ledger_apply(ledger, &back), 0);
	assert_null(dg_ledger_next(ledger, NULL));
	assert_int_equal(dg_ledger_add(ledger, &failure), 0);
	back.failure.path = "/b";
	assert_int_equal(dg_ledger_apply(ledger, &back), 0);
	assert_string_equal(dg_ledger_next(ledger, NULL)->path, "/b");
	assert_int_equal(dg_ledger_next(ledger, NULL)->times, failure.times);
	dg_ledger_free(ledger);
}

static void the_longest_path_fits(void **state)
{
	struct dg_ledger_record record = {DG_LEDGER_BAD, failure};
	char line[DG_LEDGER_LINE_MAX + 1], path[DG_LEDGER_PATH_MAX];

	memset(path, 1, sizeof(path));
	path[sizeof(path) - 1] = '\0';
	record.failure.path = path;
	memset(record.failure.ns, '\\', sizeof(record.failure.ns) - 1);
	memset(record.failure.type, ' ', sizeof(record.failure.type) - 1);
	memset(record.failure.result, ' ', sizeof(record.failure.result) - 1);
	assert_true(dg_ledger_record_format(&record, line, sizeof(line)) > 0);
}

/* Each byte of a line matters. */
static void a_line_that_was_changed(void **state)
{
	const struct dg_ledger_record record = {DG_LEDGER_BAD, failure};
	struct dg_ledger_record back;
	char line[DG_LEDGER_LINE_MAX + 1], copy[DG_LEDGER_LINE_MAX + 1];
	size_t n = (size_t)dg_ledger_record_format(&record, line, sizeof(line)) - 1;

	line[n] = '\0';
	for (size_t i = 0; i < n; i++)
		for (int bit = 0; bit < 8; bit++) {
			memcpy(copy, line, n + 1);
			copy[i] = (char)(copy[i] ^ 1 << bit);
			assert_non_null(dg_ledger_record_parse(copy, &back));
		}
	for (size_t cut = 0; cut < n; cut++) {
		memcpy(copy, line, cut);
		copy[cut] = '\0';
		assert_non_null(dg_ledger_record_parse(copy, &back));
	}
}

static const char *why(const char *version, const char *body)
{
	struct dg_ledger_record record;
	static char line[256];

	snprintf(line, sizeof(line), "%s %08x %s", version, dg_crc32c(body, strlen(body)), body);
	return dg_ledger_record_parse(line, &record);
}

static void what_is_wrong_has_a_name(void **state)
{
	assert_string_equal(why("2", "bad"), "of no version that is known");
	assert_string_equal(why("1", "worse"), "of a kind that is not known");
	assert_string_equal(why("1", "bad ns"), "a key without a value");
	assert_string_equal(why("1", "bad offset=-1"), "a value that is none");
	assert_string_equal(why("1", "bad offset=18446744073709551616"), "a value that is none");
	assert_string_equal(why("1", "bad ns=\\x0"), "a value that is none");
	assert_string_equal(why("1", "bad source=rumour"), "a value that is none");
	assert_string_equal(why("1", "bad content=sand"), "a value that is none");
	assert_null(why("1", "bad seq=1 ns=a offset=0 length=1 colour=red"));
}

static struct dg_ledger_reader reader;
static struct dg_ledger *ledger;

static int setup(void **state)
{
	ledger = dg_ledger_new(0, 0);
	return dg_ledger_reader_init(&reader, ledger);
}

static int teardown(void **state)
{
	dg_ledger_reader_done(&reader);
	ledger = dg_ledger_free(ledger);
	return 0;
}

static void feed(const char *text)
{
	assert_int_equal(dg_ledger_read(&reader, text, strlen(text)), 0);
}

static void feed_bad(uint64_t seq, uint64_t offset, const char *end)
{
	struct dg_ledger_record record = {DG_LEDGER_BAD, failure};
	char line[DG_LEDGER_LINE_MAX + 1];
	int n;

	record.failure.seq = seq;
	record.failure.offset = offset;
	record.failure.length = 512;
	n = dg_ledger_record_format(&record, line, sizeof(line));
	line[n - 1] = '\0';
	feed(line);
	feed(end);
}

static size_t n_bad(void)
{
	assert_int_equal(dg_ledger_read_end(&reader), 0);
	return dg_ledger_counts(ledger).n_bad;
}

/* What a crash has left of a line does not take the next one with it. */
static void torn_lines_are_passed_over(void **state)
{
	feed_bad(1, 0, "\n");
	feed("1 01234567 bad seq=2 ns=a off\n");
	feed("\n\n");
	feed_bad(2, 8192, "\n");
	feed("1 0123");
	assert_int_equal(n_bad(), 2);
	assert_int_equal(reader.n_skipped, 2);
	assert_int_equal(reader.skipped_line, 2);
	assert_string_equal(reader.skipped_why, "not as it was written (checksum)");
	assert_int_equal(reader.seq, 2);
}

/* Its newline is all that is missing. */
static void a_last_line_that_is_whole_counts(void **state)
{
	feed_bad(1, 0, "");
	assert_int_equal(n_bad(), 1);
	assert_int_equal(reader.n_skipped, 0);
}

static void what_was_written_twice_is_read_once(void **state)
{
	feed_bad(1, 0, "\n");
	feed_bad(2, 0, "\n");
	feed_bad(1, 0, "\n");
	feed_bad(2, 0, "\n");
	feed_bad(3, 0, "\n");
	assert_int_equal(n_bad(), 1);
	assert_int_equal(dg_ledger_next(ledger, NULL)->times, 9);
}

static void garbage(void **state)
{
	char *line = malloc(3 * DG_LEDGER_LINE_MAX);

	memset(line, 'x', 3 * DG_LEDGER_LINE_MAX);
	line[2 * DG_LEDGER_LINE_MAX] = '\n';
	assert_int_equal(dg_ledger_read(&reader, line, 3 * DG_LEDGER_LINE_MAX), 0);
	assert_string_equal(reader.skipped_why, "too long");
	assert_int_equal(dg_ledger_read(&reader, "\n1 \0 bad\n", 9), 0);
	feed_bad(1, 0, "\n");
	free(line);
	assert_int_equal(n_bad(), 1);
	assert_int_equal(reader.n_skipped, 3);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_checksum_is_the_one),
		cmocka_unit_test(a_line_and_back),
		cmocka_unit_test(a_place_and_back),
		cmocka_unit_test(the_longest_path_fits),
		cmocka_unit_test(a_line_that_was_changed),
		cmocka_unit_test(what_is_wrong_has_a_name),
		TEST(torn_lines_are_passed_over),
		TEST(a_last_line_that_is_whole_counts),
		TEST(what_was_written_twice_is_read_once),
		TEST(garbage),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
