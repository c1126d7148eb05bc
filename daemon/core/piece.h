/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A piece of a text that somebody else keeps; not ended by NUL.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct dg_piece {
	const char *text;
	size_t n;
};

/* Of a string; NULL gives the empty piece. */
struct dg_piece dg_piece(const char *text);

bool dg_is_blank(char c); /* space or tab */

/* Without the blanks at both ends. */
struct dg_piece dg_piece_strip(struct dg_piece piece);
struct dg_piece dg_piece_skip(struct dg_piece piece, size_t n); /* what follows the first n */
bool dg_piece_equals(struct dg_piece piece, const char *text);
bool dg_piece_starts(struct dg_piece piece, const char *text);

/* Short, and as text: what was found, to be shown in an error. Returns buffer. */
#define DG_SHOWN_MAX 48
const char *dg_piece_shown(struct dg_piece piece, char buffer[static DG_SHOWN_MAX]);

/*
 * Digits at its begin, up to 32 bits; *ret_rest is what follows them.
 * -EINVAL: there are none. -ERANGE.
 */
int dg_piece_number(struct dg_piece piece, uint64_t *ret, struct dg_piece *ret_rest);

/*
 * A number and an optional "ms", "s" or "min"; without a unit it is seconds.
 * NULL, or why it is none; then *ret_at is where.
 */
const char *dg_piece_time(struct dg_piece piece, uint64_t *ret_us, const char **ret_at);
