/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "core/repair.h"

#include "test.h"

#define RECORDS(text) text, sizeof(text) - 1

static void answers(void **state)
{
	struct dg_repair_answer answers[5];

	dg_repair_read(RECORDS("RANGE=1\0RESULT=still\0WHY=listed\0\0"
			       "RANGE=0\0RESULT=repaired\0WHY=not-listed\0\0"
			       "RANGE=0\0RESULT=still\0WHY=listed\0\0"
			       "RANGE=2\0RESULT=unknown\0WHY=no-page-flags\0\0"
			       "RANGE=3\0RESULT=odd\0\0RANGE=5\0RESULT=still\0\0RESULT=still\0\0"
			       "RANGE=4\0RESULT=rep"),
		       answers, 5);
	assert_int_equal(answers[0].repair, DG_REPAIR_REPAIRED);
	assert_string_equal(answers[0].why, "not-listed");
	assert_int_equal(answers[1].repair, DG_REPAIR_STILL);
	assert_string_equal(answers[2].why, "no-page-flags");
	/* Nobody has said that it is good. */
	for (size_t i = 2; i < 5; i++)
		assert_int_equal(answers[i].repair, DG_REPAIR_UNKNOWN);
	assert_string_equal(answers[4].why, "");
}

static void nothing_was_said(void **state)
{
	struct dg_repair_answer answers[2];

	dg_repair_read(NULL, 0, answers, 2);
	assert_int_equal(answers[1].repair, DG_REPAIR_UNKNOWN);
	assert_string_equal(answers[1].why, "");
}

static void parts(void **state)
{
	static const char output[] = "RANGE=0\0RESULT=still\0WHY=listed\0\0"
				     "RANGE=0\0GOOD_OFFSET=4096\0GOOD_LEN=512\0\0"
				     "RANGE=2\0GOOD_OFFSET=4096\0GOOD_LEN=512\0\0"
				     "RANGE=1\0GOOD_OFFSET=4096\0\0"
				     "RANGE=1\0GOOD_OFFSET=4096\0GOOD_LEN=0\0\0"
				     "RANGE=1\0GOOD_OFFSET=18446744073709551615\0GOOD_LEN=1\0\0"
				     "RANGE=1\0GOOD_OFFSET=0\0GOOD_LEN=1\0\0RANGE=1\0GOOD_OFF";
	const char *cursor = output, *end = output + sizeof(output) - 1;
	struct dg_repair_part part;

	assert_true(dg_repair_next_part(&cursor, end, 2, &part));
	assert_true(part.range == 0 && part.offset == 4096 && part.len == 512);
	assert_true(dg_repair_next_part(&cursor, end, 2, &part));
	assert_true(part.range == 1 && part.offset == 0 && part.len == 1);
	assert_false(dg_repair_next_part(&cursor, end, 2, &part));
	cursor = NULL;
	assert_false(dg_repair_next_part(&cursor, NULL, 2, &part));
}

static void names(void **state)
{
	assert_string_equal(dg_repair_name(DG_REPAIR_REPAIRED), "repaired");
	assert_string_equal(dg_repair_name(DG_REPAIR_STILL), "still");
	assert_string_equal(dg_repair_name(_DG_REPAIR_MAX), "unknown");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(answers),
		cmocka_unit_test(nothing_was_said),
		cmocka_unit_test(parts),
		cmocka_unit_test(names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
