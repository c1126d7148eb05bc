/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* All of a ledger as lines, and lines as a ledger. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/ledger-record.h"

struct lines {
	int (*func)(void *userdata, const char *line, size_t n);
	void *userdata;
	char *buffer;
};

static int write_line(const struct lines *lines, enum dg_ledger_kind kind,
		      const struct dg_failure *f, uint64_t seq)
{
	struct dg_ledger_record record = {.kind = kind, .failure = *f};
	int n;

	record.failure.seq = seq;
	n = dg_ledger_record_format(&record, lines->buffer, DG_LEDGER_LINE_MAX + 1);
	return n < 0 ? n : lines->func(lines->userdata, lines->buffer, (size_t)n);
}

int dg_ledger_write(const struct dg_ledger *ledger, uint64_t seq,
		    int (*func)(void *userdata, const char *line, size_t n), void *userdata)
{
	static const struct dg_failure none;
	struct lines lines = {func, userdata, malloc(DG_LEDGER_LINE_MAX + 1)};
	const struct dg_failure *f;
	int r;

	if (!lines.buffer)
		return -ENOMEM;
	r = write_line(&lines, DG_LEDGER_SNAPSHOT, &none, seq);
	for (f = NULL; r >= 0 && (f = dg_ledger_next_repaired(ledger, f));)
		r = write_line(&lines, DG_LEDGER_WAS, f, 0);
	for (f = NULL; r >= 0 && (f = dg_ledger_next(ledger, f));)
		r = write_line(&lines, DG_LEDGER_IS, f, 0);
	free(lines.buffer);
	return r < 0 ? r : 0;
}

int dg_ledger_reader_init(struct dg_ledger_reader *reader, struct dg_ledger *ledger)
{
	*reader = (struct dg_ledger_reader){
		.ledger = ledger,
		.line = malloc(DG_LEDGER_LINE_MAX + 1),
	};
	return reader->line ? 0 : -ENOMEM;
}

void dg_ledger_reader_done(struct dg_ledger_reader *reader)
{
	free(reader->line);
	*reader = (struct dg_ledger_reader){};
}

static void skip(struct dg_ledger_reader *reader, const char *why)
{
	if (reader->n_skipped++ > 0)
		return;
	reader->skipped_line = reader->n_lines;
	reader->skipped_why = why;
}

/* One that has been said before says nothing; those of a snapshot have no number. */
static bool is_news(struct dg_ledger_reader *reader, const struct dg_ledger_record *record)
{
	if (record->kind != DG_LEDGER_SNAPSHOT && record->failure.seq == 0)
		return true;
	if (record->failure.seq <= reader->seq)
		return false;
	reader->seq = record->failure.seq;
	return true;
}

static int take_line(struct dg_ledger_reader *reader)
{
	struct dg_ledger_record record = {};
	const char *why = NULL;
	int r = 0;

	reader->n_lines++;
	reader->line[reader->n_line] = '\0';
	if (reader->too_long)
		why = "too long";
	else if (strlen(reader->line) < reader->n_line)
		why = "not as it was written (NUL)";
	else if (reader->n_line > 0)
		why = dg_ledger_record_parse(reader->line, &record);
	if (!why && reader->n_line > 0 && is_news(reader, &record))
		r = dg_ledger_apply(reader->ledger, &record);
	if (r == -EINVAL)
		why = "without sense";
	if (why)
		skip(reader, why);
	reader->n_line = 0;
	reader->too_long = false;
	return r == -ENOMEM ? r : 0;
}

int dg_ledger_read(struct dg_ledger_reader *reader, const char *bytes, size_t n)
{
	int r = 0;

	while (n > 0 && r >= 0) {
		const char *newline = memchr(bytes, '\n', n);
		size_t part = newline ? (size_t)(newline - bytes) : n;

		reader->too_long |= part > DG_LEDGER_LINE_MAX - reader->n_line;
		if (!reader->too_long) {
			memcpy(reader->line + reader->n_line, bytes, part);
			reader->n_line += part;
		}
		if (newline)
			r = take_line(reader);
		part += newline != NULL;
		bytes += part;
		n -= part;
	}
	return r;
}

int dg_ledger_read_end(struct dg_ledger_reader *reader)
{
	if (reader->n_line == 0 && !reader->too_long)
		return 0;
	return take_line(reader);
}
