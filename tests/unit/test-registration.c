/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "test.h"

#include "core/action.h"
#include "core/registration.h"

static const struct dg_registration longest = {
	.id = 99999999,
	.process = {4194304, UINT64_MAX},
	.uid = UINT32_MAX,
	.since_us = 9999999999999999,
	.device = "123456789012345678901234567890123456789012345678901234567890123",
	.uuid = "01234567-89ab-cdef-0123-456789abcdef",
	.name = "name.of_32@bytes+12345678-123456",
};

static void as_a_name(void **state)
{
	static const struct dg_registration all[] = {
		{.id = 1, .process = {7, 5}, .device = "pmem0"}, longest};
	char text[DG_REGISTRATION_TEXT_MAX];
	struct dg_registration again;

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		assert_int_equal(dg_registration_write(&all[i], text), 0);
		for (const char *c = text; *c; c++)
			assert_true(*c > ' ' && *c <= '~' && *c != ':' && *c != '\\');
		assert_int_equal(dg_registration_read(text, &again), 0);
		assert_memory_equal(&again, &all[i], sizeof(again));
	}
	assert_int_equal(dg_registration_write(&all[0], text), 0);
	assert_string_equal(text, "reg,ID=1,PID=7,START=5,UID=0,SINCE=0,DEV=pmem0,UUID=,NAME=");
}

static void what_cannot_be_said(void **state)
{
	static const char *const names[] = {"a b", "a,b", "a:b", "a=b", "a\\b", "\xc3\xa4", "a\n"};
	char text[DG_REGISTRATION_TEXT_MAX];
	struct dg_registration r = longest;

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		assert_false(dg_registration_name_is_valid(names[i]));
		snprintf(r.name, sizeof(r.name), "%s", names[i]);
		assert_int_equal(dg_registration_write(&r, text), -EINVAL);
		r = longest;
		snprintf(r.device, sizeof(r.device), "%s", names[i]);
		assert_int_equal(dg_registration_write(&r, text), -EINVAL);
		r = longest;
	}
	assert_true(dg_registration_name_is_valid(""));
	assert_true(dg_registration_name_is_valid(longest.name));
	assert_false(dg_registration_name_is_valid("name.of_33@bytes+12345678-1234567"));
	r.id = UINT64_MAX;
	assert_int_equal(dg_registration_write(&r, text), 0); /* the longest that there can be */
}

static void nonsense(void **state)
{
	static const char *const texts[] = {
		"",
		"reg",
		"reg,",
		"stored",
		"reg,ID=1",
		"REG,ID=1,PID=7,START=5,UID=0,SINCE=0,DEV=pmem0,UUID=,NAME=",
		"reg,ID=1,PID=0,START=5,UID=0,SINCE=0,DEV=pmem0,UUID=,NAME=",
		"reg,ID=1,PID=2147483648,START=5,UID=0,SINCE=0,DEV=pmem0,UUID=,NAME=",
		"reg,ID=1,PID=7,START=-5,UID=0,SINCE=0,DEV=pmem0,UUID=,NAME=",
		"reg,ID=1,PID=7,START=5,UID=4294967296,SINCE=0,DEV=pmem0,UUID=,NAME=",
		"reg,ID=1,PID=7,START=5,UID=0,SINCE=0,DEV=,UUID=,NAME=",
		"reg,ID=1,PID=7,START=5,UID=0,SINCE=0,DEV=pmem0,UUID=",
		"reg,ID=1,PID=7,START=5,UID=0,SINCE=0,DEV=pmem0,UUID=,"
		"NAME=123456789012345678901234567890123",
	};
	struct dg_registration r;

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		assert_int_equal(dg_registration_read(texts[i], &r), -EINVAL);
}

/* By the namespace where both are known, else by the name. */
static void whom_it_concerns(void **state)
{
	struct dg_target targets[] = {{.name = "pmem0"}, {.name = "pmem1", .has_uuid = true}};
	const struct dg_request request = {.targets = targets, .n_targets = 2};
	struct dg_registration r = {.device = "pmem0"};

	assert_true(dg_registration_concerns(&r, &request));
	strcpy(r.device, "pmem1");
	assert_true(dg_registration_concerns(&r, &request));
	strcpy(r.device, "pmem2");
	assert_false(dg_registration_concerns(&r, &request));
	targets[1].uuid[0] = 0xab;
	strcpy(r.uuid, "AB000000-0000-0000-0000-000000000000");
	assert_true(dg_registration_concerns(&r, &request));
	strcpy(r.device, "pmem1");
	strcpy(r.uuid, "00000000-0000-0000-0000-000000000000");
	assert_false(dg_registration_concerns(&r, &request));
}

/* It is of use to who has registered, whatever he does about the signal. */
static void notify_is_for_it(void **state)
{
	struct dg_holder holder = {.cooperates = true};

	assert_null(dg_action_skipped(DG_ACTION_NOTIFY, SIGUSR1, &holder));
	assert_string_equal(dg_action_skipped(DG_ACTION_SIGBUS, 0, &holder), "not-mapped");
	holder.cooperates = false;
	assert_string_equal(dg_action_skipped(DG_ACTION_NOTIFY, SIGUSR1, &holder), "no-handler");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(as_a_name),        cmocka_unit_test(what_cannot_be_said),
		cmocka_unit_test(nonsense),         cmocka_unit_test(whom_it_concerns),
		cmocka_unit_test(notify_is_for_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
