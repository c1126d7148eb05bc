/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The ledger as lines that are appended to a file, and back. docs/ledger.md has
 * the format for people.
 *
 *	1 CHECKSUM KIND KEY=VALUE KEY=VALUE…
 *
 * A line is whole or it is passed over: what a crash leaves of the last one, and
 * what a medium has changed, does not keep the others from being read.
 */
#pragma once

#include "core/ledger.h"

/* A line and its newline: the longest path, escaped, and the rest. */
#define DG_LEDGER_LINE_MAX (DG_LEDGER_PATH_MAX * 4 + 1024)

enum dg_ledger_kind {
	DG_LEDGER_SNAPSHOT, /* the first of a file that was written anew: seq, of the last it has */
	DG_LEDGER_BAD,
	DG_LEDGER_REPAIRED, /* ns, offset, length, repaired_ns */
	DG_LEDGER_TOLD,     /* ns, offset, length, told */
	DG_LEDGER_PLACE,    /* ns, offset, length, content, path, fs_dev, ino, file_offset */
	DG_LEDGER_IS,       /* a bad range, as it stood when the file was written anew */
	DG_LEDGER_WAS,      /* a range of history, likewise */
	_DG_LEDGER_KIND_MAX,
};

struct dg_ledger_record {
	enum dg_ledger_kind kind;
	struct dg_failure failure;
};

/*
 * Writes the line with its newline, and a NUL. Returns its length without the
 * NUL; -ENOBUFS if it does not fit, which with DG_LEDGER_LINE_MAX + 1 bytes it does.
 */
int dg_ledger_record_format(const struct dg_ledger_record *record, char *buffer, size_t size);

/*
 * Takes a line without its newline apart, in place: the path lies in it. NULL,
 * or what is wrong with it. Keys that are not known are passed over.
 */
const char *dg_ledger_record_parse(char *line, struct dg_ledger_record *ret);

/* What it says is so from now on. As the function of ledger.h for its kind. */
int dg_ledger_apply(struct dg_ledger *ledger, const struct dg_ledger_record *record);

/* The lines of a file that has all of the ledger up to seq: func for each. Its error ends it. */
int dg_ledger_write(const struct dg_ledger *ledger, uint64_t seq,
		    int (*func)(void *userdata, const char *line, size_t n), void *userdata);

/*
 * Reading a file, in pieces as they come. Records are applied once: one that was
 * written again, since nobody knew whether it had been, has the seq of the first.
 */
struct dg_ledger_reader {
	struct dg_ledger *ledger;
	char *line; /* the begin of the one whose end is to come */
	size_t n_line;
	bool too_long;
	uint64_t seq;          /* of the newest record */
	uint64_t n_lines;      /* that have an end */
	uint64_t n_skipped;    /* lines, or what was no line */
	uint64_t skipped_line; /* the first of these, and why; 0 and NULL: none */
	const char *skipped_why;
};
/* -ENOMEM. The ledger is the caller's. */
int dg_ledger_reader_init(struct dg_ledger_reader *reader, struct dg_ledger *ledger);
int dg_ledger_read(struct dg_ledger_reader *reader, const char *bytes, size_t n); /* -ENOMEM */
/* There is no more: what is left is a line if it is whole. -ENOMEM. */
int dg_ledger_read_end(struct dg_ledger_reader *reader);
void dg_ledger_reader_done(struct dg_ledger_reader *reader);
