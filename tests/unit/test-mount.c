/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "core/mount.h"

#include "test.h"

#define RECORDS(text) text, sizeof(text) - 1

static void mounts_and_why_they_stay(void **state)
{
	struct dg_mount_list list;

	assert_int_equal(
		dg_mount_list_read(
			RECORDS("DEV=259:0\0TYPE=ext4\0PATH=/a\nb\0NS=4026531840\0PID=1\0HOST=1\0"
				"LOCKED=0\0RESULT=ok\0\0"
				"PATH=/c\0NS=2\0PID=17\0HOST=0\0LOCKED=1\0RESULT=locked\0\0"
				"PATH=/d\0RESULT=overmounted\0\0PATH=/e\0RESULT=busy\0\0"
				"PATH=/f\0RESULT=detached\0\0PATH=/g\0RESULT=EIO\0PID=-1\0\0"
				"PATH=/h\0\0NOTHING=1\0\0"),
			&list),
		0);
	assert_int_equal(list.n_items, 7);
	assert_string_equal(list.items[0].path, "/a\nb");
	assert_int_equal(list.items[0].ns, 4026531840);
	assert_true(list.items[0].host);
	assert_int_equal(list.items[0].pid, 1);
	assert_int_equal(list.items[1].pid, 17);
	assert_true(list.items[1].locked);
	assert_int_equal(list.items[5].pid, 0);
	assert_string_equal(list.items[6].result, "");
	assert_int_equal(list.n_locked, 1);
	assert_int_equal(list.n_covered, 1);
	assert_int_equal(list.n_failed, 4);
	dg_mount_list_done(&list);
}

static void users_that_are_no_process(void **state)
{
	struct dg_mount_list list;

	assert_int_equal(
		dg_mount_list_read(RECORDS("KERNEL=loop\0NAME=/dev/loop0\0PATH=/mnt/image\0\0"
					   "KERNEL=swap\0PATH=/mnt/swap\0\0SYSTEM=/usr\0\0"),
				   &list),
		0);
	assert_int_equal(list.n_items, 0);
	assert_int_equal(list.n_kernel, 2);
	assert_string_equal(list.kernel[0].kind, "loop");
	assert_string_equal(list.kernel[0].name, "/dev/loop0");
	assert_string_equal(list.kernel[0].path, "/mnt/image");
	assert_string_equal(list.kernel[1].name, "");
	assert_int_equal(list.n_system, 1);
	assert_string_equal(list.system[0], "/usr");
	dg_mount_list_done(&list);
}

static void half_a_record(void **state)
{
	struct dg_mount_list list = {.n_items = 5};

	assert_int_equal(dg_mount_list_read(RECORDS("PATH=/a\0\0PATH=/b\0"), &list), -EBADMSG);
	assert_int_equal(list.n_items, 5);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(mounts_and_why_they_stay),
		cmocka_unit_test(users_that_are_no_process),
		cmocka_unit_test(half_a_record),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
