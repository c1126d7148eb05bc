/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One line of an incident's record, and back.
 *
 *	WALL_US MONO_US KIND KEY=VALUE KEY=VALUE…
 *
 * Wall time is for people, the monotonic one for sums. KIND and KEY are of
 * a-z, 0-9, '_' and '-'. In a VALUE every byte that is not printable ASCII, and
 * space and backslash, is \xHH: any file name fits, and a line is a line.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DG_HISTORY_PAIRS_MAX 32
#define DG_HISTORY_LINE_MAX 8192 /* newline included */

struct dg_pair {
	const char *key, *value;
};

struct dg_history_event {
	uint64_t wall_us, mono_us;
	const char *kind;
	struct dg_pair pairs[DG_HISTORY_PAIRS_MAX];
	size_t n_pairs;
};

/*
 * Writes the line with its newline, and a NUL. Returns its length without the
 * NUL, -EINVAL for a bad kind or key, -ENOBUFS if it does not fit.
 */
int dg_history_format(const struct dg_history_event *event, char *buffer, size_t size);

/*
 * Takes a line apart, in place: the strings of *ret lie in it. line is ended by
 * NUL, without a newline. -EBADMSG: not a line of a record.
 */
int dg_history_parse(char *line, struct dg_history_event *ret);

/*
 * The next line of a record that is one, taken apart in line; *at goes on behind it. Broken
 * ones are passed over, and so is a last one without its newline, which was cut when a daemon
 * died. False: no more.
 */
bool dg_history_next(const char **at, const char *end, char line[static DG_HISTORY_LINE_MAX],
		     struct dg_history_event *ret);

/* NULL: no such key. */
const char *dg_history_get(const struct dg_history_event *event, const char *key);
/* fallback: no such key, or no number. base as strtoull(3). */
uint64_t dg_history_number(const struct dg_history_event *event, const char *key, int base,
			   uint64_t fallback);
