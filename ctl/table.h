/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A table that fits where it is printed: columns as wide as their cells, and
 * where that is too wide for the terminal, the elastic ones are cut.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

enum table_flags {
	TABLE_RIGHT = 1 << 0,   /* numbers */
	TABLE_ELASTIC = 1 << 1, /* may be cut */
};

enum table_colour {
	TABLE_PLAIN,
	TABLE_GOOD,
	TABLE_WARN,
	TABLE_BAD,
	TABLE_FAINT,
};

struct table_column {
	const char *title;
	unsigned int flags; /* TABLE_* */
};

struct table;

/* columns must outlive the table. NULL: out of memory. */
struct table *table_new(const struct table_column *columns, size_t n_columns);
struct table *table_free(struct table *table);

/*
 * Cells go in row by row. text is taken as it is (escape it before) and copied;
 * NULL or "" shows as "-". Running out of memory is remembered and returned by
 * table_print(), so that rows can be written without a check for each cell.
 */
void table_cell(struct table *table, enum table_colour colour, const char *text);
void table_printf(struct table *table, enum table_colour colour, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
/* As table_cell(), but owned: freed. */
void table_take(struct table *table, enum table_colour colour, char *text);

size_t table_rows(const struct table *table);

struct table_style {
	size_t width;  /* columns to fit in; 0: as wide as need be */
	size_t indent; /* blanks before each line */
	bool legend;   /* print the titles */
	bool colour;
};

/* 0, -ENOMEM (a cell got lost), or what writing to f said. */
int table_print(const struct table *table, FILE *f, const struct table_style *style);

/* Escape sequence that begins a colour; "" for TABLE_PLAIN or without colour. */
const char *table_colour_on(enum table_colour colour, bool enabled);
const char *table_colour_off(enum table_colour colour, bool enabled);
