/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "test.h"

#include "core/utf8.h"

static void characters(void **state)
{
	static const struct {
		const char *text;
		size_t n;
		uint32_t code;
	} cases[] = {
		{"a", 1, 'a'},
		{"\0", 1, 0},
		{"\xc2\x80", 2, 0x80},
		{"\xdf\xbf", 2, 0x7ff},
		{"\xe0\xa0\x80", 3, 0x800},
		{"\xed\x9f\xbf", 3, 0xd7ff},
		{"\xee\x80\x80", 3, 0xe000},
		{"\xf0\x90\x80\x80", 4, 0x10000},
		{"\xf4\x8f\xbf\xbf", 4, 0x10ffff},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		uint32_t code = UINT32_MAX;

		assert_int_equal(dg_utf8_decode(cases[i].text, cases[i].n, &code), cases[i].n);
		assert_int_equal(code, cases[i].code);
		/* One byte less is no character. */
		if (cases[i].n > 1)
			assert_int_equal(dg_utf8_decode(cases[i].text, cases[i].n - 1, &code), 0);
	}
}

static void no_characters(void **state)
{
	static const char *const cases[] = {
		"\x80",
		"\xbf",
		"\xc0\x80",
		"\xc1\xbf",
		"\xc2\x41",
		"\xe0\x9f\xbf",
		"\xed\xa0\x80",
		"\xed\xbf\xbf",
		"\xe1\x80\x41",
		"\xf0\x8f\xbf\xbf",
		"\xf4\x90\x80\x80",
		"\xf5\x80\x80\x80",
		"\xff\x80\x80\x80",
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		uint32_t code;

		assert_int_equal(dg_utf8_decode(cases[i], strlen(cases[i]), &code), 0);
		assert_false(dg_utf8_is_valid(cases[i], strlen(cases[i])));
	}
}

static void texts(void **state)
{
	assert_true(dg_utf8_is_valid("", 0));
	assert_true(dg_utf8_is_valid("größe", strlen("größe")));
	assert_true(dg_utf8_is_valid("a\0b", 3));
	assert_false(dg_utf8_is_valid("größe", strlen("größe") - 2));
	assert_false(dg_utf8_is_valid("a\xff", 2));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(characters),
		cmocka_unit_test(no_characters),
		cmocka_unit_test(texts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
