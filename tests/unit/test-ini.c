/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "test.h"

#include "core/ini.h"

static struct dg_ini ini;
static struct dg_ini_line line;
static struct dg_text_error error;

static void lines(void **state)
{
	static const char text[] =
		"# one\n  ; two\n\n [Sec tion] \r\n\tKey = some value  \nEmpty=\n[]";

	dg_ini_init(&ini, text, sizeof(text) - 1);
	assert_int_equal(dg_ini_next(&ini, &line, &error), 1);
	assert_true(dg_piece_equals(line.section, "Sec tion"));
	assert_int_equal(ini.line, 4);
	assert_int_equal(dg_ini_next(&ini, &line, &error), 1);
	assert_null(line.section.text);
	assert_true(dg_piece_equals(line.key, "Key"));
	assert_true(dg_piece_equals(line.value, "some value"));
	assert_int_equal(dg_ini_next(&ini, &line, &error), 1);
	assert_true(dg_piece_equals(line.key, "Empty"));
	assert_true(dg_piece_equals(line.value, ""));
	assert_int_equal(dg_ini_next(&ini, &line, &error), 1);
	assert_non_null(line.section.text);
	assert_true(dg_piece_equals(line.section, ""));
	assert_int_equal(dg_ini_next(&ini, &line, &error), 0);
	assert_int_equal(dg_ini_next(&ini, &line, &error), 0);
}

static void expect_line_error(const char *text, size_t n, unsigned at_line, unsigned column,
			      const char *reason)
{
	int r;

	dg_ini_init(&ini, text, n);
	while ((r = dg_ini_next(&ini, &line, &error)) > 0)
		;
	assert_int_equal(r, -EINVAL);
	assert_string_equal(error.reason, reason);
	assert_int_equal(error.line, at_line);
	assert_int_equal(error.column, column);
}
#define LINE_ERROR(text, ...) expect_line_error(text, sizeof(text) - 1, __VA_ARGS__)

static void wrong_lines(void **state)
{
	LINE_ERROR("[A]\n\n  what\n", 3, 3, "neither a [Section] nor Key=Value");
	LINE_ERROR("[A\n", 1, 3, "\"]\" is missing");
	LINE_ERROR("[", 1, 2, "\"]\" is missing");
	LINE_ERROR("[A]\na=b\0c\n", 2, 4, "a NUL byte");
	LINE_ERROR("# \0", 1, 3, "a NUL byte");
	LINE_ERROR("a=\033[2J\n", 1, 3, "a control character, 0x1b");
	LINE_ERROR("a=b\rc=d\n", 1, 4, "a control character, 0x0d");
	LINE_ERROR("a=\177\n", 1, 3, "a control character, 0x7f");
	LINE_ERROR("\xef\xbb\xbf[A]\n", 1, 1, "a byte order mark; save the file without one");
}

/* Who reports all errors of a file goes on behind each. */
static void the_line_behind_a_wrong_one(void **state)
{
	static const char text[] = "what\na=b\n";

	dg_ini_init(&ini, text, sizeof(text) - 1);
	assert_int_equal(dg_ini_next(&ini, &line, &error), -EINVAL);
	assert_int_equal(dg_ini_next(&ini, &line, &error), 1);
	assert_true(dg_piece_equals(line.key, "a"));
	assert_int_equal(ini.line, 2);
}

/* The words of "k=VALUE", with '|' behind each; or the error, as column:reason. */
static void expect_words(const char *value, const char *wanted)
{
	char text[4096], all[4096] = "";
	struct dg_word word;
	int r;

	snprintf(text, sizeof(text), "k=%s", value);
	dg_ini_init(&ini, text, strlen(text));
	assert_int_equal(dg_ini_next(&ini, &line, &error), 1);
	while ((r = dg_ini_word(&ini, &line.value, &word, &error)) > 0) {
		assert_int_equal(strlen(word.text), word.n);
		strcat(strcat(all, word.text), "|");
	}
	if (r < 0)
		snprintf(all, sizeof(all), "%u:%s", error.column, error.reason);
	assert_string_equal(all, wanted);
}

static void words(void **state)
{
	expect_words("", "");
	expect_words("a", "a|");
	expect_words("a \t b", "a|b|");
	expect_words("\"a b\" 'c d'", "a b|c d|");
	expect_words("a\" \"b'\"'\"'\"", "a b\"'|");
	expect_words("\"\" ''", "||");
	expect_words("a,b", "a,b|");
	expect_words("mnt-my\\x2dpmem.mount", "mnt-my\\x2dpmem.mount|");
	expect_words("\xff\xfe", "\xff\xfe|");
	expect_words("'# no' a#b a;", "# no|a#b|a;|");
}

static void wrong_words(void **state)
{
	char longest[DG_WORD_MAX + 2], wanted[DG_WORD_MAX + 3];

	expect_words("a \"b", "5:the closing \" is missing");
	expect_words("a 'b\"", "5:the closing ' is missing");
	expect_words("a # b", "5:a comment needs a line of its own; quote the word if it is none");
	expect_words("a ;b", "5:a comment needs a line of its own; quote the word if it is none");
	expect_words("/a\\*", "5:a backslash escapes nothing; write [*]");
	expect_words("a\\ b", "4:a backslash escapes nothing; use quotes");
	expect_words("\"a\\\"b\"", "5:a backslash escapes nothing; use quotes");
	expect_words("a b \\", "7:lines are not continued; name the key again");

	memset(longest, 'x', sizeof(longest));
	longest[DG_WORD_MAX] = '\0';
	snprintf(wanted, sizeof(wanted), "%s|", longest);
	expect_words(longest, wanted);
	longest[DG_WORD_MAX] = 'x';
	longest[DG_WORD_MAX + 1] = '\0';
	expect_words(longest, "3:this is longer than 1024 bytes");
}

static void expect_time(const char *text, uint64_t us, const char *reason, size_t at)
{
	const char *where = text, *why;
	uint64_t time = 0;

	why = dg_piece_time(dg_piece(text), &time, &where);
	if (reason) {
		assert_string_equal(why, reason);
		assert_int_equal(where - text, at);
	} else {
		assert_null(why);
		assert_int_equal(time, us);
	}
}

static void times(void **state)
{
	expect_time("4", 4 * SEC, NULL, 0);
	expect_time("4s", 4 * SEC, NULL, 0);
	expect_time("250 ms", 250 * MSEC, NULL, 0);
	expect_time("2min", 120 * SEC, NULL, 0);
	expect_time("4294967295", 4294967295 * SEC, NULL, 0);
	expect_time("4294967296", 0, "number is too large", 0);
	expect_time("s", 0, "a number is expected here", 0);
	expect_time("", 0, "a number is expected here", 0);
	expect_time("4 h", 0, "not a unit of time: ms, s or min", 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lines),
		cmocka_unit_test(wrong_lines),
		cmocka_unit_test(the_line_behind_a_wrong_one),
		cmocka_unit_test(words),
		cmocka_unit_test(wrong_words),
		cmocka_unit_test(times),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
