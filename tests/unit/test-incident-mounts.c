/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The mounts: unmounted, detached, or what keeps them. */
#include "incident-world.h"

#define PATHLESS DG_FS_LIVE

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

int main(void)
{
	const struct CMUnitTest tests[] = {
		WORLD_TEST(what_has_no_path_is_synced_by_the_kernel),
		WORLD_TEST(a_lazily_unmounted_one_has_no_path_either),
		WORLD_TEST(the_kernel_is_closing_files_still),
		WORLD_TEST(who_passes_by_is_waited_for),
		WORLD_TEST(who_was_left_is_detached_under),
		WORLD_TEST(a_detached_mount_that_is_kept_alive),
		WORLD_TEST(locked_mounts_are_not_waited_for),
		WORLD_TEST(kernel_users_are_tried_a_few_times),
		WORLD_TEST(a_kernel_user_that_goes_is_not_told),
		WORLD_TEST(an_unmount_that_hangs),
		WORLD_TEST(somebody_mounts_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
