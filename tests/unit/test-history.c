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

static void lines_of_a_record(void **state)
{
	static const char begin[] = "1 2 a\nno line\n3 4 b\0\n\n5 6 c k=v\n";
	static char record[sizeof(begin) + 2 * DG_HISTORY_LINE_MAX + 16];
	char line[DG_HISTORY_LINE_MAX], *p = record;
	struct dg_history_event event;
	const char *at = record;

	p = mempcpy(p, begin, sizeof(begin) - 1);
	/* The longest there is, and one that is longer. */
	for (size_t n = DG_HISTORY_LINE_MAX - 1; n <= DG_HISTORY_LINE_MAX; n++) {
		memset(p, 'x', n);
		memcpy(p, "7 8 ", 4);
		p[n] = '\n';
		p += n + 1;
	}
	p = mempcpy(p, "9 9 cut", 7);
	assert_true(dg_history_next(&at, p, line, &event));
	assert_string_equal(event.kind, "a");
	assert_true(dg_history_next(&at, p, line, &event));
	assert_string_equal(event.kind, "c");
	assert_string_equal(dg_history_get(&event, "k"), "v");
	assert_true(dg_history_next(&at, p, line, &event));
	assert_int_equal(strlen(event.kind), DG_HISTORY_LINE_MAX - 5);
	assert_false(dg_history_next(&at, p, line, &event));
	assert_false(dg_history_next(&at, p, line, &event));
	at = NULL;
	assert_false(dg_history_next(&at, at, line, &event));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_line_and_back),   cmocka_unit_test(no_line),
		cmocka_unit_test(too_many_pairs),    cmocka_unit_test(what_does_not_fit),
		cmocka_unit_test(lines_of_a_record),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
