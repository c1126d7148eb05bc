/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "test.h"

#include "core/event.h"

static void names_are_stable(void **state)
{
	assert_string_equal(dg_result_name(DG_RESULT_NO_DAEMON), "no-daemon");
	assert_string_equal(dg_revoke_name(DG_REVOKE_PINNED), "pinned");
	assert_string_equal(dg_mode_name(DG_MODE_FSDAX), "fsdax");
	assert_string_equal(dg_kstate_name(DG_KSTATE_ORPHANED), "orphaned");
	assert_string_equal(dg_use_name(DG_USE_CWD), "cwd");
	for (int i = 0; i < _DG_RESULT_MAX; i++)
		assert_non_null(dg_result_name(i));
	for (int i = 0; i < _DG_USE_MAX; i++)
		assert_non_null(dg_use_name(i));
}

static void names_outside_are_unknown(void **state)
{
	assert_string_equal(dg_result_name(_DG_RESULT_MAX), "unknown");
	assert_string_equal(dg_revoke_name((enum dg_revoke) - 1), "unknown");
	assert_string_equal(dg_mode_name(99), "unknown");
	assert_string_equal(dg_kstate_name(99), "unknown");
	assert_string_equal(dg_use_name(99), "unknown");
}

static void a_uuid_as_it_is_written(void **state)
{
	const uint8_t uuid[DG_UUID_LEN] = {0, 1, 2,  3,    4,    5,  6,  7,
					   8, 9, 10, 0xab, 0xff, 13, 14, 15};
	char text[DG_BOOT_ID_LEN];

	dg_uuid_text(uuid, text);
	assert_string_equal(text, "00010203-0405-0607-0809-0aabff0d0e0f");
}

static void copy_owns_all(void **state)
{
	struct dg_range ranges[] = {{1, 2}, {3, 4}};
	struct dg_layer layers[] = {{"pmem0p1", DG_DEV(259, 1)}};
	struct dg_target targets[] = {
		{.name = "pmem0", .ranges = ranges, .n_ranges = 2, .layers = layers, .n_layers = 1},
		{.name = "dax1.0"},
	};
	struct dg_request from = {.id = 7, .device = "region0", .targets = targets, .n_targets = 2};
	struct dg_request copy;

	assert_int_equal(dg_request_copy(&from, &copy), 0);
	assert_int_equal(copy.id, 7);
	assert_ptr_not_equal(copy.targets, targets);
	assert_ptr_not_equal(copy.targets[0].ranges, ranges);
	assert_int_equal(copy.targets[0].ranges[1].len, 4);
	assert_string_equal(copy.targets[0].layers[0].name, "pmem0p1");
	assert_null(copy.targets[1].ranges);
	dg_request_done(&copy);
	assert_null(copy.targets);
	dg_request_done(&copy);
}

static void copy_of_nothing(void **state)
{
	struct dg_request from = {.id = 1}, copy;

	assert_int_equal(dg_request_copy(&from, &copy), 0);
	assert_null(copy.targets);
	dg_request_done(&copy);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_are_stable),
		cmocka_unit_test(names_outside_are_unknown),
		cmocka_unit_test(a_uuid_as_it_is_written),
		cmocka_unit_test(copy_owns_all),
		cmocka_unit_test(copy_of_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
