/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Records that were taken from the kernel, until it may forget them. */
#include "core/seen.h"
#include "test.h"

static void add(struct dg_seen_list *list, uint64_t serial, uint64_t failure, unsigned round)
{
	struct dg_seen *seen;

	assert_int_equal(dg_seen_reserve(list), 0);
	seen = dg_seen_insert(list, serial);
	seen->failure = failure;
	seen->round = round;
}

static void test_order(void **state)
{
	static const uint64_t serials[] = {7, 3, 9, 1, 5};
	struct dg_seen_list list = {};

	for (size_t i = 0; i < 5; i++)
		add(&list, serials[i], 1, 1);
	for (size_t i = 0; i < 5; i++)
		assert_int_equal(list.items[i].serial, 2 * i + 1);
	assert_null(dg_seen_find(&list, 4));
	assert_int_equal(dg_seen_find(&list, 5)->serial, 5);
	dg_seen_drop_up_to(&list, 5);
	assert_int_equal(list.n_items, 2);
	assert_int_equal(list.items[0].serial, 7);
	dg_seen_drop_up_to(&list, UINT64_MAX);
	assert_int_equal(list.n_items, 0);
	dg_seen_done(&list);
}

static void test_over(void **state)
{
	struct dg_seen_list list = {};

	add(&list, 1, 1, 1);
	add(&list, 2, 1, 2);
	add(&list, 3, 2, 1);
	dg_seen_mark_over(&list, 1, 1);
	assert_true(list.items[0].over);
	assert_false(list.items[1].over || list.items[2].over);
	dg_seen_done(&list);
}

/* One record that grows for ever leaves nothing behind; what is not dealt with stays. */
static void test_grows(void **state)
{
	struct dg_seen_list list = {};

	add(&list, 1, 1, UINT32_MAX);
	add(&list, 2, 2, 1);
	dg_seen_mark_over(&list, 2, 1);
	for (uint64_t serial = 3; serial < 1000; serial++) {
		list.dump++;
		assert_non_null(dg_seen_find(&list, 2));
		add(&list, serial, 2, 1);
		dg_seen_drop_gone(&list);
		dg_seen_mark_over(&list, 2, 1);
		assert_int_equal(list.n_items, 3);
	}
	assert_non_null(dg_seen_find(&list, 1));
	assert_non_null(dg_seen_find(&list, 2));
	assert_non_null(dg_seen_find(&list, 999));
	dg_seen_done(&list);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_over),
		cmocka_unit_test(test_grows),
	};

	return cmocka_run_group_tests_name("seen", tests, NULL, NULL);
}
