/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "test.h"

#include "core/limit.h"

#define PAGE 4096

static struct dg_ledger *ledger;
static struct dg_tally *list, *tally;

static int setup(void **state)
{
	ledger = dg_ledger_new(4, 0);
	tally = dg_tally_get(&list, "a");
	if (!ledger || !tally)
		return -1;
	tally->counted = true;
	return 0;
}

static int teardown(void **state)
{
	ledger = dg_ledger_free(ledger);
	dg_tally_free_all(&list);
	return 0;
}

static void add(const char *ns, uint64_t offset, uint64_t length, bool coarse)
{
	struct dg_failure f = {
		.offset = offset,
		.length = length,
		.sources = DG_SOURCE_BADBLOCKS,
		.times = 1,
		.coarse = coarse,
	};

	strcpy(f.ns, ns);
	assert_int_equal(dg_ledger_add(ledger, &f), 0);
}

static uint64_t count(void)
{
	return dg_tally_count(ledger, "a", PAGE);
}

static void pages_are_counted(void **state)
{
	assert_int_equal(count(), 0);
	add("0", 0, 9 * PAGE, false);
	add("b", 0, 9 * PAGE, false);
	assert_int_equal(count(), 0);
	add("a", 3 * PAGE, 2 * PAGE, false);
	assert_int_equal(count(), 2);
	add("a", 4 * PAGE, PAGE, false); /* again */
	assert_int_equal(count(), 2);
}

/* Blocks are smaller than pages. */
static void parts_of_a_page_are_one(void **state)
{
	add("a", 512, 512, false);
	add("a", 2048, 1024, false);
	assert_int_equal(count(), 1);
	add("a", 2 * PAGE - 512, 1024, false); /* the end of one and the begin of another */
	assert_int_equal(count(), 3);
	add("a", 0, 512, false);
	assert_int_equal(count(), 3);
}

static void a_coarse_range_is_one(void **state)
{
	add("a", 0, 1000 * PAGE, true);
	assert_int_equal(count(), 1);
	add("a", 2000 * PAGE, 2 * PAGE, false);
	assert_int_equal(count(), 3);
}

static bool judge(uint32_t pages, uint64_t within_us, uint64_t bad, uint64_t now_us,
		  uint64_t wanted)
{
	const struct dg_limit limit = {pages, within_us};
	uint64_t n = 0;
	bool reached = dg_tally_judge(tally, &limit, bad, now_us, &n);

	assert_int_equal(n, wanted);
	return reached;
}

static void once_until_there_are_fewer(void **state)
{
	assert_false(judge(3, 0, 2, 1 * SEC, 2));
	assert_true(judge(3, 0, 3, 2 * SEC, 3));
	assert_false(judge(3, 0, 3, 3 * SEC, 3));
	assert_false(judge(3, 0, 9, 4 * SEC, 9));
	assert_false(judge(3, 0, 2, 5 * SEC, 2));
	assert_true(judge(3, 0, 5, 6 * SEC, 5));
	/* Repaired while nobody counted. */
	tally->bad = 1;
	assert_true(judge(3, 0, 4, 7 * SEC, 4));
}

/* As when the rule is new, or the system was booted. */
static void exceeded_before(void **state)
{
	tally->bad = 7;
	assert_false(judge(3, 0, 7, 1 * SEC, 7));
	assert_true(judge(3, 0, 8, 2 * SEC, 8));
	assert_false(judge(3, 0, 9, 3 * SEC, 9));
}

static void within_a_time(void **state)
{
	tally->bad = 100;
	assert_false(judge(3, 10 * SEC, 102, 1 * SEC, 2));
	assert_false(judge(3, 10 * SEC, 103, 12 * SEC, 1));
	assert_false(judge(3, 10 * SEC, 104, 22 * SEC, 2)); /* that of 12 s is in it still */
	assert_false(judge(3, 10 * SEC, 105, 23 * SEC, 2));
	assert_true(judge(3, 10 * SEC, 106, 23 * SEC, 3));
	assert_false(judge(3, 10 * SEC, 107, 24 * SEC, 4));
	assert_true(judge(3, 10 * SEC, 110, 60 * SEC, 3));
	/* One that is good again was bad lately all the same. */
	assert_false(judge(3, 10 * SEC, 5, 61 * SEC, 3));
	assert_false(judge(3, 10 * SEC, 6, 62 * SEC, 4));
}

/* As records are read again: an incident is judged after another that began later. */
static void they_come_in_any_order(void **state)
{
	assert_int_equal(dg_tally_add(tally, 2, 95 * SEC), 0);
	assert_int_equal(dg_tally_add(tally, 4, 80 * SEC), 0);
	assert_false(judge(9, 10 * SEC, 0, 100 * SEC, 2));
	assert_int_equal(dg_tally_add(tally, 1, 92 * SEC), 0);
	assert_false(judge(9, 10 * SEC, 0, 100 * SEC, 3));
	/* One of a time that has not come is not recent. */
	assert_int_equal(dg_tally_add(tally, 5, 101 * SEC), 0);
	assert_false(judge(9, 10 * SEC, 0, 100 * SEC, 3));
	assert_true(judge(9, 10 * SEC, 1, 102 * SEC, 9));
}

static void the_first_are_forgotten(void **state)
{
	for (uint64_t i = 0; i < DG_LIMIT_MAX + 10; i++)
		assert_int_equal(dg_tally_add(tally, 1, i), 0);
	assert_int_equal(tally->n_items, DG_LIMIT_MAX);
	assert_int_equal(tally->items[0].at_us, 10);
	assert_false(judge(DG_LIMIT_MAX, 1000 * SEC, 0, 10 * SEC, DG_LIMIT_MAX));
}

static void each_has_its_own(void **state)
{
	struct dg_tally *other = dg_tally_get(&list, "b");

	assert_non_null(other);
	assert_ptr_not_equal(other, tally);
	assert_ptr_equal(dg_tally_get(&list, "a"), tally);
	assert_ptr_equal(dg_tally_get(&list, "b"), other);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(pages_are_counted, setup, teardown),
		cmocka_unit_test_setup_teardown(parts_of_a_page_are_one, setup, teardown),
		cmocka_unit_test_setup_teardown(a_coarse_range_is_one, setup, teardown),
		cmocka_unit_test_setup_teardown(once_until_there_are_fewer, setup, teardown),
		cmocka_unit_test_setup_teardown(exceeded_before, setup, teardown),
		cmocka_unit_test_setup_teardown(within_a_time, setup, teardown),
		cmocka_unit_test_setup_teardown(they_come_in_any_order, setup, teardown),
		cmocka_unit_test_setup_teardown(the_first_are_forgotten, setup, teardown),
		cmocka_unit_test_setup_teardown(each_has_its_own, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
