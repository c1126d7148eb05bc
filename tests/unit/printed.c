/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "printed.h"

#include <time.h>

void check_style(print_func print, const struct table_style *style, const char *json,
		 const char *expected)
{
	json_object *value = json_tokener_parse(json);
	char *text = NULL;
	size_t n = 0;
	FILE *f = open_memstream(&text, &n);

	assert_non_null(value);
	assert_int_equal(print(f, style, value), 0);
	fclose(f);
	assert_string_equal(text, expected);
	free(text);
	json_object_put(value);
}

void check(print_func print, const char *json, const char *expected)
{
	check_style(print, &(struct table_style){.legend = true}, json, expected);
}

int set_zone(void **state)
{
	setenv("TZ", "UTC", 1);
	tzset();
	return 0;
}
