/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The ledger: which ranges of which namespaces are bad, and which were.
 *
 * Bad ranges of a namespace do not overlap, and neighbours of which the same is
 * known are one. Each byte that was reported is in a bad range until it is
 * reported repaired; then the range, or that part of it, is history.
 *
 * There are limits. When there are too many ranges, the oldest of history is
 * forgotten; when there is no history, the two bad ranges of one namespace that
 * are nearest to each other become one, with what is between them. It is
 * "coarse": somewhere in there. So what is bad is never passed over. When the
 * paths are too much, ranges go without; the inode says which file it is.
 *
 * Everything costs O(log n), n the ranges that there are, for each range that
 * it meets.
 */
#pragma once

#include "core/event.h"

#define DG_LEDGER_RANGES_MAX 16384U            /* bad ones and history, together */
#define DG_LEDGER_PATHS_MAX (4U * 1024 * 1024) /* bytes of their paths */
#define DG_LEDGER_WORD_MAX 32                  /* a word of the kernel's, and its NUL */
#define DG_LEDGER_PATH_MAX 4096                /* a path, and its NUL */

/* Who said so. */
enum {
	DG_SOURCE_MEMORY_FAILURE = 1 << 0,
	DG_SOURCE_BADBLOCKS = 1 << 1,
	_DG_SOURCE_ALL = 3,
};

/* What it is that lies there. */
enum dg_content {
	DG_CONTENT_UNKNOWN,
	DG_CONTENT_FILE, /* data of a file */
	DG_CONTENT_METADATA,
	DG_CONTENT_FREE,    /* space of a file system that is not in use */
	DG_CONTENT_OUTSIDE, /* of any file system */
	_DG_CONTENT_MAX,
};

/* A range that is bad, or was; also a report of one. Times are realtime. */
struct dg_failure {
	char ns[DG_NAME_MAX];          /* UUID of the namespace, lower case; or its device's name */
	uint64_t offset, length;       /* bytes of the namespace's data */
	uint32_t sources;              /* DG_SOURCE_*; not 0 */
	char type[DG_LEDGER_WORD_MAX]; /* the kernel's own word for the page; "" for none */
	char result[DG_LEDGER_WORD_MAX]; /* … and for what it did about it */
	enum dg_content content;
	const char *path; /* bytes; NULL: not known */
	dg_dev_t fs_dev;  /* st_dev of the file; 0: no file */
	uint64_t ino;
	uint64_t file_offset; /* of its first byte, in the file */
	uint64_t first_ns, last_ns;
	uint64_t times; /* how often it was found bad, or a range that it was part of */
	uint64_t told;  /* how often a process was told, likewise */
	uint64_t seq;   /* of the newest record that says something of it; 0: a snapshot */
	bool coarse;
	bool repaired;
	uint64_t repaired_ns;
};

/* It was in the disk's list of bad blocks. */
static inline bool dg_failure_is_listed(const struct dg_failure *f)
{
	return f->sources & DG_SOURCE_BADBLOCKS;
}

const char *dg_source_name(uint32_t source); /* of one bit */
const char *dg_content_name(enum dg_content content);

struct dg_ledger;

/* NULL: no memory. A limit of 0 is the usual one. */
struct dg_ledger *dg_ledger_new(size_t ranges_max, size_t paths_max);
struct dg_ledger *dg_ledger_free(struct dg_ledger *ledger); /* NULL is fine; returns NULL */

/*
 * It is bad. What the report knows of the content replaces what was known of
 * these bytes; one that knows nothing replaces nothing. repaired is not looked at.
 * report->times is added, but for one from a list of bad blocks and nothing else: it
 * counts where nothing was bad before. What such a list has is a range of its own
 * beside what it has not, page by page (of 4 KiB).
 * -EINVAL: a length of 0, or an end past 2^63; no source; a name of a namespace, or a
 * word, that is not printable ASCII; a path too long; an unknown content.
 * -ENOMEM: not all of it was taken. -ENOSPC: there are as many namespaces
 * as there may be ranges; counted.
 */
int dg_ledger_add(struct dg_ledger *ledger, const struct dg_failure *report);

/* This is not bad any more. -EINVAL. -ENOMEM: some of it is still said to be. */
int dg_ledger_repair(struct dg_ledger *ledger, const struct dg_failure *report);

/* report->told more processes were told of these bytes, where they are bad. -EINVAL. */
int dg_ledger_tell(struct dg_ledger *ledger, const struct dg_failure *report);

/*
 * What lies there, where it is bad: content, path, fs_dev, ino, file_offset. It is no report:
 * nothing else changes but seq. -EINVAL: also of an unknown content. -ENOMEM: of some of
 * it only.
 */
int dg_ledger_place(struct dg_ledger *ledger, const struct dg_failure *place);

/*
 * A range as it stands in a snapshot, bad or repaired; history is to come in its order.
 * As dg_ledger_add(); one that overlaps others is taken for a report.
 */
int dg_ledger_restore(struct dg_ledger *ledger, const struct dg_failure *range);

/* The bad ranges by namespace and offset. after: NULL for the first; NULL: no more. */
const struct dg_failure *dg_ledger_next(const struct dg_ledger *ledger,
					const struct dg_failure *after);
/* The first one that ends after offset; it may begin after it, or be NULL. */
const struct dg_failure *dg_ledger_find(const struct dg_ledger *ledger, const char *ns,
					uint64_t offset);
/* History, the oldest first, likewise. */
const struct dg_failure *dg_ledger_next_repaired(const struct dg_ledger *ledger,
						 const struct dg_failure *after);

struct dg_ledger_counts {
	size_t n_bad, n_repaired; /* ranges */
	uint64_t n_forgotten;     /* of history, for others */
	uint64_t n_widened;       /* pairs that became one */
	uint64_t n_refused;       /* -ENOSPC: the only ones of which nothing is known here */
	uint64_t n_pathless;      /* paths that were too much */
};
struct dg_ledger_counts dg_ledger_counts(const struct dg_ledger *ledger);
