/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "core/badblocks.h"

#include "test.h"

static enum dg_badblocks find(const char *text, uint64_t offset, uint64_t len)
{
	return dg_badblocks_find(text, strlen(text), offset, len);
}

static void listed_and_not(void **state)
{
	static const char list[] = "8 8\n64 1\n1000 16\n";

	assert_int_equal(find(list, 4096, 4096), DG_BADBLOCKS_LISTED);
	/* A byte is enough; the one before and the one behind are not. */
	assert_int_equal(find(list, 0, 4096), DG_BADBLOCKS_NOT_LISTED);
	assert_int_equal(find(list, 0, 4097), DG_BADBLOCKS_LISTED);
	assert_int_equal(find(list, 8191, 1), DG_BADBLOCKS_LISTED);
	assert_int_equal(find(list, 8192, 4096), DG_BADBLOCKS_NOT_LISTED);
	assert_int_equal(find(list, 64 * 512 + 511, 1), DG_BADBLOCKS_LISTED);
	assert_int_equal(find(list, 65 * 512, 512), DG_BADBLOCKS_NOT_LISTED);
	/* A range that has one in its middle. */
	assert_int_equal(find(list, 8192, 1 << 20), DG_BADBLOCKS_LISTED);
	assert_int_equal(find(list, 1016 * 512, UINT64_MAX - 1016 * 512), DG_BADBLOCKS_NOT_LISTED);
	assert_int_equal(find("", 0, 4096), DG_BADBLOCKS_NOT_LISTED);
}

static void what_is_no_list(void **state)
{
	assert_int_equal(find("8 8", 1 << 20, 512), DG_BADBLOCKS_UNKNOWN);
	assert_int_equal(find("8\n", 1 << 20, 512), DG_BADBLOCKS_UNKNOWN);
	assert_int_equal(find("8 -8\n", 1 << 20, 512), DG_BADBLOCKS_UNKNOWN);
	assert_int_equal(find("99999999999999999999 8\n", 0, 512), DG_BADBLOCKS_UNKNOWN);
	assert_int_equal(find("odd", 0, 512), DG_BADBLOCKS_UNKNOWN);
	assert_int_equal(find("8 8\n", 0, 0), DG_BADBLOCKS_UNKNOWN);
	assert_int_equal(find("8 8\n", UINT64_MAX, 2), DG_BADBLOCKS_UNKNOWN);
}

/* The kernel shows a page, whatever is in the list. */
static void a_list_that_fills_the_page(void **state)
{
	char text[DG_BADBLOCKS_PAGE + 64];
	size_t n = 0;
	uint64_t sector = 1000, last = 0;

	while (n < DG_BADBLOCKS_PAGE) {
		n += (size_t)sprintf(text + n, "%llu 1\n", (unsigned long long)sector);
		last = n <= DG_BADBLOCKS_PAGE ? sector : last;
		sector += 100;
	}
	n = DG_BADBLOCKS_PAGE;
	/* All that lies before the last whole line is as good as in a short list. */
	assert_int_equal(dg_badblocks_find(text, n, 1000 * 512, 512), DG_BADBLOCKS_LISTED);
	assert_int_equal(dg_badblocks_find(text, n, 1001 * 512, 512), DG_BADBLOCKS_NOT_LISTED);
	assert_int_equal(dg_badblocks_find(text, n, (last - 150) * 512, 512),
			 DG_BADBLOCKS_NOT_LISTED);
	assert_int_equal(dg_badblocks_find(text, n, (last + 50) * 512, 512), DG_BADBLOCKS_UNKNOWN);
	/* Cut at a line's end by chance: also then there may be more. */
	for (n = DG_BADBLOCKS_PAGE; text[n - 1] != '\n'; n--)
		;
	assert_int_equal(dg_badblocks_find(text, n, 1001 * 512, 512), DG_BADBLOCKS_NOT_LISTED);
	assert_int_equal(dg_badblocks_find(text, n, 900000000, 512), DG_BADBLOCKS_UNKNOWN);
}

/* "offset+length" of each part, in sectors. */
static const char *good(const char *text, uint64_t sector, uint64_t n, uint64_t unit)
{
	uint64_t at = sector * 512, end = at + n * 512, len;
	static char parts[128];
	size_t k = 0;

	parts[0] = '\0';
	for (; dg_badblocks_next_good(text, strlen(text), at, end - at, unit, &at, &len); at += len)
		k += (size_t)snprintf(parts + k, sizeof(parts) - k, "%s%llu+%llu", k > 0 ? " " : "",
				      (unsigned long long)at / 512, (unsigned long long)len / 512);
	return parts;
}

static void what_is_good_of_a_range(void **state)
{
	static const char list[] = "8 8\n64 1\n100 2\n";

	assert_string_equal(good(list, 8, 8, 512), "");
	assert_string_equal(good(list, 0, 8, 512), "0+8");
	assert_string_equal(good(list, 0, 200, 512), "0+8 16+48 65+35 102+98");
	assert_string_equal(good(list, 12, 60, 512), "16+48 65+7");
	/* In whole pages, but where the range begins and ends. */
	assert_string_equal(good(list, 0, 200, 4096), "0+8 16+48 72+24 104+96");
	assert_string_equal(good(list, 60, 12, 4096), "60+4");
	assert_string_equal(good(list, 66, 4, 4096), "66+4");
	assert_string_equal(good("", 0, 8, 512), "0+8");
	/* Of what is no list nothing is good. */
	assert_string_equal(good("odd\n", 0, 8, 512), "");
	assert_string_equal(good("8 8\n16 ", 0, 64, 512), "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(listed_and_not),
		cmocka_unit_test(what_is_no_list),
		cmocka_unit_test(a_list_that_fills_the_page),
		cmocka_unit_test(what_is_good_of_a_range),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
