/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Lines of `[Section]` and `Key=Value`, and the words of a value.
 *
 * Comments are lines whose first character, blanks apart, is '#' or ';'.
 * Blanks around sections, keys and values do not count. A line ends with a
 * newline, or a carriage return and a newline, or the text. NUL and other
 * control characters but the tab are errors wherever they are; bytes from
 * 0x80 on are allowed, and have no meaning. Lines are not continued.
 *
 * Words are separated by blanks. Quotes of either kind, around a word or a
 * part of it, keep blanks and the other quote; a backslash is an ordinary
 * character, as it is in the names of units.
 */
#pragma once

#include "core/piece.h"

#define DG_WORD_MAX 1024 /* bytes of a word, without quotes */

struct dg_text_error {
	unsigned line, column; /* from 1; the column in bytes */
	char reason[192];
};

struct dg_ini {
	struct dg_piece rest;
	const char *line_start;
	unsigned line;
};

struct dg_ini_line {
	struct dg_piece section; /* without brackets; .text is NULL for an assignment */
	struct dg_piece key, value;
};

struct dg_word {
	const char *at; /* where it begins in the text, with its quote */
	size_t n;
	char text[DG_WORD_MAX + 1];
};

void dg_ini_init(struct dg_ini *ini, const char *text, size_t n_text);

/* 1: a line. 0: the end. -EINVAL: this one is wrong; the next may be asked for. */
int dg_ini_next(struct dg_ini *ini, struct dg_ini_line *ret, struct dg_text_error *ret_error);

/* 1: the next word, taken off rest. 0: there is none. -EINVAL. */
int dg_ini_word(const struct dg_ini *ini, struct dg_piece *rest, struct dg_word *ret,
		struct dg_text_error *ret_error);

/* An error at a place of the present line, or behind its end. Returns -EINVAL. */
int dg_ini_error(const struct dg_ini *ini, const char *at, struct dg_text_error *ret_error,
		 const char *format, ...) __attribute__((format(printf, 4, 5)));
