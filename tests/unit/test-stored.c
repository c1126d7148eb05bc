/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "core/stored.h"

#include "test.h"

#define RECORDS(text) text, sizeof(text) - 1

static void what_there_is(void **state)
{
	struct dg_stored_list list;

	assert_int_equal(
		dg_stored_list_read(RECORDS("ID=0123abcd-7-12\0STATE=whole\0VERSION=1\0INCIDENT="
					    "7\0TIME_USEC=2000\0"
					    "PID=12\0COMM=a\nb\0UID=0\0UNIT=a.service\0SCOPE="
					    "unit\0RULE=1.policy\0"
					    "RESTORE=1\0BYTES=4096\0DUMP_USEC=5\0CRIU=4.1.1\0"
					    "MOUNT=/mnt/a\0NS_UUID=U\0MOUNT=/mnt/b\0NS_UUID=\0\0"
					    "ID=0123abcd-7-9\0STATE=whole\0TIME_USEC=1000\0\0"
					    "ID=0123abcd-8-1\0STATE=part\0\0NOTHING=1\0\0"
					    "ID=../../etc\0STATE=whole\0\0"),
				    &list),
		0);
	assert_int_equal(list.n_items, 3);
	/* Of which no time is known, then the oldest. */
	assert_string_equal(list.items[0].state, "part");
	assert_false(list.items[0].has_uid);
	assert_false(dg_stored_is_whole(&list.items[0]));
	assert_string_equal(list.items[1].id, "0123abcd-7-9");
	assert_false(list.items[1].restore);
	assert_string_equal(list.items[1].comm, "");
	assert_string_equal(list.items[2].id, "0123abcd-7-12");
	assert_true(dg_stored_is_whole(&list.items[2]));
	assert_int_equal(list.items[2].incident, 7);
	assert_int_equal(list.items[2].pid, 12);
	assert_string_equal(list.items[2].comm, "a\nb");
	assert_true(list.items[2].has_uid);
	assert_int_equal(list.items[2].uid, 0);
	assert_string_equal(list.items[2].unit, "a.service");
	assert_true(list.items[2].restore);
	assert_int_equal(list.items[2].bytes, 4096);
	assert_int_equal(list.items[2].n_mounts, 2);
	assert_string_equal(list.items[2].mounts[0].path, "/mnt/a");
	assert_string_equal(list.items[2].mounts[0].uuid, "U");
	assert_string_equal(list.items[2].mounts[1].path, "/mnt/b");
	assert_string_equal(list.items[2].mounts[1].uuid, "");
	dg_stored_list_done(&list);
}

static void what_has_gone(void **state)
{
	struct dg_stored_list list;

	assert_int_equal(dg_stored_list_read(RECORDS("REMOVED=0123abcd-7-1\0BYTES=9\0\0"
						     "BUSY=0123abcd-7-2\0\0"
						     "FAILED=0123abcd-7-3\0RESULT=EIO\0\0"),
					     &list),
			 0);
	assert_int_equal(list.n_items, 3);
	assert_string_equal(list.items[0].state, "removed");
	assert_string_equal(list.items[1].state, "busy");
	assert_string_equal(list.items[1].id, "0123abcd-7-2");
	assert_string_equal(list.items[2].state, "failed");
	assert_string_equal(list.items[2].result, "EIO");
	dg_stored_list_done(&list);
}

static void half_a_record(void **state)
{
	struct dg_stored_list list = {.n_items = 5};

	assert_int_equal(dg_stored_list_read(RECORDS("ID=0123abcd-7-1\0\0ID=0123"), &list),
			 -EBADMSG);
	assert_int_equal(list.n_items, 5);
	assert_int_equal(dg_stored_list_read("", 0, &list), 0);
	assert_int_equal(list.n_items, 0);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_there_is),
		cmocka_unit_test(what_has_gone),
		cmocka_unit_test(half_a_record),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
