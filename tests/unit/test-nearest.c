/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "test.h"

#include "core/nearest.h"

static void distances(void **state)
{
	char longer[DG_NEAREST_LONGEST + 2];

	assert_int_equal(dg_distance(dg_piece("show"), "show"), 0);
	assert_int_equal(dg_distance(dg_piece("shwo"), "show"), 1);
	assert_int_equal(dg_distance(dg_piece(""), "list"), 4);
	assert_int_equal(dg_distance(dg_piece("holder"), "holders"), 1);
	assert_int_equal(dg_distance(dg_piece("status"), "list"), 5);
	memset(longer, 'x', sizeof(longer) - 1);
	longer[sizeof(longer) - 1] = '\0';
	assert_int_equal(dg_distance(dg_piece(longer), longer), DG_NEAREST_LONGEST);
}

static const char *nearest(const char *word)
{
	static const char *const known[] = {"Unit", "User", "Executable", "ExecTimeoutSec"};
	struct dg_nearest search = {.word = dg_piece(word)};

	for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++)
		dg_nearest_try(&search, known[i]);
	return search.nearest;
}

static void what_was_meant(void **state)
{
	assert_string_equal(nearest("Untis"), "Unit");
	assert_string_equal(nearest("Exectuable"), "Executable");
	assert_string_equal(nearest("ExecTimeout"), "ExecTimeoutSec");
	assert_string_equal(nearest("User"), "User");
	assert_null(nearest("Container"));
	assert_null(nearest(""));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(distances),
		cmocka_unit_test(what_was_meant),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
