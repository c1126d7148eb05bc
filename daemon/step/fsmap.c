/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <linux/fsmap.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/sysmacros.h>

#include "step/foreign.h"
#include "step/fsmap.h"

#define RECORDS 256 /* of one answer */
/* All that one step looks at, so that a span of a full disk has an end. */
#define RECORDS_MAX 500000U
/*
 * Spans that lie no further apart are asked for at once: for each question ext4
 * makes a list of the metadata of all its groups.
 */
#define GAP_MAX (1ULL << 20)

/*
 * The largest block of a file system. The XFS of 6.1 does not tell of a gap between
 * its records up to the key's end, but to the begin of the block that the key is in.
 */
#define BLOCK_MAX (64ULL << 10)

struct question {
	int fd;
	uint32_t dev;
	uint64_t until_us;
	const struct fsmap_funcs *funcs;
	struct fsmap_span *spans; /* those that are asked for now */
	size_t n_spans, first;    /* first: the first that is not behind us */
	size_t n_seen;
	union {
		struct fsmap_head head;
		char room[sizeof(struct fsmap_head) + RECORDS * sizeof(struct fsmap)];
	};
};

static uint64_t smaller(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static uint64_t larger(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

static uint64_t end_of(const struct fsmap_span *span)
{
	return span->offset + span->len;
}

static int tell_hole(const struct question *question, struct fsmap_span *span, uint64_t to,
		     int error)
{
	uint64_t from = span->told;

	if (from >= to)
		return 0;
	span->told = to;
	return question->funcs->hole(question->funcs->userdata, span, from, to - from, error);
}

static int tell_span(const struct question *question, struct fsmap_span *span,
		     const struct fsmap *record)
{
	uint64_t start = larger(span->offset, record->fmr_physical);
	uint64_t end = smaller(end_of(span), record->fmr_physical + record->fmr_length);
	struct fsmap_piece piece = {
		.span = span,
		.offset = start,
		.len = end - start,
		.owner = record->fmr_owner,
		.file_offset = record->fmr_offset + (start - record->fmr_physical),
		.flags = record->fmr_flags,
	};
	int r;

	if (start >= end)
		return 0;
	r = tell_hole(question, span, start, 0);
	if (r < 0)
		return r;
	/* A new place, and not another owner of one that was told. */
	if (start >= span->told)
		span->n_owners = 0;
	span->told = larger(span->told, end);
	if (span->n_owners++ >= FSMAP_OWNERS_MAX)
		return 0;
	return question->funcs->piece(question->funcs->userdata, &piece);
}

/* To each span that it meets. */
static int tell(struct question *question, const struct fsmap *record)
{
	uint64_t end = record->fmr_physical + record->fmr_length;
	int r = 0;

	while (question->first < question->n_spans &&
	       end_of(&question->spans[question->first]) <= record->fmr_physical)
		question->first++;
	for (size_t i = question->first;
	     i < question->n_spans && r >= 0 && question->spans[i].offset < end; i++)
		r = tell_span(question, &question->spans[i], record);
	return r;
}

static void set_keys(struct question *question, uint64_t from, uint64_t to)
{
	question->head = (struct fsmap_head){
		.fmh_count = RECORDS,
		.fmh_keys =
			{
				{.fmr_device = question->dev, .fmr_physical = from},
				{.fmr_device = question->dev,
				 .fmr_physical = to,
				 .fmr_flags = UINT32_MAX,
				 .fmr_owner = UINT64_MAX,
				 .fmr_offset = UINT64_MAX},
			},
	};
}

static int ask_once(struct question *question)
{
	if (foreign_now_us() >= question->until_us)
		return -ETIMEDOUT;
	if (question->n_seen >= RECORDS_MAX)
		return -E2BIG;
	if (ioctl(question->fd, FS_IOC_GETFSMAP, &question->head) < 0)
		return -errno;
	question->n_seen += question->head.fmh_entries;
	return 0;
}

/* The first answer begins where it was asked to, or there is none. */
static bool begins_at(const struct question *question, uint64_t from)
{
	return question->head.fmh_entries > 0 && question->head.fmh_recs[0].fmr_physical <= from;
}

/*
 * ext4 leaves out the metadata that begins before the first key and goes beyond it,
 * so a place in the middle of an inode table is found only from further back. A
 * group's tables lie together for 16 groups, 32 MiB as they are usually made.
 */
static int ask_first(struct question *question, uint64_t from, uint64_t to)
{
	static const uint64_t back[] = {0, 64ULL << 20, UINT64_MAX};
	int r = 0;

	for (size_t i = 0; i < sizeof(back) / sizeof(back[0]) && r >= 0; i++) {
		uint64_t start = from > back[i] ? from - back[i] : 0;

		set_keys(question, start, to);
		r = ask_once(question);
		/* What is asked for may lie in a later answer; then it was further back. */
		if (r >= 0 && (begins_at(question, from) || start == 0))
			break;
	}
	return r;
}

/* 0: all was said that there is. */
static int ask_window(struct question *question, uint64_t from, uint64_t to, int *ret_error)
{
	const struct fsmap *last;
	int r = 0, error;

	error = ask_first(question, from, to);
	while (error >= 0 && r >= 0 && question->head.fmh_entries > 0) {
		for (uint32_t i = 0; i < question->head.fmh_entries && r >= 0; i++)
			r = tell(question, &question->head.fmh_recs[i]);
		last = &question->head.fmh_recs[question->head.fmh_entries - 1];
		if (r < 0 || (last->fmr_flags & FMR_OF_LAST) || last->fmr_physical > to)
			break;
		fsmap_advance(&question->head);
		question->head.fmh_entries = 0;
		error = ask_once(question);
	}
	*ret_error = error;
	return r;
}

int fsmap_ask(int fd, dg_dev_t dev, struct fsmap_span *spans, size_t n_spans, uint64_t until_us,
	      const struct fsmap_funcs *funcs)
{
	struct question *question = malloc(sizeof(*question));
	int r = 0, error = 0;

	if (!question)
		return -ENOMEM;
	*question = (struct question){
		.fd = fd,
		/* The kernel's own form, which is the lower half of ours. */
		.dev = (uint32_t)makedev(DG_DEV_MAJOR(dev), DG_DEV_MINOR(dev)),
		.until_us = until_us,
		.funcs = funcs,
	};
	for (size_t i = 0, n; i < n_spans && r >= 0; i += n) {
		uint64_t to = end_of(&spans[i]);

		for (n = 1; i + n < n_spans && spans[i + n].offset <= to + GAP_MAX; n++)
			to = larger(to, end_of(&spans[i + n]));
		question->spans = spans + i;
		question->n_spans = n;
		question->first = 0;
		for (size_t k = i; k < i + n; k++)
			spans[k].told = spans[k].offset;
		/* Another span may be readable where one is not. */
		if (error != -ETIMEDOUT && error != -E2BIG)
			r = ask_window(question, spans[i].offset, to + BLOCK_MAX, &error);
		for (size_t k = i; k < i + n && r >= 0; k++)
			r = tell_hole(question, &spans[k], end_of(&spans[k]), error);
	}
	free(question);
	return r;
}
