/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/record.h"
#include "test.h"

static void test_there_and_back(void **state)
{
	struct dg_record_writer writer = DG_RECORD_WRITER_INIT;
	const char *cursor, *end, *record;
	uint64_t number;
	dg_dev_t dev;
	size_t len;

	dg_record_field(&writer, "PATH", "/a b\n\xff");
	dg_record_field_u64(&writer, "NS", UINT64_MAX);
	dg_record_field_dev(&writer, "DEV", DG_DEV(259, 7));
	assert_int_equal(dg_record_end(&writer), 0);
	dg_record_field(&writer, "EMPTY", "");
	assert_int_equal(dg_record_end(&writer), 0);

	cursor = writer.data;
	end = writer.data + writer.n;
	record = dg_record_next(&cursor, end, &len);
	assert_non_null(record);
	assert_string_equal(dg_record_get(record, len, "PATH"), "/a b\n\xff");
	assert_int_equal(dg_record_get_u64(record, len, "NS", &number), 0);
	assert_true(number == UINT64_MAX);
	assert_int_equal(dg_record_get_dev(record, len, "DEV", &dev), 0);
	assert_true(dev == DG_DEV(259, 7));
	assert_null(dg_record_get(record, len, "EMPTY"));
	assert_null(dg_record_get(record, len, "PAT"));
	record = dg_record_next(&cursor, end, &len);
	assert_non_null(record);
	assert_string_equal(dg_record_get(record, len, "EMPTY"), "");
	assert_null(dg_record_next(&cursor, end, &len));
	assert_ptr_equal(cursor, end);
	dg_record_writer_done(&writer);
}

static void assert_walk(const char *text, size_t n, int records, size_t rest)
{
	/* Of exactly that size, so that a read too far is seen. */
	char *copy = malloc(n + !n);
	const char *cursor = copy;
	size_t len;

	memcpy(copy, text, n);
	while (dg_record_next(&cursor, copy + n, &len))
		records--;
	assert_int_equal(records, 0);
	assert_int_equal(copy + n - cursor, rest);
	free(copy);
}
#define ASSERT_WALK(text, records, rest) assert_walk(text, sizeof(text) - 1, records, rest)

static void test_cut_short(void **state)
{
	ASSERT_WALK("", 0, 0);
	ASSERT_WALK("A=1\0\0B=2\0\0", 2, 0);
	ASSERT_WALK("A=1\0\0B=2\0", 1, 4);
	ASSERT_WALK("A=1\0\0B=2", 1, 3);
	ASSERT_WALK("A=1", 0, 3);
	ASSERT_WALK("\0", 0, 1);
	ASSERT_WALK("A=1\0\0\0B=2\0\0", 1, 6);
}

static void test_values(void **state)
{
	static const char record[] = "A=\0B= 1\0C=-1\0D=18446744073709551616\0E=1:2:3\0F=1\0"
				     "G=4294967296:0\0H=12x";
	uint64_t number = 99;
	dg_dev_t dev = 99;

	for (const char *key = "ABCDEGH"; *key; key++) {
		const char name[] = {*key, 0};
		int r = dg_record_get_u64(record, sizeof(record), name, &number);

		assert_int_equal(r, *key == 'D' ? -ERANGE : -EINVAL);
		r = dg_record_get_dev(record, sizeof(record), name, &dev);
		assert_true(r == -EINVAL || r == -ERANGE);
	}
	assert_true(number == 99 && dev == 99);
	assert_int_equal(dg_record_get_u64(record, sizeof(record), "F", &number), 0);
	assert_int_equal(dg_record_get_u64(record, sizeof(record), "Z", &number), -ENOENT);
	assert_int_equal(dg_record_get_dev(record, sizeof(record), "F", &dev), -EINVAL);
	assert_int_equal(dg_record_get_dev(record, sizeof(record), "G", &dev), -ERANGE);
}

static void test_malformed_is_dropped(void **state)
{
	struct dg_record_writer writer = DG_RECORD_WRITER_INIT;

	assert_int_equal(dg_record_end(&writer), -EINVAL);
	dg_record_field(&writer, "A", "1");
	dg_record_field(&writer, "lower", "1");
	dg_record_field(&writer, "B", "1");
	assert_int_equal(dg_record_end(&writer), -EINVAL);
	dg_record_field(&writer, "A=", "1");
	assert_int_equal(dg_record_end(&writer), -EINVAL);
	dg_record_field(&writer, "", "1");
	assert_int_equal(dg_record_end(&writer), -EINVAL);
	assert_int_equal(writer.n, 0);
	dg_record_field(&writer, "A", "1");
	assert_int_equal(dg_record_end(&writer), 0);
	assert_int_equal(writer.n, 5);
	assert_memory_equal(writer.data, "A=1\0\0", 5);
	dg_record_writer_done(&writer);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_there_and_back),
		cmocka_unit_test(test_cut_short),
		cmocka_unit_test(test_values),
		cmocka_unit_test(test_malformed_is_dropped),
	};

	return cmocka_run_group_tests_name("record", tests, NULL, NULL);
}
