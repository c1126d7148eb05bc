/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "ctl/table.h"

static const struct table_column columns[] = {
	{"PID", TABLE_RIGHT}, {"COMMAND", TABLE_ELASTIC}, {"USE"}};

static struct table *make(void)
{
	struct table *table = table_new(columns, 3);

	assert_non_null(table);
	table_printf(table, TABLE_PLAIN, "%d", 7);
	table_cell(table, TABLE_PLAIN, "a-command-with-a-long-name");
	table_cell(table, TABLE_WARN, "mapped");
	table_cell(table, TABLE_PLAIN, "4711");
	table_cell(table, TABLE_PLAIN, NULL);
	table_cell(table, TABLE_PLAIN, "open");
	return table;
}

static void check(const struct table_style *style, const char *expected)
{
	struct table *table = make();
	char *text = NULL;
	size_t n = 0;
	FILE *f = open_memstream(&text, &n);

	assert_int_equal(table_print(table, f, style), 0);
	fclose(f);
	assert_string_equal(text, expected);
	free(text);
	assert_null(table_free(table));
}

static void test_natural(void **state)
{
	check(&(struct table_style){.legend = true}, " PID  COMMAND                     USE\n"
						     "   7  a-command-with-a-long-name  mapped\n"
						     "4711  -                           open\n");
}

static void test_narrow(void **state)
{
	check(&(struct table_style){.width = 26, .indent = 2}, "     7  a-command…  mapped\n"
							       "  4711  -           open\n");
	/* Too narrow for anything: the elastic column keeps its least width. */
	check(&(struct table_style){.width = 3}, "   7  a-comma…  mapped\n"
						 "4711  -         open\n");
}

static void test_colour(void **state)
{
	check(&(struct table_style){.colour = true},
	      "   7  a-command-with-a-long-name  \033[33mmapped\033[0m\n"
	      "4711  -                           open\n");
}

static void test_empty(void **state)
{
	struct table *table = table_new(columns, 3);
	char *text = NULL;
	size_t n = 0;
	FILE *f = open_memstream(&text, &n);

	assert_int_equal(table_rows(table), 0);
	assert_int_equal(table_print(table, f, &(struct table_style){.legend = true}), 0);
	fclose(f);
	assert_string_equal(text, "PID  COMMAND  USE\n");
	free(text);
	table_free(table);
}

static void test_lost_cell(void **state)
{
	struct table *table = make();

	table_take(table, TABLE_PLAIN, NULL); /* as when memory ran out */
	assert_int_equal(table_print(table, stdout, &(struct table_style){0}), -ENOMEM);
	table_free(table);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_natural),   cmocka_unit_test(test_narrow),
		cmocka_unit_test(test_colour),    cmocka_unit_test(test_empty),
		cmocka_unit_test(test_lost_cell),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
