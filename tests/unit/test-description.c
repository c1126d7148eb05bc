/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "test.h"

#include "core/description.h"

static struct dg_description description;

static int teardown(void **state)
{
	dg_description_done(&description);
	return 0;
}

static void words_are(const struct dg_strings *strings, const char *expected)
{
	char all[512] = "";

	for (size_t i = 0; i < strings->n_items; i++) {
		strcat(all, i > 0 ? " " : "");
		strcat(all, strings->items[i]);
	}
	assert_string_equal(all, expected);
}

static void what_the_kernel_says(void **state)
{
	struct dg_layer layers[] = {{"pmem0p1", 0}, {"dm-0", 0}};
	struct dg_target targets[] = {
		{.name = "pmem0",
		 .ns_device = "pfn0.0",
		 .in_use = true,
		 .has_uuid = true,
		 .uuid = {0xab, 0xcd, [15] = 0x1f},
		 .layers = layers,
		 .n_layers = 2},
		{.name = "pmem1", .ns_device = "pfn1.0"},
	};
	struct dg_request request = {
		.device = "region0", .driver = "nd_region", .targets = targets, .n_targets = 2};

	assert_int_equal(dg_description_init(&description, &request), 0);
	words_are(&description.facts.names,
		  "region0 pmem0 pfn0.0 abcd0000-0000-0000-0000-00000000001f pmem0p1 dm-0");
	words_are(&description.facts.drivers, "nd_region");
	assert_false(description.facts.names.complete);
	dg_description_done(&description);

	/* Nobody uses any of them: then it is for all. */
	targets[0].in_use = false;
	assert_int_equal(dg_description_init(&description, &request), 0);
	assert_int_equal(description.facts.names.n_items, 8);
}

static void what_is_added(void **state)
{
	assert_int_equal(dg_description_add_name(&description, "a"), 0);
	assert_int_equal(dg_description_add_name(&description, ""), 0);
	assert_int_equal(dg_description_add_name(&description, NULL), 0);
	assert_int_equal(dg_description_add_name(&description, "a"), 0);
	assert_int_equal(dg_description_add_driver(&description, "b"), 0);
	assert_int_equal(dg_description_add_mount(&description, "xfs", "/host", true), 0);
	assert_int_equal(dg_description_add_mount(&description, "xfs", "/there", false), 0);
	words_are(&description.facts.names, "a");
	words_are(&description.facts.drivers, "b");
	words_are(&description.facts.file_systems, "xfs");
	words_are(&description.facts.mount_points, "/host");
	dg_description_complete(&description, true, false);
	assert_true(description.facts.names.complete && description.facts.drivers.complete);
	assert_false(description.facts.file_systems.complete ||
		     description.facts.mount_points.complete);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(what_the_kernel_says, teardown),
		cmocka_unit_test_teardown(what_is_added, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
