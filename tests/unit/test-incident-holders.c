/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Who uses it: looked for, asked, ended, or left. */
#include "incident-world.h"

static void everybody_gets_his_ladder(void **state)
{
	struct dg_holder both[] = {mapper(10, true), mapper(11, false), opener(12)};

	to_scanning();
	scanned(both, 3, LIVE);
	expect(">acting holder:10 holder:11 holder:12 sigbus:10 sigbus:11!no-handler term:11 "
	       "freed:12=left");
	after(20 * MSEC);
	expect("+scan");
	/* 10 let go and lives on, 11 has gone. */
	scanned(both + 1, 2, LIVE);
	expect("freed:10=unmapped");
	dg_incident_exited(&world.incident, both[1].process, world.now, &world.effects);
	expect("freed:11=exited >settling +sync +scan");
}

static void the_stubborn_are_killed(void **state)
{
	struct dg_holder one[] = {mapper(10, true)};
	char *at;

	to_scanning();
	scanned(one, 1, LIVE);
	expect(">acting holder:10 sigbus:10");
	for (unsigned i = 0; i < 700 && world.incident.state == DG_STATE_ACTING; i++) {
		after(10 * MSEC);
		if (world.incident.running & (1U << DG_JOB_SCAN))
			scanned(one, 1, LIVE);
	}
	at = strstr(world.log, "term:10");
	assert_non_null(at);
	at = strstr(at, "kill:10");
	assert_non_null(at);
	assert_non_null(strstr(at, "freed:10=survived"));
	assert_null(strstr(world.log, "sigbus"));
	assert_int_equal(world.incident.state, DG_STATE_SETTLING);
	/* 2 s, 3 s and the kernel's one, not much more. */
	assert_true(world.now - BEGIN >= 6 * SEC && world.now - BEGIN < 7 * SEC);
}

/* A pidfd is kept of those who are asked: noted anew before it is asked. */
static void who_was_left_maps(void **state)
{
	struct dg_holder one[] = {opener(12)};

	to_scanning();
	scanned(one, 1, LIVE);
	expect(">acting holder:12 freed:12=left >settling +sync +scan");
	one[0].counts[DG_USE_MAPPED] = 1;
	scanned(one, 1, LIVE);
	ok(DG_JOB_SYNC);
	expect("holder:12 >acting sigbus:12!no-handler term:12");
}

/* It let go within its grace, but nobody could look: it is not killed. */
static void nobody_is_killed_blindly(void **state)
{
	struct dg_holder one[] = {mapper(10, true)};

	to_scanning();
	scanned(one, 1, LIVE);
	expect(">acting holder:10 sigbus:10");
	for (unsigned i = 0; i < 4000 && world.incident.state == DG_STATE_ACTING; i++) {
		after(5 * MSEC);
		ended(DG_JOB_SCAN, DG_JOB_FAILED);
		ended(DG_JOB_PROCSCAN, DG_JOB_FAILED);
		world.log[0] = i > 2700 ? world.log[0] : '\0';
		assert_null(strstr(world.log, "term"));
		assert_null(strstr(world.log, "kill"));
	}
	assert_non_null(strstr(world.log, "freed:10=unseen >settling"));
	assert_true(world.now < world.incident.deadline_us - 5 * SEC);
}

static void a_look_before_the_next_rung(void **state)
{
	struct dg_holder one[] = {mapper(10, true)};

	to_scanning();
	scanned(one, 1, LIVE);
	while (world.now < BEGIN + 2 * SEC - 10 * MSEC) {
		after(10 * MSEC);
		if (world.incident.running & (1U << DG_JOB_SCAN))
			scanned(one, 1, LIVE);
	}
	world.log[0] = '\0';
	after(20 * MSEC);
	expect("+scan");
	scanned(NULL, 0, LIVE);
	expect("freed:10=unmapped >settling +sync +scan");
}

static void scans_slow_down(void **state)
{
	struct dg_holder one[] = {mapper(10, true)};
	unsigned scans = 0;

	to_scanning();
	scanned(one, 1, LIVE);
	for (unsigned i = 0; i < 190; i++) {
		after(10 * MSEC);
		if (world.incident.running & (1U << DG_JOB_SCAN)) {
			scans++;
			scanned(one, 1, LIVE);
		}
	}
	assert_in_range(scans, 5, 11);
}

/* Of the time no more than half is spent looking, however long a look takes. */
static void slow_scans_pause(void **state)
{
	struct dg_holder one[] = {mapper(10, true)};

	to_scanning();
	scanned(one, 1, LIVE);
	after(10 * MSEC);
	after(100 * MSEC);
	scanned(one, 1, LIVE);
	world.log[0] = '\0';
	after(90 * MSEC);
	expect("");
	after(20 * MSEC);
	expect("+scan");
}

static void new_holders_after_settling(void **state)
{
	struct dg_holder one[] = {mapper(10, false)};

	to_scanning();
	scanned(NULL, 0, LIVE);
	expect(">acting >settling +sync +scan");
	scanned(one, 1, LIVE);
	ok(DG_JOB_SYNC);
	expect("holder:10 >acting sigbus:10!no-handler term:10");
	assert_int_equal(world.incident.n_rounds, 1);
}

/* Each look finds another one: the end of the time is for the file system. */
static void newcomers_do_not_use_up_the_time(void **state)
{
	struct dg_holder one[] = {mapper(100, false)};

	to_scanning();
	scanned(one, 1, LIVE);
	for (unsigned i = 0; i < 2500 && world.incident.state == DG_STATE_ACTING; i++) {
		world.log[0] = '\0';
		after(10 * MSEC);
		if (!(world.incident.running & (1U << DG_JOB_SCAN)))
			continue;
		one[0] = mapper(one[0].process.pid + 1, false);
		scanned(one, 1, LIVE);
	}
	assert_int_equal(world.incident.state, DG_STATE_SETTLING);
	assert_true(world.now <= BEGIN + 18 * SEC);
	ok(DG_JOB_SYNC);
	ok(DG_JOB_SCAN);
	ended(DG_JOB_UNMOUNT, DG_JOB_FAILED);
	ok(DG_JOB_SYNC);
	scanned(one, 1, LIVE);
	ok(DG_JOB_SHUTDOWN);
	ok(DG_JOB_DETACH);
	world.log[0] = '\0';
	scanned(one, 1, LIVE);
	expect("mark=still-mapped mark=released release");
	answered(0);
	kernel_done(DG_RESULT_RELEASED, DG_REVOKE_CLEAN);
	assert_non_null(strstr(world.log, "=unfinished end:done=still-mapped"));
}

static void a_mapper_that_slipped_in_while_unmounting(void **state)
{
	struct dg_holder one[] = {mapper(10, false)};

	to_unmounting();
	ended(DG_JOB_UNMOUNT, DG_JOB_FAILED);
	ok(DG_JOB_SYNC);
	scanned(one, 1, LIVE);
	expect("+sync +scan holder:10 >acting sigbus:10!no-handler term:10");
}

static void who_cannot_be_ended_still_maps(void **state)
{
	struct dg_holder one[] = {mapper(1, false)};

	one[0].exempt = DG_EXEMPT_INIT;
	to_scanning();
	scanned(one, 1, LIVE);
	scanned(one, 1, LIVE);
	ok(DG_JOB_SYNC);
	ended(DG_JOB_UNMOUNT, DG_JOB_FAILED);
	scanned(one, 1, LIVE);
	ok(DG_JOB_SYNC);
	ok(DG_JOB_SHUTDOWN);
	ok(DG_JOB_DETACH);
	world.log[0] = '\0';
	scanned(one, 1, 0);
	expect("mark=still-mapped mark=released release");
	answered(0);
	kernel_done(DG_RESULT_RELEASED, DG_REVOKE_PINNED);
	expect(">acked cancel end:done=pages-pinned");
}

static void our_own_steps_are_nobody(void **state)
{
	struct dg_holder one[] = {opener(10)};

	one[0].exempt = DG_EXEMPT_STEP;
	to_unmounting();
	ended(DG_JOB_UNMOUNT, DG_JOB_FAILED);
	ok(DG_JOB_SYNC);
	scanned(one, 1, LIVE);
	expect("+sync +scan");
	after(50 * MSEC);
	expect("+unmount");
}

static void past_the_cut(void **state)
{
	struct dg_holder one[] = {mapper(10, true)};

	to_scanning();
	seen(5000);
	scanned(one, 1, LIVE);
	expect(">acting holder:10 note kill:10");
}

#define CROWD 2000
static struct dg_holder crowd[CROWD];

/* How often an effect of this kind comes until nothing is due; a turn is a short one. */
static size_t turns(enum dg_effect_kind kind)
{
	size_t n = 0;

	for (unsigned turn = 0; world.incident.wake_us <= world.now; turn++) {
		assert_true(turn < 200);
		dg_incident_timer(&world.incident, world.now, &world.effects);
		assert_in_range(world.effects.n_items, 0, DG_EFFECTS_MANY + 8);
		for (size_t i = 0; i < world.effects.n_items; i++)
			n += world.effects.items[i].kind == kind;
		world.effects.n_items = 0;
	}
	return n;
}

static void a_crowd_acted(bool catches)
{
	for (size_t i = 0; i < CROWD; i++)
		crowd[i] = mapper(100 + (pid_t)i, catches);
	to_scanning();
	scanned(crowd, CROWD, LIVE);
	turns(DG_EFFECT_DEED);
	world.log[0] = '\0';
}

/* More holders than a turn takes: all of them, in pieces. */
static void a_crowd(void **state)
{
	a_crowd_acted(false);
	for (size_t i = 0; i < CROWD; i++)
		assert_int_equal(world.incident.plan.entries[i].rung, 2);
}

/* He says that he has let go: it is looked at once, and believed if it is so. */
static void who_says_so_is_looked_at(void **state)
{
	struct dg_holder one[] = {mapper(10, true)};

	dg_incident_look_soon(&world.incident, world.now);
	to_scanning();
	scanned(one, 1, LIVE);
	expect(">acting holder:10 sigbus:10");
	for (unsigned i = 0; i < 6; i++) {
		after(500 * MSEC / (i > 3 ? 2 : 32));
		scanned(one, 1, LIVE);
	}
	world.log[0] = '\0';
	after(1);
	expect("");
	dg_incident_look_soon(&world.incident, world.now);
	after(0);
	expect("+scan");
	scanned(one, 1, LIVE);
	expect("");
	dg_incident_look_soon(&world.incident, world.now);
	after(0);
	scanned(NULL, 0, LIVE);
	expect("+scan freed:10=unmapped >settling +sync +scan");
}

/* All of a crowd let go at once: each is noted before it goes on. */
static void a_crowd_that_lets_go(void **state)
{
	a_crowd_acted(true);
	after(20 * MSEC);
	scanned(NULL, 0, LIVE);
	assert_int_equal(world.incident.state, DG_STATE_ACTING);
	assert_int_equal(turns(DG_EFFECT_FREED), CROWD - DG_EFFECTS_MANY);
	assert_int_equal(world.incident.state, DG_STATE_SETTLING);
}

/* So is a crowd that is found at the very end. */
static void a_crowd_while_verifying(void **state)
{
	to_unmounting();
	ok(DG_JOB_UNMOUNT);
	for (size_t i = 0; i < CROWD; i++)
		crowd[i] = opener(100 + (pid_t)i);
	scanned(crowd, CROWD, 0);
	assert_int_equal(world.incident.state, DG_STATE_VERIFYING);
	assert_int_equal(turns(DG_EFFECT_HOLDER), CROWD - DG_EFFECTS_MANY);
	assert_true(world.incident.asked);
}

/* The hold is over while they climb: nobody's end is left out. */
static void a_crowd_at_the_end(void **state)
{
	a_crowd_acted(true);
	dg_incident_gone(&world.incident, world.now, &world.effects);
	for (size_t i = 0; i < CROWD; i++)
		assert_string_equal(dg_incident_end_of(&world.incident, i), "unfinished");
	assert_null(dg_incident_end_of(&world.incident, 0));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WORLD_TEST(everybody_gets_his_ladder),
		WORLD_TEST(the_stubborn_are_killed),
		WORLD_TEST(who_was_left_maps),
		WORLD_TEST(nobody_is_killed_blindly),
		WORLD_TEST(a_look_before_the_next_rung),
		WORLD_TEST(scans_slow_down),
		WORLD_TEST(slow_scans_pause),
		WORLD_TEST(who_says_so_is_looked_at),
		WORLD_TEST(new_holders_after_settling),
		WORLD_TEST(newcomers_do_not_use_up_the_time),
		WORLD_TEST(a_mapper_that_slipped_in_while_unmounting),
		WORLD_TEST(who_cannot_be_ended_still_maps),
		WORLD_TEST(our_own_steps_are_nobody),
		WORLD_TEST(past_the_cut),
		WORLD_TEST(a_crowd),
		WORLD_TEST(a_crowd_that_lets_go),
		WORLD_TEST(a_crowd_while_verifying),
		WORLD_TEST(a_crowd_at_the_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
