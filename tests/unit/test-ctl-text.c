/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "ctl/ctl.h"
#include "ctl/text.h"

#define assert_gives(call, expected)                                                               \
	do {                                                                                       \
		char *got = (call);                                                                \
		assert_non_null(got);                                                              \
		assert_string_equal(got, expected);                                                \
		free(got);                                                                         \
	} while (0)

#define escape(literal) text_escape(literal, sizeof(literal) - 1)

static void test_escape(void **state)
{
	assert_gives(escape(""), "");
	assert_gives(escape("/mnt/größe"), "/mnt/größe");
	assert_gives(escape("a\nb\tc\\d"), "a\\nb\\tc\\\\d");
	assert_gives(escape("\033[2J"), "\\x1b[2J");
	assert_gives(escape("nul\0in"), "nul\\x00in");
	assert_gives(escape("\x7f"), "\\x7f");
	/* C1: eight-bit escape sequences, though valid UTF-8 */
	assert_gives(escape("\xc2\x9b"), "\\xc2\\x9b");
	/* right-to-left override */
	assert_gives(escape("\xe2\x80\xae"), "\\xe2\\x80\\xae");
}

static void test_escape_not_utf8(void **state)
{
	assert_gives(escape("a\xff"), "a\\xff");
	assert_gives(escape("\xc3"), "\\xc3");                   /* cut short */
	assert_gives(escape("\xc0\xaf"), "\\xc0\\xaf");          /* overlong */
	assert_gives(escape("\xed\xa0\x80"), "\\xed\\xa0\\x80"); /* surrogate */
	assert_gives(escape("\xf4\x90\x80\x80"), "\\xf4\\x90\\x80\\x80");
}

static void test_fit(void **state)
{
	assert_gives(text_fit("abc", 3), "abc");
	assert_gives(text_fit("abcd", 3), "ab…");
	assert_gives(text_fit("größer", 4), "grö…");
	assert_gives(text_fit("abc", 1), "…");
	assert_gives(text_fit("abc", 0), "");
	assert_int_equal(text_width("größe"), 5);
}

static void test_numbers(void **state)
{
	assert_gives(text_duration(0), "0.0 ms");
	assert_gives(text_duration(340), "0.3 ms");
	assert_gives(text_duration(17000), "17 ms");
	assert_gives(text_duration(2104000), "2.104 s");
	assert_gives(text_duration(192 * 1000000ULL), "3 min 12 s");
	assert_gives(text_size(0), "0 B");
	assert_gives(text_size(1023), "1023 B");
	assert_gives(text_size(16 << 20), "16.0 MiB");
	assert_gives(text_size(UINT64_MAX), "16.0 EiB");
}

static void test_append(void **state)
{
	assert_gives(text_append(strdup(""), ", ", strdup("a")), "a");
	assert_gives(text_append(strdup("a"), ", ", strdup("b")), "a, b");
	assert_null(text_append(NULL, ", ", strdup("b")));
	assert_null(text_append(strdup("a"), ", ", NULL));
}

static void test_time(void **state)
{
	setenv("TZ", "UTC", 1);
	tzset();
	assert_gives(text_time(1927771200ULL * 1000000 + 999999), "2031-02-02 04:00:00");
}

static void test_verb_find(void **state)
{
	static const struct ctl_verb verbs[] = {{"status"}, {"list"}, {"show"}};
	const char *near;

	assert_ptr_equal(verb_find(verbs, 3, "list", &near), &verbs[1]);
	assert_null(verb_find(verbs, 3, "lsit", &near));
	assert_string_equal(near, "list");
	assert_null(verb_find(verbs, 3, "reboot", &near));
	assert_null(near);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_escape),    cmocka_unit_test(test_escape_not_utf8),
		cmocka_unit_test(test_fit),       cmocka_unit_test(test_numbers),
		cmocka_unit_test(test_append),    cmocka_unit_test(test_time),
		cmocka_unit_test(test_verb_find),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
