/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A removal that is asked for in user space: the same way, without the kernel. */
#include "incident-world.h"

static int setup(void **state)
{
	world_setup(state);
	world.request.by_user = true;
	world.request.deadline_ms = 3600000;
	world_init();
	return 0;
}
#define REMOVAL_TEST(name) cmocka_unit_test_setup_teardown(name, setup, world_teardown)

static void force(void)
{
	world.request.forced = true;
	world_init();
}

static void to_first_scan(void)
{
	world_start(NULL);
	expect(">announced >syncing +sync +mounts +protected");
	mounts(DG_JOB_MOUNTS, 0, 0, 0);
	ok(DG_JOB_MOUNTS);
	ok(DG_JOB_PROTECTED);
	ok(DG_JOB_SYNC);
	expect(">scanning +scan");
}

/* Nobody is there, and it was unmounted. */
static void to_last_scan(uint32_t fs_flags)
{
	to_first_scan();
	scanned(NULL, 0, fs_flags);
	scanned(NULL, 0, fs_flags);
	ok(DG_JOB_SYNC);
	ok(DG_JOB_UNMOUNT);
	world.log[0] = '\0';
}

/* With one who stays, to the first failed unmount. */
static void to_busy(const struct dg_holder *one)
{
	to_first_scan();
	scanned(one, 1, LIVE);
	ok(DG_JOB_SYNC);
	scanned(one, 1, LIVE);
	ended(DG_JOB_UNMOUNT, DG_JOB_FAILED);
	world.log[0] = '\0';
}

/* Until it does something else. */
static void try_all_unmounts(const struct dg_holder *one)
{
	for (unsigned n = 0; n < 20 && world.incident.state == DG_STATE_UNMOUNTING &&
			     (world.incident.running & (1U << DG_JOB_SCAN));
	     n++) {
		ok(DG_JOB_SYNC);
		scanned(one, 1, LIVE);
		after(50 * MSEC);
		if (world.incident.running & (1U << DG_JOB_UNMOUNT))
			ended(DG_JOB_UNMOUNT, DG_JOB_FAILED);
	}
	world.log[0] = '\0';
}

static void nobody_there(void **state)
{
	to_first_scan();
	scanned(NULL, 0, LIVE);
	expect(">acting >settling +sync +scan");
	scanned(NULL, 0, LIVE);
	ok(DG_JOB_SYNC);
	expect(">unmounting +claim +unmount");
	ok(DG_JOB_UNMOUNT);
	expect(">verifying +scan");
	scanned(NULL, 0, 0);
	expect(">unbinding +unbind");
	ok(DG_JOB_UNBIND);
	expect("cancel end:done=clean");
	assert_int_equal(dg_result(DG_STATE_DONE, world.incident.marks, NULL), DG_RESULT_NONE);
	after(7200 * SEC);
	expect("");
}

static void a_ladder_has_its_whole_graces(void **state)
{
	struct dg_holder one[] = {mapper(10, true)};

	to_first_scan();
	scanned(one, 1, LIVE);
	/* Nobody but the module can send it, and only for what it holds. */
	expect(">acting holder:10 sigbus:10!not-held term:10");
	assert_int_equal(world.incident.plan.entries[0].permille, 1000);
}

static void it_cannot_be_unbound(void **state)
{
	to_last_scan(LIVE);
	scanned(NULL, 0, 0);
	world.log[0] = '\0';
	ended(DG_JOB_UNBIND, DG_JOB_FAILED);
	expect("mark=unbind-failed cancel end:stayed=unbind-failed");
}

static void who_stays_keeps_what_he_has(void **state)
{
	struct dg_holder one[] = {opener(10)};

	to_busy(one);
	try_all_unmounts(one);
	assert_int_equal(world.incident.state, DG_STATE_VERIFYING);
	scanned(one, 1, LIVE);
	expect("mark=busy cancel end:stayed=busy");
	assert_int_equal(world.incident.marks & (1U << DG_MARK_DETACHED), 0);
}

static void forced_under_who_stays(void **state)
{
	struct dg_holder one[] = {opener(10)};

	force();
	to_busy(one);
	try_all_unmounts(one);
	ok(DG_JOB_SHUTDOWN);
	ok(DG_JOB_DETACH);
	world.log[0] = '\0';
	scanned(one, 1, LIVE);
	expect(">unbinding +unbind");
	ok(DG_JOB_UNBIND);
	assert_non_null(strstr(world.log, "end:done=detached-pinned"));
}

static void its_rule_keeps_it(void **state)
{
	struct dg_holder one[] = {opener(10)};

	force();
	world_start(NULL);
	world.incident.on_busy = DG_ON_BUSY_KEEP;
	mounts(DG_JOB_MOUNTS, 0, 0, 0);
	ok(DG_JOB_MOUNTS);
	ok(DG_JOB_PROTECTED);
	ok(DG_JOB_SYNC);
	scanned(one, 1, LIVE);
	ok(DG_JOB_SYNC);
	scanned(one, 1, LIVE);
	ended(DG_JOB_UNMOUNT, DG_JOB_FAILED);
	try_all_unmounts(one);
	scanned(one, 1, LIVE);
	expect("mark=kept cancel end:stayed=kept");
}

static void a_survivor(void **state)
{
	struct dg_holder one[] = {mapper(10, false)};

	one[0].exempt = DG_EXEMPT_SERVICE;
	to_busy(one);
	try_all_unmounts(one);
	scanned(one, 1, LIVE);
	assert_non_null(strstr(world.log, "end:stayed=still-mapped"));
}

static void a_system_device(void **state)
{
	world_start(NULL);
	mounts(DG_JOB_MOUNTS, 1, 0, 0);
	ok(DG_JOB_MOUNTS);
	ok(DG_JOB_PROTECTED);
	ok(DG_JOB_SYNC);
	world.log[0] = '\0';
	scanned((struct dg_holder[]){mapper(10, true)}, 1, LIVE);
	expect("end:stayed=system-device");
}

static void mounts_of_system(const char *why)
{
	struct dg_mount one = {.path = "/mnt", .type = "", .result = ""};
	const char *reasons[] = {why};
	struct dg_mount_list list = {.items = &one, .n_items = 1, .n_system = 1};

	list.system = reasons;
	dg_incident_mounts(&world.incident, DG_JOB_MOUNTS, &list, &world.effects);
	ok(DG_JOB_MOUNTS);
	ok(DG_JOB_PROTECTED);
	ok(DG_JOB_SYNC);
}

static void forced_under_a_part_of_the_system(void **state)
{
	force();
	world_start(NULL);
	mounts_of_system("/var");
	assert_int_equal(world.incident.state, DG_STATE_SCANNING);
}

static void never_under_the_root(void **state)
{
	force();
	world_start(NULL);
	mounts_of_system("/");
	assert_int_equal(world.incident.state, DG_STATE_VERIFYING);
	world.log[0] = '\0';
	scanned(NULL, 0, LIVE);
	expect("end:stayed=system-device");
}

static void who_uses_it_cannot_be_told(void **state)
{
	world.target.mode = DG_MODE_DEVDAX;
	world_init();
	world_start(NULL);
	ok(DG_JOB_PROTECTED);
	world.log[0] = '\0';
	ended(DG_JOB_SCAN, DG_JOB_FAILED);
	expect("mark=scan-failed >unmounting >verifying +scan");
	ended(DG_JOB_SCAN, DG_JOB_FAILED);
	expect("end:stayed=scan-failed");
}

/* Without the module: what was unmounted everywhere is nobody's any more. */
static void by_proc_alone(void **state)
{
	to_first_scan();
	ended(DG_JOB_SCAN, DG_JOB_FAILED);
	scanned_by(DG_JOB_PROCSCAN, NULL, 0, NO_FS, false);
	ok(DG_JOB_SYNC);
	scanned_by(DG_JOB_PROCSCAN, NULL, 0, NO_FS, false);
	ok(DG_JOB_UNMOUNT);
	ended(DG_JOB_SCAN, DG_JOB_FAILED);
	world.log[0] = '\0';
	scanned_by(DG_JOB_PROCSCAN, NULL, 0, NO_FS, false);
	expect(">unbinding +unbind");
}

static void the_kernel_uses_it(void **state)
{
	struct dg_holder dm[] = {{.counts[DG_USE_KERNEL] = 1, .comm = "dm"}};

	to_first_scan();
	scanned(dm, 1, 0);
	ok(DG_JOB_SYNC);
	scanned(dm, 1, 0);
	ok(DG_JOB_UNMOUNT);
	world.log[0] = '\0';
	scanned(dm, 1, 0);
	expect("mark=pinned-by-kernel cancel end:stayed=pinned-by-kernel");
}

static void nothing_of_a_hold_is_done(void **state)
{
	to_last_scan(DG_FS_LIVE);
	scanned(NULL, 0, DG_FS_LIVE);
	expect("mark=busy cancel end:stayed=busy");
}

static void the_daemon_is_told_to_stop(void **state)
{
	to_first_scan();
	dg_incident_gone(&world.incident, world.now, &world.effects);
	expect("cancel end:abandoned=abandoned");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		REMOVAL_TEST(nobody_there),
		REMOVAL_TEST(a_ladder_has_its_whole_graces),
		REMOVAL_TEST(it_cannot_be_unbound),
		REMOVAL_TEST(who_stays_keeps_what_he_has),
		REMOVAL_TEST(forced_under_who_stays),
		REMOVAL_TEST(its_rule_keeps_it),
		REMOVAL_TEST(a_survivor),
		REMOVAL_TEST(a_system_device),
		REMOVAL_TEST(forced_under_a_part_of_the_system),
		REMOVAL_TEST(never_under_the_root),
		REMOVAL_TEST(who_uses_it_cannot_be_told),
		REMOVAL_TEST(by_proc_alone),
		REMOVAL_TEST(the_kernel_uses_it),
		REMOVAL_TEST(nothing_of_a_hold_is_done),
		REMOVAL_TEST(the_daemon_is_told_to_stop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
