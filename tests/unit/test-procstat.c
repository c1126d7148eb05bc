/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "core/procstat.h"
#include "test.h"

#define TAIL " 1 9 9 0 -1 4194304 1 2 3 4 5 6 7 8 20 0 1 0 306391 99 98 18446744073709551615"

static void test_form(void **state)
{
	struct dg_procstat stat;

	assert_int_equal(dg_procstat_parse("7280 (sleep) S" TAIL, &stat), 0);
	assert_int_equal(stat.pid, 7280);
	assert_int_equal(stat.ppid, 1);
	assert_int_equal(stat.state, 'S');
	assert_false(stat.kernel_thread);
	assert_int_equal(stat.start_ticks, 306391);
	assert_true(dg_procstat_start_ns(&stat, 100) == UINT64_C(3063910000000));
}

/* Who may choose his name may choose this one. */
static void test_names(void **state)
{
	struct dg_procstat stat;

	assert_int_equal(dg_procstat_parse("17 (a) Z 0 (b\n) D" TAIL, &stat), 0);
	assert_int_equal(stat.pid, 17);
	assert_int_equal(stat.state, 'D');
	assert_int_equal(dg_procstat_parse("17 () D" TAIL, &stat), 0);
	assert_int_equal(dg_procstat_parse("2 (kthreadd) S 0 0 0 0 -1 2129984 0 0 0 0 0 0 0 0 20 0 "
					   "1 0 24 0",
					   &stat),
			 0);
	assert_true(stat.kernel_thread);
	assert_int_equal(stat.start_ticks, 24);
}

static void test_malformed(void **state)
{
	static const char *const texts[] = {
		"",
		")",
		"17",
		"17 (x",
		"17 (x)",
		"17 (x) S",
		"17 (x) S 1 2 3",
		"x (x) S" TAIL,
		"0 (x) S" TAIL,
		"-1 (x) S" TAIL,
	};
	struct dg_procstat stat = {.pid = 99};

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		assert_int_equal(dg_procstat_parse(texts[i], &stat), -EINVAL);
	assert_int_equal(stat.pid, 99);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_form),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_malformed),
	};

	return cmocka_run_group_tests_name("procstat", tests, NULL, NULL);
}
