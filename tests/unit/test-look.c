/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "test.h"

#include <errno.h>

#include "core/look.h"
#include "rules.h"

static struct dg_look_list list;

static int teardown(void **state)
{
	dg_look_list_done(&list);
	return 0;
}

static const struct dg_process_facts *of(pid_t pid)
{
	const struct dg_look *look = dg_look_find(&list, (struct dg_process){pid, 5});

	return look ? &look->facts : NULL;
}

#define READ(text) assert_int_equal(dg_look_read(&list, text, sizeof(text) - 1), 0)

static void what_a_step_says(void **state)
{
	for (pid_t pid = 30; pid >= 10; pid -= 10)
		assert_int_equal(dg_look_add(&list, (struct dg_process){pid, 5}), 0);
	READ("PID=20\0START_NS=5\0EXE=/bin/a (deleted)\0CGROUP=/system.slice/a.service\0"
	     "GIDS=7 100 4294967294 \0\0"
	     "PID=10\0START_NS=5\0GIDS=0 \0\0"
	     "PID=40\0START_NS=5\0EXE=/stranger\0\0"
	     "PID=30\0START_NS=99000000000\0EXE=/another\0\0"
	     "PID=-1\0START_NS=5\0\0");
	assert_string_equal(of(20)->executable, "/bin/a (deleted)");
	assert_string_equal(of(20)->cgroup, "/system.slice/a.service");
	assert_string_equal(of(20)->unit, "a.service");
	assert_string_equal(of(20)->user_unit, "");
	assert_string_equal(of(20)->container, "");
	assert_int_equal(of(20)->n_gids, 3);
	assert_int_equal(of(20)->gids[2], 4294967294U);
	assert_true(of(20)->gids_complete);
	/* Of the others less is known, and nothing is made up. */
	assert_int_equal(of(10)->n_gids, 1);
	assert_null(of(10)->executable);
	assert_null(of(10)->unit);
	assert_null(of(30)->executable);
	assert_false(of(30)->gids_complete);
	assert_null(of(40));
	assert_null(dg_look_find(&list, (struct dg_process){20, 5000000000}));
}

static void half_a_record_is_none(void **state)
{
	dg_look_add(&list, (struct dg_process){10, 5});
	READ("PID=10\0START_NS=5\0EXE=/bin/a\0");
	assert_null(of(10)->executable);
}

/* What is known of it is not said again by who has its number later. */
static void once(void **state)
{
	dg_look_add(&list, (struct dg_process){10, 5});
	READ("PID=10\0START_NS=5\0EXE=/bin/a\0\0PID=10\0START_NS=5\0EXE=/bin/b\0GIDS=1 \0\0");
	assert_string_equal(of(10)->executable, "/bin/a");
	assert_int_equal(of(10)->n_gids, 1);
}

static void no_more_than_that(void **state)
{
	for (int i = 0; i < DG_LOOKS_MAX; i++)
		assert_int_equal(dg_look_add(&list, (struct dg_process){1 + i * 7 % 4096, i}), 0);
	assert_int_equal(dg_look_add(&list, (struct dg_process){5000, 1}), -E2BIG);
	for (size_t i = 1; i < list.n_items; i++)
		assert_true(list.items[i - 1]->process.pid <= list.items[i]->process.pid);
}

static void holders_are_told(void **state)
{
	struct dg_holder holders[] = {{.process = {10, 5}}, {.process = {11, 5}}};
	struct dg_holder_list all = {holders, 2, false};
	struct dg_process_facts facts;

	dg_look_add(&list, (struct dg_process){10, 5});
	READ("PID=10\0START_NS=5\0EXE=/bin/a\0\0");
	dg_look_attach(&list, &all);
	assert_ptr_equal(holders[0].looked, of(10));
	assert_null(holders[1].looked);
	holders[0].uid = 3;
	holders[0].counts[DG_USE_CWD] = 1;
	strcpy(holders[0].comm, "a");
	dg_facts_of_holder(&holders[0], &facts);
	assert_string_equal(facts.executable, "/bin/a");
	assert_string_equal(facts.command, "a");
	assert_int_equal(facts.uid, 3);
	assert_int_equal(facts.uses, 1U << DG_USE_CWD);
}

static bool asks(const char *match, const char *what)
{
	struct dg_policy *policy = dg_policy_new();
	bool r;

	add_rule(policy, "a.policy", match, what);
	r = dg_policy_asks_for_looks(policy);
	dg_policy_unref(policy);
	return r;
}

static void only_what_is_asked_for(void **state)
{
	static const char *const keys[] = {"Executable=/a", "Unit=a.service", "ControlGroup=/a",
					   "Group=1", "Container=!*"};

	assert_false(dg_policy_asks_for_looks(dg_policy_builtin()));
	assert_false(asks("Device=*\nAccess=open\nUser=1\nCommand=a", "Action=kill"));
	for (size_t i = 0; i < sizeof(keys) / sizeof(*keys); i++)
		assert_true(asks(keys[i], "Action=kill"));
	/* Who acts on a unit looks then: it may be in another by that time. */
	assert_false(asks("Device=*", "Action=stop kill\nScope=unit"));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_teardown(name, teardown)
	const struct CMUnitTest tests[] = {
		TEST(what_a_step_says),  TEST(half_a_record_is_none), TEST(once),
		TEST(no_more_than_that), TEST(holders_are_told),      TEST(only_what_is_asked_for),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
