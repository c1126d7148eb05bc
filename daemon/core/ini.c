/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "core/ini.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define BYTE_ORDER_MARK "\xef\xbb\xbf"

void dg_ini_init(struct dg_ini *ini, const char *text, size_t n_text)
{
	*ini = (struct dg_ini){.rest = {text, n_text}, .line_start = text};
}

int dg_ini_error(const struct dg_ini *ini, const char *at, struct dg_text_error *ret_error,
		 const char *format, ...)
{
	va_list args;

	ret_error->line = ini->line;
	ret_error->column = (unsigned)(at - ini->line_start) + 1;
	va_start(args, format);
	vsnprintf(ret_error->reason, sizeof(ret_error->reason), format, args);
	va_end(args);
	return -EINVAL;
}

static struct dg_piece next_line(struct dg_ini *ini)
{
	const char *newline = memchr(ini->rest.text, '\n', ini->rest.n);
	struct dg_piece line = ini->rest;

	if (newline)
		line.n = (size_t)(newline - line.text);
	ini->line_start = line.text;
	ini->line++;
	ini->rest = dg_piece_skip(ini->rest, line.n + (newline ? 1 : 0));
	if (line.n > 0 && line.text[line.n - 1] == '\r')
		line.n--;
	return line;
}

static int check_bytes(const struct dg_ini *ini, struct dg_piece line, struct dg_text_error *error)
{
	if (ini->line == 1 && dg_piece_starts(line, BYTE_ORDER_MARK))
		return dg_ini_error(ini, line.text, error,
				    "a byte order mark; save the file without one");
	for (size_t i = 0; i < line.n; i++) {
		unsigned char c = (unsigned char)line.text[i];

		if (c == 0)
			return dg_ini_error(ini, line.text + i, error, "a NUL byte");
		if ((c < ' ' && c != '\t') || c == 0x7f)
			return dg_ini_error(ini, line.text + i, error,
					    "a control character, 0x%02x", c);
	}
	return 0;
}

static int read_section(const struct dg_ini *ini, struct dg_piece line, struct dg_ini_line *ret,
			struct dg_text_error *error)
{
	if (line.text[line.n - 1] != ']')
		return dg_ini_error(ini, line.text + line.n, error, "\"]\" is missing");
	*ret = (struct dg_ini_line){.section = {line.text + 1, line.n - 2}};
	return 1;
}

static int read_assignment(const struct dg_ini *ini, struct dg_piece line, struct dg_ini_line *ret,
			   struct dg_text_error *error)
{
	const char *equal = memchr(line.text, '=', line.n);
	size_t n_key;

	if (!equal)
		return dg_ini_error(ini, line.text, error, "neither a [Section] nor Key=Value");
	n_key = (size_t)(equal - line.text);
	*ret = (struct dg_ini_line){
		.key = dg_piece_strip((struct dg_piece){line.text, n_key}),
		.value = dg_piece_strip(dg_piece_skip(line, n_key + 1)),
	};
	return 1;
}

int dg_ini_next(struct dg_ini *ini, struct dg_ini_line *ret, struct dg_text_error *ret_error)
{
	while (ini->rest.n > 0) {
		struct dg_piece raw = next_line(ini), line = dg_piece_strip(raw);
		int r = check_bytes(ini, raw, ret_error);

		if (r < 0)
			return r;
		if (line.n == 0 || line.text[0] == '#' || line.text[0] == ';')
			continue;
		if (line.text[0] == '[')
			return read_section(ini, line, ret, ret_error);
		return read_assignment(ini, line, ret, ret_error);
	}
	return 0;
}

/*
 * What is no mistake in a file name is most likely one in a rule: an escape,
 * a line to be continued, a comment behind a value.
 */
static int check_habits(const struct dg_ini *ini, struct dg_piece left, bool begins,
			struct dg_text_error *error)
{
	const char *at = left.text;

	if (begins && (at[0] == '#' || at[0] == ';'))
		return dg_ini_error(
			ini, at, error,
			"a comment needs a line of its own; quote the word if it is none");
	if (at[0] != '\\')
		return 0;
	if (left.n == 1)
		return dg_ini_error(ini, at, error, "lines are not continued; name the key again");
	if (strchr("*?[", at[1]))
		return dg_ini_error(ini, at, error, "a backslash escapes nothing; write [%c]",
				    at[1]);
	if (strchr(" \t\"'", at[1]))
		return dg_ini_error(ini, at, error, "a backslash escapes nothing; use quotes");
	return 0;
}

int dg_ini_word(const struct dg_ini *ini, struct dg_piece *rest, struct dg_word *ret,
		struct dg_text_error *ret_error)
{
	struct dg_piece left = dg_piece_strip(*rest);
	const char *quote = NULL;
	int r;

	ret->at = left.text;
	ret->n = 0;
	if (left.n == 0)
		return 0;
	for (; left.n > 0 && (quote || !dg_is_blank(left.text[0])); left = dg_piece_skip(left, 1)) {
		char c = left.text[0];

		if (quote ? c == *quote : c == '"' || c == '\'') {
			quote = quote ? NULL : left.text;
			continue;
		}
		r = check_habits(ini, left, !quote && left.text == ret->at, ret_error);
		if (r < 0)
			return r;
		if (ret->n >= DG_WORD_MAX)
			return dg_ini_error(ini, ret->at, ret_error, "this is longer than %d bytes",
					    DG_WORD_MAX);
		ret->text[ret->n++] = c;
	}
	if (quote)
		return dg_ini_error(ini, quote, ret_error, "the closing %c is missing", *quote);
	ret->text[ret->n] = '\0';
	*rest = left;
	return 1;
}
