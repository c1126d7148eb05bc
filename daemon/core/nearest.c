/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "core/nearest.h"

#include <string.h>

/* Optimal string alignment; words are short, so three rows do. */
size_t dg_distance(struct dg_piece a, const char *b)
{
	size_t rows[3][DG_NEAREST_LONGEST + 1], *before = rows[0], *above = rows[1], *row = rows[2];
	size_t n_b = strlen(b);

	if (a.n > DG_NEAREST_LONGEST || n_b > DG_NEAREST_LONGEST)
		return DG_NEAREST_LONGEST;

	for (size_t j = 0; j <= n_b; j++)
		above[j] = j;
	for (size_t i = 1; i <= a.n; i++) {
		size_t *spare = before;

		row[0] = i;
		for (size_t j = 1; j <= n_b; j++) {
			size_t best = above[j - 1] + (a.text[i - 1] != b[j - 1]);

			if (above[j] + 1 < best)
				best = above[j] + 1;
			if (row[j - 1] + 1 < best)
				best = row[j - 1] + 1;
			if (i > 1 && j > 1 && a.text[i - 1] == b[j - 2] &&
			    a.text[i - 2] == b[j - 1] && before[j - 2] + 1 < best)
				best = before[j - 2] + 1;
			row[j] = best;
		}
		before = above;
		above = row;
		row = spare;
	}
	return above[n_b];
}

void dg_nearest_try(struct dg_nearest *search, const char *known)
{
	size_t distance = dg_distance(search->word, known);

	if (!search->nearest)
		search->distance = search->word.n / 3 + 2;
	if (distance < search->distance) {
		search->distance = distance;
		search->nearest = known;
	}
}
