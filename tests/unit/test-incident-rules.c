/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What rules of devices do to an incident, and what a new daemon keeps of all rules. */
#include "incident-world.h"
#include "rules.h"

static struct dg_policy *policy;

static void device_rule(const char *what)
{
	add_device_rule(policy, "a.device", "MountPoint=/mnt", what);
}

static int setup(void **state)
{
	policy = dg_policy_new();
	world_setup(state);
	world.policy = policy;
	world_init();
	return 0;
}

static int teardown(void **state)
{
	world_teardown(state);
	world.policy = NULL;
	dg_policy_unref(policy);
	return 0;
}

static void choose(bool knows_mounts)
{
	static const char *const points[] = {"/mnt"};
	const struct dg_device_facts facts = {.mount_points = {points, 1, knows_mounts}};

	assert_int_equal(dg_incident_choose(&world.incident, &facts, &world.effects), 0);
}

static void begin(void)
{
	world_start(NULL);
	answered(0);
	seen(20000);
	choose(false);
	expect(">announced take pending >syncing +sync +mounts +protected");
	mounts(DG_JOB_MOUNTS, 0, 0, 0);
	choose(true);
	ok(DG_JOB_MOUNTS);
}

static void to_scan(void)
{
	ok(DG_JOB_PROTECTED);
	ok(DG_JOB_SYNC);
}

/* Busy by somebody who is left, until it is not tried any more. */
static void busy_by(const struct dg_holder *left)
{
	scanned(left, 1, LIVE);
	ok(DG_JOB_SYNC);
	scanned(left, 1, LIVE);
	for (unsigned n = 0; n < 3; n++) {
		after(50 * MSEC);
		mounts(DG_JOB_UNMOUNT, 0, 0, 0);
		ended(DG_JOB_UNMOUNT, DG_JOB_FAILED);
		ok(DG_JOB_SYNC);
		scanned(left, 1, LIVE);
	}
}

static void who_is_left_keeps_it(void **state)
{
	struct dg_holder left = opener(12);

	device_rule("OnBusy=keep");
	begin();
	expect("rule=a.device");
	to_scan();
	busy_by(&left);
	assert_null(strstr(world.log, "shutdown"));
	assert_null(strstr(world.log, "detach"));
	world.log[0] = '\0';
	scanned(&left, 1, LIVE);
	expect("mark=kept mark=released release");
	answered(0);
	kernel_done(DG_RESULT_RELEASED, DG_REVOKE_CLEAN);
	expect(">acked cancel end:done=kept");
}

static void it_was_unmounted_after_all(void **state)
{
	struct dg_holder left = opener(12);

	device_rule("OnBusy=keep");
	begin();
	to_scan();
	busy_by(&left);
	world.log[0] = '\0';
	scanned(NULL, 0, 0);
	expect("ack");
	answered(0);
	kernel_done(DG_RESULT_ACKED, DG_REVOKE_CLEAN);
	expect("mark=acked >acked cancel end:done=clean");
}

static void otherwise_it_is_detached(void **state)
{
	struct dg_holder left = opener(12);

	begin();
	expect("rule=built-in:device");
	to_scan();
	busy_by(&left);
	assert_non_null(strstr(world.log, "+shutdown"));
}

/* Chosen when the mounts are known, and not again. */
static void chosen_once(void **state)
{
	device_rule("OnBusy=keep");
	begin();
	expect("rule=a.device");
	choose(true);
	expect("");
}

static void less_time_than_the_kernel_gives(void **state)
{
	uint64_t began_us;

	device_rule("Budget=5s");
	begin();
	began_us = world.incident.began_us;
	assert_int_equal(world.incident.deadline_us, began_us + 5 * SEC);
	assert_int_equal(world.incident.plan.deadline_us, began_us + 5 * SEC);
	/* Also by a word of the kernel's that comes later. */
	seen(19000);
	assert_int_equal(world.incident.deadline_us, began_us + 5 * SEC);
	assert_int_equal(world.incident.given_us, world.now + 19 * SEC);
	expect("rule=a.device");
	/* What it asks the kernel about is the kernel's time. */
	assert_false(dg_incident_is_stuck(&world.incident, world.now + 21 * SEC));
}

static void more_time_is_asked_for_once(void **state)
{
	world.request.cap_ms = 60000;
	world_init();
	device_rule("Budget=45s");
	begin();
	expect("rule=a.device extend:45000");
	to_scan();
	seen(45000);
	assert_int_equal(world.incident.deadline_us, world.now + 45 * SEC);
	assert_null(strstr(world.log, "extend"));
}

static void no_more_than_the_cap(void **state)
{
	world.request.cap_ms = 60000;
	world_init();
	device_rule("Budget=10min");
	begin();
	expect("rule=a.device extend:60000");
}

static void nobody_is_asked_for_what_there_is(void **state)
{
	world.request.cap_ms = 60000;
	world_init();
	device_rule("Budget=20500ms");
	begin();
	expect("rule=a.device");
}

static void story_line(struct dg_story *story, const char *line)
{
	struct dg_history_event event;
	char copy[512];

	snprintf(copy, sizeof(copy), "1 1 %s", line);
	assert_int_equal(dg_history_parse(copy, &event), 0);
	assert_int_equal(dg_story_add(story, &event), 0);
}

/* The new daemon has other rules: a device rule that detaches, and a policy that leaves. */
static void a_new_daemon_keeps_them(void **state)
{
	struct dg_story story = {.id = 7, .boot_id = "boot", .knows_mounts = true};
	struct dg_holder holder = mapper(10, false);

	device_rule("OnBusy=detach\nBudget=4s");
	add_rule(policy, "a.policy", "Command=*", "Action=leave");
	story_line(&story, "device-rule name=b.device on_busy=keep budget_ms=9000");
	story_line(&story,
		   "rule name=a.policy path=/a.policy "
		   "text=[Match]\\x0aDevice=*\\x0a[Policy]\\x0aAction=term@1s\\x20kill\\x0a");
	story_line(&story, "rule name=a.policy path=/a.policy text=twice");
	story_line(&story, "rule name=c.policy path=/a.policy text=[Future]\\x0aKey=1\\x0a");
	story_line(&story, "holder pid=10 start_ns=1 rule=a.policy mapped=1");
	story_line(&story, "act pid=10 start_ns=1 action=term grace_ms=1000 rung=0");
	story_line(&story, "holder pid=11 start_ns=1 rule=c.policy mapped=1");
	story.state = DG_STATE_ACTING;
	assert_int_equal(story.n_rules, 2);
	assert_string_equal(story.device_rule, "b.device");
	world_start(&story);
	choose(true);
	assert_int_equal(world.incident.on_busy, DG_ON_BUSY_KEEP);
	assert_int_equal(world.incident.budget_ms, 9000);
	answered(0);
	seen(20000);
	ok(DG_JOB_PROTECTED);
	world.log[0] = '\0';
	scanned(&holder, 1, LIVE);
	/* Its term was long ago. */
	expect(">acting holder:10 kill:10");
	dg_story_done(&story);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(who_is_left_keeps_it),
		TEST(it_was_unmounted_after_all),
		TEST(otherwise_it_is_detached),
		TEST(chosen_once),
		TEST(less_time_than_the_kernel_gives),
		TEST(more_time_is_asked_for_once),
		TEST(no_more_than_the_cap),
		TEST(nobody_is_asked_for_what_there_is),
		TEST(a_new_daemon_keeps_them),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
