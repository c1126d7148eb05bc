/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The way from the announcement to the end, and what makes it another. */
#include "incident-world.h"

static void nobody_there(void **state)
{
	world_start(NULL);
	expect(">announced take");
	answered(0);
	expect("pending");
	seen(20000);
	expect(">syncing +sync +mounts +protected");
	mounts(DG_JOB_MOUNTS, 0, 0, 0);
	ok(DG_JOB_MOUNTS);
	ok(DG_JOB_PROTECTED);
	expect("");
	ok(DG_JOB_SYNC);
	expect(">scanning +scan");
	scanned(NULL, 0, LIVE);
	expect(">acting >settling +sync +scan");
	scanned(NULL, 0, LIVE);
	ok(DG_JOB_SYNC);
	expect(">unmounting +claim +unmount");
	ok(DG_JOB_UNMOUNT);
	expect(">verifying +scan");
	scanned(NULL, 0, 0);
	expect("ack");
	answered(0);
	expect("mark=acked >acked");
	kernel_done(DG_RESULT_ACKED, DG_REVOKE_CLEAN);
	expect("cancel end:done=clean");
	assert_int_equal(world.incident.wake_us, UINT64_MAX);
}

static void the_deadline_is_asked_for_after_take(void **state)
{
	world_start(NULL);
	answered(0);
	expect(">announced take pending");
	/* No answer: the one of the event holds. */
	after(100 * MSEC);
	expect(">syncing +sync +mounts +protected");
	seen(5000);
	assert_int_equal(world.incident.deadline_us, world.now + 5 * SEC);
}

static void take_is_tried_again(void **state)
{
	world_start(NULL);
	answered(-EACCES);
	expect(">announced take");
	after(499 * MSEC);
	expect("");
	after(MSEC);
	expect("take");
	answered(0);
	expect("pending");
}

static void a_system_device_is_let_alone(void **state)
{
	world_start(NULL);
	answered(0);
	seen(20000);
	expect(">announced take pending >syncing +sync +mounts +protected");
	mounts(DG_JOB_MOUNTS, 1, 0, 0);
	ok(DG_JOB_MOUNTS);
	ok(DG_JOB_PROTECTED);
	ok(DG_JOB_SYNC);
	expect("mark=system-device >verifying +scan");
	scanned((struct dg_holder[]){mapper(10, true)}, 1, LIVE);
	expect("mark=released release");
	answered(0);
	kernel_done(DG_RESULT_RELEASED, DG_REVOKE_CLEAN);
	expect(">acked end:done=system-device");
}

static void unknown_mounts_signal_nobody(void **state)
{
	world_start(NULL);
	answered(0);
	seen(20000);
	ok(DG_JOB_PROTECTED);
	ended(DG_JOB_SYNC, DG_JOB_TIMEOUT);
	world.log[0] = '\0';
	ended(DG_JOB_MOUNTS, DG_JOB_FAILED);
	expect("+mounts");
	ended(DG_JOB_MOUNTS, DG_JOB_TIMEOUT);
	expect("mark=mounts-unknown mark=sync-failed >verifying +scan");
	scanned((struct dg_holder[]){mapper(10, true)}, 1, LIVE);
	expect("mark=released release");
	answered(0);
	kernel_done(DG_RESULT_RELEASED, DG_REVOKE_CLEAN);
	expect(">acked end:done=mounts-unknown");
}

static void unknown_services_signal_nobody(void **state)
{
	world_start(NULL);
	answered(0);
	seen(20000);
	mounts(DG_JOB_MOUNTS, 0, 0, 0);
	ok(DG_JOB_MOUNTS);
	ok(DG_JOB_SYNC);
	world.log[0] = '\0';
	ended(DG_JOB_PROTECTED, DG_JOB_FAILED);
	expect("+protected");
	ended(DG_JOB_PROTECTED, DG_JOB_TIMEOUT);
	expect("mark=protected-unknown >verifying +scan");
	scanned((struct dg_holder[]){mapper(10, true)}, 1, LIVE);
	expect("mark=released release");
	answered(0);
	kernel_done(DG_RESULT_RELEASED, DG_REVOKE_CLEAN);
	expect(">acked end:done=protected-unknown");
}

static void character_devices_have_no_file_system(void **state)
{
	world.target.mode = DG_MODE_DEVDAX;
	world_init();
	world_start(NULL);
	answered(0);
	seen(20000);
	expect(">announced take pending >syncing +protected");
	ok(DG_JOB_PROTECTED);
	scanned(NULL, 0, 0);
	expect(">scanning +scan >acting >settling +scan");
	scanned(NULL, 0, 0);
	expect(">unmounting >verifying +scan");
	scanned(NULL, 0, 0);
	expect("ack");
}

static void surprise_is_not_synced(void **state)
{
	world.request.surprise = true;
	world_init();
	world_start(NULL);
	answered(0);
	seen(20000);
	expect(">announced take pending >syncing +mounts +protected");
}

static void without_the_modules_scan(void **state)
{
	struct dg_holder one[] = {mapper(10, false)};

	to_scanning();
	ended(DG_JOB_SCAN, DG_JOB_FAILED);
	expect("+procscan");
	scanned_by(DG_JOB_PROCSCAN, one, 1, NO_FS, false);
	expect(">acting holder:10 sigbus:10!no-handler term:10");
	after(20 * MSEC);
	expect("+procscan");
}

static void without_any_scan(void **state)
{
	to_scanning();
	ended(DG_JOB_SCAN, DG_JOB_TIMEOUT);
	ended(DG_JOB_PROCSCAN, DG_JOB_FAILED);
	expect("+procscan mark=scan-failed >unmounting +claim +unmount");
	ok(DG_JOB_UNMOUNT);
	expect(">verifying +scan");
	ended(DG_JOB_SCAN, DG_JOB_FAILED);
	ended(DG_JOB_PROCSCAN, DG_JOB_FAILED);
	expect("+procscan ack");
}

/* The machine was busy when they were looked for: they are who keeps it busy. */
static void without_the_first_scan(void **state)
{
	struct dg_holder one[] = {mapper(10, false)};

	to_scanning();
	ended(DG_JOB_SCAN, DG_JOB_TIMEOUT);
	ended(DG_JOB_PROCSCAN, DG_JOB_TIMEOUT);
	expect("+procscan mark=scan-failed >unmounting +claim +unmount");
	ended(DG_JOB_UNMOUNT, DG_JOB_FAILED);
	expect("+sync +scan");
	scanned(one, 1, LIVE);
	ok(DG_JOB_SYNC);
	expect("holder:10 >acting sigbus:10!no-handler term:10");
}

/* Nor by the second: the time is for the data. */
static void without_two_scans(void **state)
{
	to_scanning();
	ended(DG_JOB_SCAN, DG_JOB_TIMEOUT);
	ended(DG_JOB_PROCSCAN, DG_JOB_TIMEOUT);
	ended(DG_JOB_UNMOUNT, DG_JOB_FAILED);
	ended(DG_JOB_SCAN, DG_JOB_TIMEOUT);
	ended(DG_JOB_PROCSCAN, DG_JOB_TIMEOUT);
	ok(DG_JOB_SYNC);
	after(50 * MSEC);
	world.log[0] = '\0';
	ended(DG_JOB_UNMOUNT, DG_JOB_FAILED);
	expect("+sync");
}

static void a_refused_ack(void **state)
{
	unsigned refused = 0;

	to_unmounting();
	ok(DG_JOB_UNMOUNT);
	scanned(NULL, 0, DG_FS_UNKNOWN);
	expect(">verifying +scan ack");
	while (!strstr(world.log, "release")) {
		assert_true(refused++ < 20);
		answered(-EBUSY);
		after(50 * MSEC);
		if (world.incident.running)
			scanned(NULL, 0, DG_FS_UNKNOWN);
	}
	assert_non_null(strstr(world.log, "mark=pinned-by-kernel mark=released release"));
	world.log[0] = '\0';
	answered(0);
	expect(">acked");
}

static void too_late(void **state)
{
	to_unmounting();
	kernel_done(DG_RESULT_TIMEOUT, DG_REVOKE_CLEAN);
	expect("cancel end:expired=expired");
	/* What comes now changes nothing. */
	ok(DG_JOB_UNMOUNT);
	answered(0);
	seen(1000);
	kernel_done(DG_RESULT_ACKED, DG_REVOKE_CLEAN);
	dg_incident_gone(&world.incident, world.now, &world.effects);
	after(60 * SEC);
	expect("");
}

static void the_ack_crosses_the_end(void **state)
{
	to_unmounting();
	ok(DG_JOB_UNMOUNT);
	scanned(NULL, 0, 0);
	answered(-ENOENT);
	expect(">verifying +scan ack >revoking");
	kernel_done(DG_RESULT_KILLED, DG_REVOKE_CLEAN);
	expect("cancel end:expired=expired");
}

static void a_done_that_was_lost(void **state)
{
	to_unmounting();
	ok(DG_JOB_UNMOUNT);
	scanned(NULL, 0, 0);
	answered(0);
	expect(">verifying +scan ack mark=acked >acked");
	after(SEC);
	expect("pending");
	dg_incident_gone(&world.incident, world.now, &world.effects);
	expect("cancel end:done=clean");
	assert_int_equal(dg_result(DG_STATE_DONE, world.incident.marks, NULL), DG_RESULT_ACKED);
	assert_int_equal(dg_result(DG_STATE_ABANDONED, world.incident.marks, NULL), DG_RESULT_NONE);
}

static void the_kernel_forgot_it(void **state)
{
	to_unmounting();
	dg_incident_gone(&world.incident, world.now, &world.effects);
	expect("cancel end:abandoned=abandoned");
}

static void after_the_deadline_the_kernel_is_asked(void **state)
{
	to_unmounting();
	after(23 * SEC);
	expect("pending pending");
}

static void a_long_revoke_is_no_fault_of_ours(void **state)
{
	struct dg_request revoking = world.request;

	to_unmounting();
	assert_false(dg_incident_is_stuck(&world.incident, BEGIN + 34 * SEC));
	assert_true(dg_incident_is_stuck(&world.incident, BEGIN + 36 * SEC));
	revoking.state = DG_KSTATE_REVOKING;
	dg_incident_seen(&world.incident, &revoking, BEGIN + 22 * SEC);
	assert_false(dg_incident_is_stuck(&world.incident, BEGIN + 60 * SEC));
}

/* Any input in any state: no crash, and time goes on. */
static void senseless_inputs(void **state)
{
	struct dg_holder one[] = {mapper(10, true)};
	unsigned seed = 1;

	for (unsigned round = 0; round < 2000; round++) {
		world_teardown(NULL);
		world_setup(NULL);
		world_start(NULL);
		for (unsigned i = 0; i < 60; i++) {
			seed = seed * 1103515245 + 12345;
			switch ((seed >> 16) % 10) {
			case 0:
			case 1:
			case 2:
				ended((seed >> 20) % (_DG_JOB_MAX + 1), (seed >> 24) % 3);
				break;
			case 3:
				scanned(one, (seed >> 20) & 1, (seed >> 24) & 0x7f);
				break;
			case 4:
				scanned_by(DG_JOB_PROCSCAN, one, (seed >> 20) & 1, NO_FS,
					   seed >> 31);
				break;
			case 5:
				mounts((seed >> 20) % _DG_JOB_MAX, (seed >> 24) & 1, seed >> 31, 0);
				break;
			case 6:
				answered((seed >> 20) & 1 ? 0 : -(int)((seed >> 22) % 20));
				break;
			case 7:
				seen((seed >> 18) % 20000);
				break;
			case 8:
				dg_incident_exited(&world.incident, one[0].process, world.now,
						   &world.effects);
				break;
			default:
				after((seed >> 16) % SEC);
			}
			world.log[0] = '\0';
			world.effects.n_items = 0;
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WORLD_TEST(nobody_there),
		WORLD_TEST(the_deadline_is_asked_for_after_take),
		WORLD_TEST(take_is_tried_again),
		WORLD_TEST(a_system_device_is_let_alone),
		WORLD_TEST(unknown_mounts_signal_nobody),
		WORLD_TEST(unknown_services_signal_nobody),
		WORLD_TEST(character_devices_have_no_file_system),
		WORLD_TEST(surprise_is_not_synced),
		WORLD_TEST(without_the_modules_scan),
		WORLD_TEST(without_any_scan),
		WORLD_TEST(without_the_first_scan),
		WORLD_TEST(without_two_scans),
		WORLD_TEST(a_refused_ack),
		WORLD_TEST(too_late),
		WORLD_TEST(the_ack_crosses_the_end),
		WORLD_TEST(a_done_that_was_lost),
		WORLD_TEST(the_kernel_forgot_it),
		WORLD_TEST(after_the_deadline_the_kernel_is_asked),
		WORLD_TEST(a_long_revoke_is_no_fault_of_ours),
		WORLD_TEST(senseless_inputs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
