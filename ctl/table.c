/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "table.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "text.h"

enum {
	GAP = 2,     /* blanks between columns */
	MIN_CUT = 8, /* an elastic column is never cut below this */
};

struct cell {
	char *text;
	enum table_colour colour;
};

struct table {
	const struct table_column *columns;
	size_t n_columns;
	struct cell *cells;
	size_t n_cells, n_allocated;
	bool incomplete; /* memory ran out */
};

struct table *table_new(const struct table_column *columns, size_t n_columns)
{
	struct table *table = calloc(1, sizeof(*table));

	if (!table)
		return NULL;
	table->columns = columns;
	table->n_columns = n_columns;
	return table;
}

struct table *table_free(struct table *table)
{
	if (!table)
		return NULL;
	for (size_t i = 0; i < table->n_cells; i++)
		free(table->cells[i].text);
	free(table->cells);
	free(table);
	return NULL;
}

void table_take(struct table *table, enum table_colour colour, char *text)
{
	if (table->n_cells == table->n_allocated) {
		size_t n = table->n_allocated ? table->n_allocated * 2 : 64;
		struct cell *cells = reallocarray(table->cells, n, sizeof(*cells));

		if (!cells) {
			free(text);
			text = NULL;
		} else {
			table->cells = cells;
			table->n_allocated = n;
		}
	}
	if (!text) {
		table->incomplete = true;
		return;
	}
	table->cells[table->n_cells++] = (struct cell){text, colour};
}

void table_cell(struct table *table, enum table_colour colour, const char *text)
{
	table_take(table, colour, strdup(text && *text ? text : "-"));
}

void table_printf(struct table *table, enum table_colour colour, const char *format, ...)
{
	va_list ap;
	char *text;
	int r;

	va_start(ap, format);
	r = vasprintf(&text, format, ap);
	va_end(ap);
	table_take(table, colour, r < 0 ? NULL : text);
}

size_t table_rows(const struct table *table)
{
	return table->n_cells / table->n_columns;
}

const char *table_colour_on(enum table_colour colour, bool enabled)
{
	static const char *const sequence[] = {
		[TABLE_PLAIN] = "",         [TABLE_GOOD] = "\033[32m",  [TABLE_WARN] = "\033[33m",
		[TABLE_BAD] = "\033[1;31m", [TABLE_FAINT] = "\033[90m",
	};

	return enabled ? sequence[colour] : "";
}

const char *table_colour_off(enum table_colour colour, bool enabled)
{
	return enabled && colour != TABLE_PLAIN ? "\033[0m" : "";
}

static void natural_widths(const struct table *table, bool legend, size_t *widths)
{
	for (size_t c = 0; c < table->n_columns; c++)
		widths[c] = legend ? text_width(table->columns[c].title) : 1;
	for (size_t i = 0; i < table->n_cells; i++) {
		size_t c = i % table->n_columns, width = text_width(table->cells[i].text);

		if (width > widths[c])
			widths[c] = width;
	}
}

/* Take from the widest elastic column until the line fits, or none gives any more. */
static void shrink(const struct table *table, size_t limit, size_t *widths)
{
	size_t total = (table->n_columns - 1) * GAP;

	for (size_t c = 0; c < table->n_columns; c++)
		total += widths[c];

	while (total > limit) {
		size_t widest = SIZE_MAX;

		for (size_t c = 0; c < table->n_columns; c++)
			if ((table->columns[c].flags & TABLE_ELASTIC) && widths[c] > MIN_CUT &&
			    (widest == SIZE_MAX || widths[c] > widths[widest]))
				widest = c;
		if (widest == SIZE_MAX)
			return;
		widths[widest]--;
		total--;
	}
}

static int print_cell(FILE *f, const struct table_column *column, size_t width, bool last,
		      const struct cell *cell, bool colour)
{
	char *text = text_fit(cell->text, width);
	size_t pad;

	if (!text)
		return -ENOMEM;
	pad = width > text_width(text) ? width - text_width(text) : 0;

	if (column->flags & TABLE_RIGHT)
		fprintf(f, "%*s", (int)pad, "");
	fprintf(f, "%s%s%s", table_colour_on(cell->colour, colour), text,
		table_colour_off(cell->colour, colour));
	if (!last)
		fprintf(f, "%*s", (int)(GAP + (column->flags & TABLE_RIGHT ? 0 : pad)), "");
	free(text);
	return 0;
}

static int print_row(const struct table *table, FILE *f, const struct table_style *style,
		     const size_t *widths, const struct cell *row)
{
	fprintf(f, "%*s", (int)style->indent, "");
	for (size_t c = 0; c < table->n_columns; c++) {
		int r = print_cell(f, &table->columns[c], widths[c], c + 1 == table->n_columns,
				   &row[c], style->colour);
		if (r < 0)
			return r;
	}
	fputc('\n', f);
	return 0;
}

static int print_titles(const struct table *table, FILE *f, const struct table_style *style,
			const size_t *widths)
{
	struct cell *titles = calloc(table->n_columns, sizeof(*titles));
	int r;

	if (!titles)
		return -ENOMEM;
	for (size_t c = 0; c < table->n_columns; c++)
		titles[c] = (struct cell){(char *)table->columns[c].title, TABLE_FAINT};
	r = print_row(table, f, style, widths, titles);
	free(titles);
	return r;
}

int table_print(const struct table *table, FILE *f, const struct table_style *style)
{
	size_t *widths;
	int r = 0;

	if (table->incomplete)
		return -ENOMEM;
	assert(table->n_cells % table->n_columns == 0);
	widths = calloc(table->n_columns, sizeof(*widths));
	if (!widths)
		return -ENOMEM;

	natural_widths(table, style->legend, widths);
	if (style->width > style->indent)
		shrink(table, style->width - style->indent, widths);

	if (style->legend)
		r = print_titles(table, f, style, widths);
	for (size_t row = 0; r >= 0 && row < table_rows(table); row++)
		r = print_row(table, f, style, widths, table->cells + row * table->n_columns);

	free(widths);
	if (r >= 0 && ferror(f))
		r = -EIO;
	return r;
}
