/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "test.h"

#include "core/holder.h"

#define TICK 10000000ULL

static void starts_are_equal_within_a_tick(void **state)
{
	assert_true(dg_start_equal(123 * TICK, 123 * TICK + 9999999));
	assert_false(dg_start_equal(123 * TICK, 124 * TICK));
	assert_false(dg_start_equal(123 * TICK - 1, 123 * TICK));
}

static void rows_become_processes(void **state)
{
	struct dg_usage rows[] = {
		{.pid = 20, .start_ns = 1, .comm = "b", .use = DG_USE_OPEN, .count = 3},
		{.pid = 10,
		 .start_ns = 1,
		 .comm = "a",
		 .use = DG_USE_MAPPED,
		 .addr = 0x2000,
		 .len = 0x1000,
		 .flags = DG_HOLDER_SHARED},
		{.pid = 10,
		 .start_ns = 1,
		 .comm = "a",
		 .use = DG_USE_MAPPED,
		 .addr = 0x1000,
		 .len = 0x1000,
		 .flags = DG_HOLDER_STOPPED},
		{.pid = 10, .start_ns = 1, .comm = "a", .use = DG_USE_CWD},
	};
	struct dg_usage_list list = {rows, 4, true};
	struct dg_holder_list holders;

	assert_int_equal(dg_holders_merge(&list, NULL, &holders), 0);
	assert_int_equal(holders.n_items, 2);
	assert_true(holders.truncated);
	assert_int_equal(holders.items[0].process.pid, 10);
	assert_int_equal(holders.items[0].n_mappings, 2);
	assert_int_equal(holders.items[0].mappings[0].addr, 0x1000);
	assert_int_equal(holders.items[0].mappings[1].flags, DG_HOLDER_SHARED);
	assert_int_equal(holders.items[0].mapped_bytes, 0x2000);
	assert_true(holders.items[0].flags & DG_HOLDER_STOPPED);
	assert_true(dg_holder_uses(&holders.items[0], DG_USE_CWD));
	assert_false(dg_holder_uses(&holders.items[0], DG_USE_OPEN));
	assert_int_equal(holders.items[1].counts[DG_USE_OPEN], 3);
	dg_holder_list_done(&holders);
}

static void a_pid_used_twice_is_two(void **state)
{
	struct dg_usage rows[] = {
		{.pid = 10, .start_ns = 1 * TICK, .use = DG_USE_OPEN},
		{.pid = 10, .start_ns = 2 * TICK, .use = DG_USE_MAPPED},
	};
	struct dg_usage_list list = {rows, 2, false};
	struct dg_holder_list holders;

	assert_int_equal(dg_holders_merge(&list, NULL, &holders), 0);
	assert_int_equal(holders.n_items, 2);
	assert_ptr_equal(dg_holders_find(&holders, (struct dg_process){10, 2 * TICK + 5}),
			 &holders.items[1]);
	assert_null(dg_holders_find(&holders, (struct dg_process){10, 3 * TICK}));
	assert_null(dg_holders_find(&holders, (struct dg_process){11, TICK}));
	dg_holder_list_done(&holders);
}

static void the_kernel_is_one_for_each_name(void **state)
{
	struct dg_usage rows[] = {
		{.comm = "swap", .use = DG_USE_KERNEL},
		{.comm = "exiting", .use = DG_USE_MAPPED, .len = 5},
		{.comm = "swap", .use = DG_USE_KERNEL},
	};
	struct dg_usage_list list = {rows, 3, false};
	struct dg_holder_list holders;

	assert_int_equal(dg_holders_merge(&list, NULL, &holders), 0);
	assert_int_equal(holders.n_items, 2);
	assert_int_equal(holders.items[0].exempt, DG_EXEMPT_KERNEL);
	assert_int_equal(holders.items[1].counts[DG_USE_KERNEL], 2);
	assert_null(dg_holders_find(&holders, (struct dg_process){}));
	dg_holder_list_done(&holders);
}

static void garbage_is_left_out(void **state)
{
	struct dg_usage rows[] = {
		{.pid = 10, .use = (enum dg_use)77},
		{.pid = -5, .use = DG_USE_OPEN},
		{.pid = 11, .use = DG_USE_OPEN, .count = UINT32_MAX},
		{.pid = 11, .use = DG_USE_OPEN, .count = UINT32_MAX},
	};
	struct dg_usage_list list = {rows, 4, false};
	struct dg_holder_list holders;

	memset(rows[2].comm, 'x', sizeof(rows[2].comm));
	memset(rows[3].comm, 'x', sizeof(rows[3].comm));
	assert_int_equal(dg_holders_merge(&list, NULL, &holders), 0);
	assert_int_equal(holders.n_items, 1);
	assert_int_equal(holders.items[0].counts[DG_USE_OPEN], UINT32_MAX);
	assert_int_equal(strlen(holders.items[0].comm), DG_COMM_LEN - 1);
	dg_holder_list_done(&holders);
}

static void the_protected_are_known(void **state)
{
	struct dg_usage rows[] = {
		{.pid = 1, .use = DG_USE_MAPPED},
		{.pid = 2, .use = DG_USE_CWD},
		{.pid = 30, .start_ns = 3 * TICK, .use = DG_USE_MAPPED},
		{.pid = 31, .start_ns = 3 * TICK, .use = DG_USE_MAPPED},
		{.pid = 32, .flags = DG_HOLDER_UNBINDER, .use = DG_USE_MAPPED},
		{.pid = 33, .use = DG_USE_MAPPED},
	};
	struct dg_usage_list list = {rows, 6, false};
	struct dg_exemption_list exempt = {};
	struct dg_holder_list holders;

	/* 31: a service had this pid, but another process has it now. */
	dg_exemption_add(&exempt, (struct dg_process){30, 3 * TICK + 7}, DG_EXEMPT_STEP);
	dg_exemption_add(&exempt, (struct dg_process){31, 1 * TICK}, DG_EXEMPT_SERVICE);
	assert_int_equal(dg_holders_merge(&list, &exempt, &holders), 0);
	assert_int_equal(holders.items[0].exempt, DG_EXEMPT_INIT);
	assert_int_equal(holders.items[1].exempt, DG_EXEMPT_KERNEL);
	assert_int_equal(holders.items[2].exempt, DG_EXEMPT_STEP);
	assert_int_equal(holders.items[3].exempt, DG_EXEMPT_NONE);
	assert_int_equal(holders.items[4].exempt, DG_EXEMPT_UNBINDER);
	assert_int_equal(holders.items[5].exempt, DG_EXEMPT_NONE);
	assert_string_equal(dg_exempt_name(DG_EXEMPT_SERVICE), "service");
	assert_string_equal(dg_exempt_name(99), "unknown");
	dg_holder_list_done(&holders);
	dg_exemption_list_done(&exempt);
}

static void signals_are_bits_from_one(void **state)
{
	struct dg_holder holder = {.sig_caught = SIG(SIGBUS) | SIG(SIGTERM),
				   .sig_ignored = SIG(SIGTERM),
				   .sig_blocked = 1};

	assert_true(dg_holder_catches(&holder, SIGBUS));
	assert_false(dg_holder_catches(&holder, SIGTERM));
	assert_true(dg_holder_blocks(&holder, 1));
	assert_false(dg_holder_blocks(&holder, 0));
	assert_false(dg_holder_blocks(&holder, 65));
	assert_false(dg_holder_uses(&holder, (enum dg_use)99));
}

static void nobody(void **state)
{
	struct dg_usage_list list = {};
	struct dg_holder_list holders;

	assert_int_equal(dg_holders_merge(&list, NULL, &holders), 0);
	assert_int_equal(holders.n_items, 0);
	dg_holder_list_done(&holders);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(starts_are_equal_within_a_tick),
		cmocka_unit_test(rows_become_processes),
		cmocka_unit_test(a_pid_used_twice_is_two),
		cmocka_unit_test(the_kernel_is_one_for_each_name),
		cmocka_unit_test(garbage_is_left_out),
		cmocka_unit_test(the_protected_are_known),
		cmocka_unit_test(signals_are_bits_from_one),
		cmocka_unit_test(nobody),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
