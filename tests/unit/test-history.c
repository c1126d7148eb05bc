/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "test.h"

#include "core/history.h"

static void a_line_and_back(void **state)
{
	struct dg_history_event event =
					{
						.wall_us = 1700000000000000,
						.mono_us = 42,
						.kind = "mount",
						.pairs = {{"path", "/mnt/a b\\c\n\xff=x"},
							  {"empty", ""},
							  {"n", "7f"}},
						.n_pairs = 3,
					},
				back;
	char line[256];
	int n;

	n = dg_history_format(&event, line, sizeof(line));
	assert_string_equal(line, "1700000000000000 42 mount path=/mnt/a\\x20b\\x5cc\\x0a\\xff=x "
				  "empty= n=7f\n");
	assert_int_equal(n, strlen(line));
	line[n - 1] = '\0';
	assert_int_equal(dg_history_parse(line, &back), 0);
	assert_int_equal(back.wall_us, event.wall_us);
	assert_int_equal(back.mono_us, 42);
	assert_string_equal(back.kind, "mount");
	assert_string_equal(dg_history_get(&back, "path"), "/mnt/a b\\c\n\xff=x");
	assert_string_equal(dg_history_get(&back, "empty"), "");
	assert_null(dg_history_get(&back, "nothing"));
	assert_int_equal(dg_history_number(&back, "n", 16, 1), 0x7f);
	assert_int_equal(dg_history_number(&back, "n", 10, 1), 1);
	assert_int_equal(dg_history_number(&back, "empty", 10, 5), 5);
	assert_int_equal(dg_history_number(&back, "nothing", 10, 6), 6);
}

static void no_line(void **state)
{
	static const char *const lines[] = {
		"",
		"1",
		"1 2",
		"1 2 ",
		"x 2 begin",
		"1 2 Begin",
		"1 2 begin id",
		"1 2 begin =3",
		"1 2 begin id=3 ",
		"1 2 begin id=\\",
		"1 2 begin id=\\x0",
		"1 2 begin id=\\x00",
		"1 2 begin id=\\xZZ",
		"-1 2 begin",
		"99999999999999999999 2 begin",
		"1 2  begin",
	};

	for (size_t i = 0; i < sizeof(lines) / sizeof(*lines); i++) {
		struct dg_history_event event = {.mono_us = 77};
		char line[64];

		strcpy(line, lines[i]);
		assert_int_equal(dg_history_parse(line, &event), -EBADMSG);
		assert_int_equal(event.mono_us, 77);
	}
}

static void too_many_pairs(void **state)
{
	struct dg_history_event event;
	char line[512] = "1 2 x";

	for (unsigned i = 0; i < DG_HISTORY_PAIRS_MAX; i++)
		strcat(line, " a=b");
	assert_int_equal(dg_history_parse(strdupa(line), &event), 0);
	strcat(line, " a=b");
	assert_int_equal(dg_history_parse(strdupa(line), &event), -EBADMSG);
}

static void what_does_not_fit(void **state)
{
	struct dg_history_event event = {.kind = "a", .pairs = {{"k", "value"}}, .n_pairs = 1};
	char line[64];
	int n;

	n = dg_history_format(&event, line, sizeof(line));
	assert_true(n > 0);
	assert_int_equal(dg_history_format(&event, line, (size_t)n + 1), n);
	assert_int_equal(dg_history_format(&event, line, (size_t)n), -ENOBUFS);
	assert_int_equal(dg_history_format(&event, line, 0), -ENOBUFS);
	event.kind = "A b";
	assert_int_equal(dg_history_format(&event, line, sizeof(line)), -EINVAL);
	event.kind = "a";
	event.pairs[0].key = "";
	assert_int_equal(dg_history_format(&event, line, sizeof(line)), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_line_and_back),
		cmocka_unit_test(no_line),
		cmocka_unit_test(too_many_pairs),
		cmocka_unit_test(what_does_not_fit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
