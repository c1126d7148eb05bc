/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The file of the ledger, as a daemon finds it, in pieces; with little room, so that
 * the limits are met. Bad ranges stay apart, and what is written of it is the same.
 * After a '+' it is lines without their heads, which they get: no chance would find a
 * checksum.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/crc32c.h"
#include "core/ledger-record.h"
#include "fuzz.h"

#define RANGES_MAX 6
#define PATHS_MAX 200

static void read_in_pieces(struct dg_ledger_reader *reader, const char *bytes, size_t n,
			   size_t piece)
{
	for (; n > 0; bytes += piece, n -= piece) {
		piece = piece < n ? piece : n;
		if (dg_ledger_read(reader, bytes, piece) < 0)
			abort();
	}
	if (dg_ledger_read_end(reader) < 0)
		abort();
}

static void check(const struct dg_ledger *ledger)
{
	const struct dg_failure *f = NULL, *next;
	size_t n = 0, n_paths = 0;

	for (f = NULL; (f = dg_ledger_next(ledger, f)); n++) {
		next = dg_ledger_next(ledger, f);
		if (f->length == 0 || f->repaired || !f->sources)
			abort();
		if (next && strcmp(f->ns, next->ns) == 0 && f->offset + f->length > next->offset)
			abort();
		if (dg_ledger_find(ledger, f->ns, f->offset + f->length - 1) != f)
			abort();
		n_paths += f->path ? strlen(f->path) + 1 : 0;
	}
	for (f = NULL; (f = dg_ledger_next_repaired(ledger, f)); n++)
		n_paths += f->path ? strlen(f->path) + 1 : 0;
	if (n > RANGES_MAX || n_paths > PATHS_MAX)
		abort();
}

struct text {
	char *data;
	size_t n;
};

static int keep(void *userdata, const char *line, size_t n)
{
	struct text *text = userdata;

	text->data = realloc(text->data, text->n + n);
	if (!text->data)
		abort();
	memcpy(text->data + text->n, line, n);
	text->n += n;
	return 0;
}

static struct text written(const struct dg_ledger *ledger)
{
	struct text text = {};

	if (dg_ledger_write(ledger, 1, keep, &text) < 0)
		abort();
	return text;
}

static void and_back(const struct dg_ledger *ledger)
{
	struct dg_ledger *again = dg_ledger_new(RANGES_MAX, PATHS_MAX);
	struct text first = written(ledger), second;
	struct dg_ledger_reader reader;

	if (!again || dg_ledger_reader_init(&reader, again) < 0)
		abort();
	read_in_pieces(&reader, first.data, first.n, first.n);
	if (reader.n_skipped > 0)
		abort();
	second = written(again);
	if (first.n != second.n || memcmp(first.data, second.data, first.n) != 0)
		abort();
	free(first.data);
	free(second.data);
	dg_ledger_reader_done(&reader);
	dg_ledger_free(again);
}

static void read_bodies(struct dg_ledger_reader *reader, const char *bytes, size_t n)
{
	struct text text = {};

	for (size_t at = 0, part; at < n; at += part) {
		const char *newline = memchr(bytes + at, '\n', n - at);
		char head[16];

		part = newline ? (size_t)(newline - bytes) + 1 - at : n - at;
		snprintf(head, sizeof(head), "1 %08x ",
			 dg_crc32c(bytes + at, part - (newline != NULL)));
		keep(&text, head, strlen(head));
		keep(&text, bytes + at, part);
	}
	read_in_pieces(reader, text.data, text.n, 1 + n % 40);
	free(text.data);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct dg_ledger *ledger = dg_ledger_new(RANGES_MAX, PATHS_MAX);
	struct dg_ledger_reader reader;

	if (!ledger || dg_ledger_reader_init(&reader, ledger) < 0)
		abort();
	if (size > 0 && data[0] == '+')
		read_bodies(&reader, (const char *)data + 1, size - 1);
	else
		read_in_pieces(&reader, (const char *)data, size, 1 + size % 40);
	check(ledger);
	and_back(ledger);
	dg_ledger_reader_done(&reader);
	dg_ledger_free(ledger);
	return 0;
}
