/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "incident-world.h"

#define LIVE (DG_FS_LIVE | DG_FS_MOUNTED)
#define PATHLESS DG_FS_LIVE

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

static void what_has_no_path_is_synced_by_the_kernel(void **state)
{
	to_scanning();
	scanned(NULL, 0, PATHLESS);
	expect("+kernel-sync >acting >settling +sync +scan");
	ok(DG_JOB_SYNC);
	scanned(NULL, 0, PATHLESS);
	/* In the background: nothing waits for it. */
	expect(">unmounting +claim +unmount");
	ok(DG_JOB_UNMOUNT);
	ok(DG_JOB_KERNEL_SYNC);
	expect(">verifying +scan");
	scanned(NULL, 0, PATHLESS);
	expect("+kernel-shutdown");
	ok(DG_JOB_KERNEL_SHUTDOWN);
	expect("mark=shut-down +scan");
	scanned(NULL, 0, 0);
	expect("ack");
	answered(0);
	kernel_done(DG_RESULT_ACKED, DG_REVOKE_CLEAN);
	expect("mark=acked >acked cancel end:done=shut-down");
}

static void a_lazily_unmounted_one_has_no_path_either(void **state)
{
	struct dg_holder left[] = {opener(12)};

	world_start(NULL);
	answered(0);
	seen(20000);
	no_mounts(DG_JOB_MOUNTS);
	ok(DG_JOB_MOUNTS);
	ok(DG_JOB_PROTECTED);
	ok(DG_JOB_SYNC);
	world.log[0] = '\0';
	/* The kernel still counts the mount. */
	scanned(left, 1, LIVE);
	expect("+kernel-sync >acting holder:12 freed:12=left >settling +sync +scan");
	ok(DG_JOB_KERNEL_SYNC);
	ok(DG_JOB_SYNC);
	scanned(left, 1, LIVE);
	no_mounts(DG_JOB_UNMOUNT);
	ok(DG_JOB_UNMOUNT);
	expect(">unmounting +claim +unmount >verifying +scan");
	scanned(left, 1, LIVE);
	ok(DG_JOB_KERNEL_SHUTDOWN);
	expect("+kernel-shutdown mark=shut-down +scan");
	scanned(left, 1, LIVE);
	expect("mark=released release");
	answered(0);
	kernel_done(DG_RESULT_RELEASED, DG_REVOKE_CLEAN);
	expect(">acked cancel end:done=shut-down");
}

static void the_kernel_is_closing_files_still(void **state)
{
	to_unmounting();
	mounts(DG_JOB_UNMOUNT, 0, 0, 0);
	ended(DG_JOB_UNMOUNT, DG_JOB_FAILED);
	expect("+sync +scan");
	ok(DG_JOB_SYNC);
	scanned(NULL, 0, LIVE);
	expect("");
	after(50 * MSEC);
	expect("+unmount");
	ok(DG_JOB_UNMOUNT);
	expect(">verifying +scan");
}

/* It is busy by them again and again, until it is not tried any more. */
static void busy_by(const struct dg_holder *left, size_t n_left)
{
	for (unsigned n = 1; n <= 3; n++) {
		ended(DG_JOB_UNMOUNT, DG_JOB_FAILED);
		scanned(left, n_left, LIVE);
		ok(DG_JOB_SYNC);
		expect(n < 3 ? "+sync +scan" : "+sync +scan +shutdown");
		if (n == 3)
			break;
		after(50 * MSEC);
		expect("+unmount");
	}
}

static void who_passes_by_is_waited_for(void **state)
{
	struct dg_holder left[] = {opener(12)};

	to_unmounting();
	ended(DG_JOB_UNMOUNT, DG_JOB_FAILED);
	scanned(left, 1, LIVE);
	ok(DG_JOB_SYNC);
	expect("+sync +scan holder:12 freed:12=left");
	after(50 * MSEC);
	ok(DG_JOB_UNMOUNT);
	expect("+unmount >verifying +scan");
	scanned(NULL, 0, 0);
	answered(0);
	kernel_done(DG_RESULT_ACKED, DG_REVOKE_CLEAN);
	expect("ack mark=acked >acked cancel end:done=clean");
}

static void who_was_left_is_detached_under(void **state)
{
	struct dg_holder left[] = {opener(12)};

	to_scanning();
	scanned(left, 1, LIVE);
	expect(">acting holder:12 freed:12=left >settling +sync +scan");
	scanned(left, 1, LIVE);
	ok(DG_JOB_SYNC);
	expect(">unmounting +claim +unmount");
	busy_by(left, 1);
	ok(DG_JOB_SHUTDOWN);
	expect("mark=detached-pinned +detach");
	ok(DG_JOB_DETACH);
	expect(">verifying +scan");
	scanned(left, 1, 0);
	expect("ack");
	answered(0);
	kernel_done(DG_RESULT_ACKED, DG_REVOKE_CLEAN);
	expect("mark=acked >acked cancel end:done=detached-pinned");
}

static void a_detached_mount_that_is_kept_alive(void **state)
{
	struct dg_holder left[] = {opener(12)};

	to_scanning();
	scanned(left, 1, LIVE);
	scanned(left, 1, LIVE);
	ok(DG_JOB_SYNC);
	expect(">acting holder:12 freed:12=left >settling +sync +scan >unmounting +claim +unmount");
	busy_by(left, 1);
	ok(DG_JOB_SHUTDOWN);
	ok(DG_JOB_DETACH);
	expect("mark=detached-pinned +detach >verifying +scan");
	scanned(left, 1, LIVE);
	expect("mark=released release");
	answered(0);
	kernel_done(DG_RESULT_RELEASED, DG_REVOKE_CLEAN);
	expect(">acked cancel end:done=detached-pinned");
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

static void locked_mounts_are_not_waited_for(void **state)
{
	to_unmounting();
	mounts(DG_JOB_UNMOUNT, 0, 1, 1);
	ended(DG_JOB_UNMOUNT, DG_JOB_FAILED);
	expect("+sync +scan");
	ok(DG_JOB_SYNC);
	scanned(NULL, 0, LIVE);
	expect("mark=mount-locked mark=pinned-by-kernel +shutdown");
	ended(DG_JOB_SHUTDOWN, DG_JOB_FAILED);
	mounts(DG_JOB_DETACH, 0, 1, 0);
	ended(DG_JOB_DETACH, DG_JOB_FAILED);
	expect("mark=detached-pinned +detach >verifying +scan");
	/* It is mounted there still; nobody has mounted it anew. */
	scanned(NULL, 0, LIVE);
	answered(0);
	kernel_done(DG_RESULT_RELEASED, DG_REVOKE_CLEAN);
	expect("mark=released release >acked cancel end:done=mount-locked");
}

static void kernel_users_are_tried_a_few_times(void **state)
{
	to_unmounting();
	for (unsigned n = 1; n <= 3; n++) {
		mounts(DG_JOB_UNMOUNT, 0, 0, 1);
		ended(DG_JOB_UNMOUNT, DG_JOB_FAILED);
		expect("+sync +scan");
		ok(DG_JOB_SYNC);
		scanned(NULL, 0, LIVE);
		if (n == 3)
			break;
		expect("");
		after(50 * MSEC);
		expect("+unmount");
	}
	expect("mark=pinned-by-kernel +shutdown");
}

static void a_kernel_user_that_goes_is_not_told(void **state)
{
	to_unmounting();
	mounts(DG_JOB_UNMOUNT, 0, 0, 1);
	ended(DG_JOB_UNMOUNT, DG_JOB_FAILED);
	ok(DG_JOB_SYNC);
	scanned(NULL, 0, LIVE);
	expect("+sync +scan");
	after(50 * MSEC);
	mounts(DG_JOB_UNMOUNT, 0, 0, 0);
	ok(DG_JOB_UNMOUNT);
	expect("+unmount >verifying +scan");
	scanned(NULL, 0, 0);
	answered(0);
	kernel_done(DG_RESULT_ACKED, DG_REVOKE_CLEAN);
	expect("ack mark=acked >acked cancel end:done=clean");
}

static void an_unmount_that_hangs(void **state)
{
	to_unmounting();
	ended(DG_JOB_UNMOUNT, DG_JOB_TIMEOUT);
	expect(">verifying +scan");
	scanned(NULL, 0, DG_FS_LIVE | DG_FS_DYING);
	expect("");
	after(50 * MSEC);
	expect("+scan");
	scanned(NULL, 0, 0);
	expect("ack");
}

static void somebody_mounts_again(void **state)
{
	to_unmounting();
	for (unsigned i = 0; i < 3; i++) {
		ok(DG_JOB_UNMOUNT);
		expect(">verifying +scan");
		scanned(NULL, 0, LIVE);
		expect(">unmounting +unmount");
	}
	ok(DG_JOB_UNMOUNT);
	scanned(NULL, 0, LIVE);
	expect(">verifying +scan mark=busy mark=released release");
	answered(0);
	kernel_done(DG_RESULT_RELEASED, DG_REVOKE_CLEAN);
	expect(">acked cancel end:done=busy");
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
	dg_incident_seen(&world.incident, &revoking, BEGIN + 22 * SEC, &world.effects);
	assert_false(dg_incident_is_stuck(&world.incident, BEGIN + 60 * SEC));
}

static void past_the_cut(void **state)
{
	struct dg_holder one[] = {mapper(10, true)};

	to_scanning();
	seen(5000);
	scanned(one, 1, LIVE);
	expect(">acting holder:10 note kill:10");
}

/* More holders than effects: all of them, in pieces. */
static void a_crowd(void **state)
{
	static struct dg_holder many[2000];
	unsigned turns = 0;

	for (size_t i = 0; i < 2000; i++)
		many[i] = mapper(100 + (pid_t)i, false);
	to_scanning();
	scanned(many, 2000, LIVE);
	while (world.incident.wake_us <= world.now) {
		assert_true(turns++ < 100);
		world.log[0] = '\0';
		dg_incident_timer(&world.incident, world.now, &world.effects);
		world.effects.n_items = 0;
	}
	for (size_t i = 0; i < 2000; i++)
		assert_int_equal(world.incident.plan.entries[i].rung, 2);
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
#define TEST(name) cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)
	const struct CMUnitTest tests[] = {
		TEST(nobody_there),
		TEST(the_deadline_is_asked_for_after_take),
		TEST(take_is_tried_again),
		TEST(everybody_gets_his_ladder),
		TEST(the_stubborn_are_killed),
		TEST(who_was_left_maps),
		TEST(nobody_is_killed_blindly),
		TEST(a_look_before_the_next_rung),
		TEST(scans_slow_down),
		TEST(slow_scans_pause),
		TEST(new_holders_after_settling),
		TEST(newcomers_do_not_use_up_the_time),
		TEST(a_system_device_is_let_alone),
		TEST(unknown_mounts_signal_nobody),
		TEST(unknown_services_signal_nobody),
		TEST(character_devices_have_no_file_system),
		TEST(surprise_is_not_synced),
		TEST(without_the_modules_scan),
		TEST(without_any_scan),
		TEST(what_has_no_path_is_synced_by_the_kernel),
		TEST(a_lazily_unmounted_one_has_no_path_either),
		TEST(the_kernel_is_closing_files_still),
		TEST(who_passes_by_is_waited_for),
		TEST(who_was_left_is_detached_under),
		TEST(a_detached_mount_that_is_kept_alive),
		TEST(a_mapper_that_slipped_in_while_unmounting),
		TEST(locked_mounts_are_not_waited_for),
		TEST(kernel_users_are_tried_a_few_times),
		TEST(a_kernel_user_that_goes_is_not_told),
		TEST(an_unmount_that_hangs),
		TEST(somebody_mounts_again),
		TEST(who_cannot_be_ended_still_maps),
		TEST(our_own_steps_are_nobody),
		TEST(a_refused_ack),
		TEST(too_late),
		TEST(the_ack_crosses_the_end),
		TEST(a_done_that_was_lost),
		TEST(the_kernel_forgot_it),
		TEST(after_the_deadline_the_kernel_is_asked),
		TEST(a_long_revoke_is_no_fault_of_ours),
		TEST(past_the_cut),
		TEST(a_crowd),
		TEST(senseless_inputs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
