/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "core/piece.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static const struct {
	const char *name;
	uint64_t us;
} units[] = {
	{"", 1000000},
	{"s", 1000000},
	{"ms", 1000},
	{"min", 60000000},
};

struct dg_piece dg_piece(const char *text)
{
	return (struct dg_piece){text, text ? strlen(text) : 0};
}

bool dg_is_blank(char c)
{
	return c == ' ' || c == '\t';
}

struct dg_piece dg_piece_strip(struct dg_piece piece)
{
	while (piece.n > 0 && dg_is_blank(piece.text[0]))
		piece = dg_piece_skip(piece, 1);
	while (piece.n > 0 && dg_is_blank(piece.text[piece.n - 1]))
		piece.n--;
	return piece;
}

struct dg_piece dg_piece_skip(struct dg_piece piece, size_t n)
{
	return (struct dg_piece){piece.text + n, piece.n - n};
}

bool dg_piece_equals(struct dg_piece piece, const char *text)
{
	return strlen(text) == piece.n && memcmp(piece.text, text, piece.n) == 0;
}

bool dg_piece_starts(struct dg_piece piece, const char *text)
{
	size_t n = strlen(text);

	return n <= piece.n && memcmp(piece.text, text, n) == 0;
}

const char *dg_piece_shown(struct dg_piece piece, char buffer[static DG_SHOWN_MAX])
{
	const size_t longest = DG_SHOWN_MAX - sizeof("...");
	size_t n = piece.n < longest ? piece.n : longest;

	for (size_t i = 0; i < n; i++)
		buffer[i] = piece.text[i] >= ' ' && piece.text[i] < 0x7f ? piece.text[i] : '?';
	snprintf(buffer + n, DG_SHOWN_MAX - n, "%s", n < piece.n ? "..." : "");
	return buffer;
}

int dg_piece_number(struct dg_piece piece, uint64_t *ret, struct dg_piece *ret_rest)
{
	uint64_t number = 0;
	size_t i = 0;

	for (; i < piece.n && piece.text[i] >= '0' && piece.text[i] <= '9'; i++) {
		number = number * 10 + (uint64_t)(piece.text[i] - '0');
		if (number > UINT32_MAX)
			return -ERANGE;
	}
	if (i == 0)
		return -EINVAL;
	*ret = number;
	*ret_rest = dg_piece_skip(piece, i);
	return 0;
}

const char *dg_piece_time(struct dg_piece piece, uint64_t *ret_us, const char **ret_at)
{
	struct dg_piece unit;
	uint64_t number = 0;
	int r = dg_piece_number(piece, &number, &unit);

	*ret_at = piece.text;
	if (r < 0)
		return r == -ERANGE ? "number is too large" : "a number is expected here";
	unit = dg_piece_strip(unit);
	for (size_t i = 0; i < sizeof(units) / sizeof(*units); i++)
		if (dg_piece_equals(unit, units[i].name)) {
			*ret_us = number * units[i].us;
			return NULL;
		}
	*ret_at = unit.text;
	return "not a unit of time: ms, s or min";
}
