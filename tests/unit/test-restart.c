/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A daemon died in each of the states; a new one goes on. */
#include "incident-world.h"

static struct dg_story story;

static int setup(void **state)
{
	world_setup(state);
	story = (struct dg_story){.id = 7, .boot_id = "boot", .knows_mounts = true};
	return 0;
}

static int teardown(void **state)
{
	world_teardown(state);
	dg_story_done(&story);
	return 0;
}

static void go_on_from(enum dg_state died_in, const char *log)
{
	story.state = died_in;
	world_init();
	world_start(&story);
	answered(0);
	seen(20000);
	if (world.incident.running & (1U << DG_JOB_PROTECTED) &&
	    world.incident.state == DG_STATE_ANNOUNCED)
		ok(DG_JOB_PROTECTED);
	expect(log);
}

static void each_state(void **state)
{
	go_on_from(DG_STATE_ANNOUNCED, ">announced take pending >syncing +sync +mounts +protected");
	go_on_from(DG_STATE_SYNCING, ">announced take pending >syncing +sync +mounts +protected");
	go_on_from(DG_STATE_SCANNING, ">announced take pending +protected >scanning +scan");
	go_on_from(DG_STATE_ACTING, ">announced take pending +protected >scanning +scan");
	go_on_from(DG_STATE_SETTLING, ">announced take pending +protected >settling +sync +scan");
	go_on_from(DG_STATE_UNMOUNTING,
		   ">announced take pending +protected >unmounting +claim +unmount");
	go_on_from(DG_STATE_VERIFYING, ">announced take pending +protected >verifying +scan");
	go_on_from(DG_STATE_ACKED, ">announced take pending +protected >verifying +scan");
	go_on_from(DG_STATE_REVOKING, ">announced take pending +protected >verifying +scan");
	/* The record says it is over; the kernel, which holds it, knows better. */
	for (unsigned i = DG_STATE_DONE; i < _DG_STATE_MAX; i++)
		go_on_from(i, ">announced take pending >syncing +sync +mounts +protected");
}

static void each_state_without_knowing_the_mounts(void **state)
{
	story.knows_mounts = false;
	for (unsigned i = 0; i < _DG_STATE_MAX; i++)
		go_on_from(i, ">announced take pending >syncing +sync +mounts +protected");
}

static void another_boot_or_id_is_another_story(void **state)
{
	strcpy(story.boot_id, "other");
	go_on_from(DG_STATE_UNMOUNTING,
		   ">announced take pending >syncing +sync +mounts +protected");
	strcpy(story.boot_id, "boot");
	story.id = 8;
	go_on_from(DG_STATE_UNMOUNTING,
		   ">announced take pending >syncing +sync +mounts +protected");
}

static void the_hold_ended_meanwhile(void **state)
{
	for (unsigned i = 0; i < _DG_STATE_MAX; i++) {
		story.state = i;
		world.request.state = i & 1 ? DG_KSTATE_REVOKING : DG_KSTATE_CLOSING;
		world_init();
		world_start(&story);
		expect(i == DG_STATE_ACKED ? ">acked" : ">revoking");
		kernel_done(DG_RESULT_NO_DAEMON, DG_REVOKE_CLEAN);
		expect("end:expired=expired");
	}
}

static void marks_are_kept(void **state)
{
	story.marks = 1U << DG_MARK_DETACHED;
	go_on_from(DG_STATE_VERIFYING, ">announced take pending +protected >verifying +scan");
	scanned(NULL, 0, 0);
	answered(0);
	kernel_done(DG_RESULT_ACKED, DG_REVOKE_CLEAN);
	expect("ack mark=acked >acked end:done=detached-pinned");
}

static void a_system_device_stays_one(void **state)
{
	story.marks = 1U << DG_MARK_SYSTEM;
	go_on_from(DG_STATE_VERIFYING, ">announced take pending +protected >verifying +scan");
	scanned((struct dg_holder[]){mapper(10, true)}, 1, LIVE);
	expect("mark=released release");
}

static void add_holder(pid_t pid, size_t n_actions)
{
	static const enum dg_action actions[] = {DG_ACTION_SIGBUS, DG_ACTION_TERM, DG_ACTION_KILL};
	struct dg_story_holder *holder;

	story.holders = reallocarray(story.holders, story.n_holders + 1, sizeof(*holder));
	holder = &story.holders[story.n_holders++];
	*holder = (struct dg_story_holder){.process = {pid, 1}, .rule = "built-in:mapped"};
	for (; holder->n_actions < n_actions; holder->n_actions++)
		holder->actions[holder->n_actions] = (struct dg_story_action){
			.action = actions[holder->n_actions],
			.rung = holder->n_actions,
			.at_us = BEGIN - SEC,
		};
}

static void nobody_is_signalled_twice(void **state)
{
	struct dg_holder holders[] = {mapper(10, true), mapper(11, true), mapper(12, true)};

	add_holder(10, 1);
	add_holder(11, 0);
	go_on_from(DG_STATE_ACTING, ">announced take pending +protected >scanning +scan");
	scanned(holders, 3, LIVE);
	/* 10 had its SIGBUS a second ago; 12 is new. */
	expect(">acting holder:10 holder:11 holder:12 sigbus:11 sigbus:12");
	for (unsigned i = 0; i < 110; i++) {
		after(10 * MSEC);
		if (world.incident.running & (1U << DG_JOB_SCAN))
			scanned(holders, 3, LIVE);
	}
	assert_non_null(strstr(world.log, "term:10"));
	assert_null(strstr(world.log, "sigbus"));
}

static void who_is_protected_must_be_known(void **state)
{
	story.state = DG_STATE_ACTING;
	world_init();
	world_start(&story);
	answered(0);
	seen(20000);
	ended(DG_JOB_PROTECTED, DG_JOB_TIMEOUT);
	expect(">announced take pending +protected >syncing +sync +mounts +protected");
}

static void who_let_go_meanwhile_is_not_asked_again(void **state)
{
	add_holder(10, 1);
	go_on_from(DG_STATE_ACTING, ">announced take pending +protected >scanning +scan");
	scanned(NULL, 0, LIVE);
	expect(">acting freed:10=unmapped >settling +sync +scan");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(each_state),
		TEST(each_state_without_knowing_the_mounts),
		TEST(another_boot_or_id_is_another_story),
		TEST(the_hold_ended_meanwhile),
		TEST(marks_are_kept),
		TEST(a_system_device_stays_one),
		TEST(nobody_is_signalled_twice),
		TEST(who_is_protected_must_be_known),
		TEST(who_let_go_meanwhile_is_not_asked_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
