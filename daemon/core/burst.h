/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The failed pages of one device, from the first one that is heard of until
 * everybody who maps one of them has been told: what is to be done next.
 *
 *	gather   ranges come at any time. What has come when the last round is
 *	         over makes the next: the first one begins at once, and while it
 *	         is worked on a storm of others becomes one round
 *	scan     who maps them? First of all ranges of the round together: if nobody
 *	         does, they are done; else of each half, down to single ranges
 *	tell     each process that maps the range, by its rule; once, see told.h
 *	verify   the range is scanned again, until nobody is found that was not
 *	         told; four times at most
 *	put off  a range that could not be scanned, or not entirely, or of which somebody
 *	         could not be told, or unmapped, for the moment: to the next round, which
 *	         waits, longer each time, if there is nothing else in it
 *	unmap    if the device's rule wants it, and somebody maps it still; but not
 *	         what has good pages in it
 *	linger   a second without another failure, and it is over
 *
 * Nothing here acts, as in incident.h: dg_burst_next() says what is due, and what
 * comes of it is said to dg_burst_scanned() and the like. A round takes a minute
 * at most; what it has not come to by then is of the next one. A range is put off
 * for a minute at most, and then counts as not told; so does what is left of a
 * burst after ten. A burst takes no more ranges after a minute, or, while something is
 * put off, after five: they are of the next one.
 */
#pragma once

#include "core/failure.h"
#include "core/selection.h"
#include "core/told.h"

#define DG_BURST_RANGES_MAX 16384U /* of a round */
#define DG_BURST_LASTS_US 60000000ULL
#define DG_BURST_LASTS_MAX_US 300000000ULL
#define DG_BURST_ROUND_US 60000000ULL
#define DG_BURST_LINGER_US 1000000ULL
#define DG_BURST_RETRY_US 20000ULL       /* the first wait for what was put off; then twice that */
#define DG_BURST_RETRY_MAX_US 4000000ULL /* and the longest */
#define DG_BURST_PUT_OFF_US 60000000ULL
#define DG_BURST_GIVE_UP_US 600000000ULL
#define DG_BURST_TRIES 4U /* scans of a range in a round */

/* Why not all is as it should be; bits of a set. */
enum {
	DG_BURST_UNTOLD = 1 << 0,       /* somebody who maps them could not be told, or found */
	DG_BURST_LEFT = 1 << 1,         /* a rule leaves somebody alone, or he is protected */
	DG_BURST_REMOVED = 1 << 2,      /* a removal of the device: it ends all mappings */
	DG_BURST_GONE = 1 << 3,         /* the device is not there any more */
	DG_BURST_UNMAPPED = 1 << 4,     /* taken away from who maps them */
	DG_BURST_STILL_MAPPED = 1 << 5, /* that was wanted, but may not be complete */
	DG_BURST_NO_LIST = 1 << 6,      /* of the protected: nobody was told */
};

struct dg_burst_counts {
	uint64_t n_ranges; /* as they came */
	uint64_t n_told;   /* deeds that were done */
	uint64_t n_scans;
	unsigned n_rounds;
};

enum dg_burst_order_kind {
	DG_BURST_WAIT,  /* for what is under way, or until .wake_us */
	DG_BURST_SCAN,  /* .range: dg_burst_scanned() or dg_burst_not_scanned() */
	DG_BURST_TELL,  /* .holder, by .rule: dg_burst_told() */
	DG_BURST_UNMAP, /* .range: dg_burst_unmapped() */
	DG_BURST_ROUND, /* this one and those before it are over: nothing of them is put off */
	DG_BURST_END,
};

struct dg_burst_order {
	enum dg_burst_order_kind kind;
	uint64_t wake_us; /* UINT64_MAX: never */
	struct dg_range range;
	const struct dg_holder *holder; /* valid until the answer */
	const struct dg_rule *rule;
	uint64_t addr; /* of the first page that it was not told of */
	bool placed;   /* TELL: it is known where on the device the range is: */
	uint64_t offset;
};

struct dg_burst_range {
	uint64_t start, len;
	bool widened;        /* good pages are in it, which are not to be taken away */
	uint64_t put_off_us; /* for the first time; 0: not all of it was */
	bool placed;         /* as in an order */
	uint64_t offset;
};

struct dg_burst_span {
	size_t low, high; /* of work[] */
};

enum dg_burst_phase {
	DG_BURST_RESTS,
	DG_BURST_SCANS,
	DG_BURST_TELLS,
	DG_BURST_UNMAPS,
	DG_BURST_OVER,
};

struct dg_burst {
	struct dg_told_list *told;
	const struct dg_selection *selection;
	uint64_t page; /* bytes */
	bool unmap;
	uint64_t began_us, last_us; /* of the burst; when it last had something to do */
	uint64_t round_us;          /* when the round began */
	uint64_t wake_us, delay_us; /* when the next one begins; how long that was put off */
	struct dg_burst_range *fresh, *work;
	size_t n_fresh, n_work;
	struct dg_burst_span spans[32]; /* of what is still to be scanned; one for each halving */
	size_t n_spans;
	enum dg_burst_phase phase;
	bool asked;                    /* an answer is awaited */
	bool finished;                 /* the round is over, and that was not said */
	bool news;                     /* in fresh[] is what no round has come to */
	bool left_over;                /* some of this round is in fresh[] again */
	struct dg_holder_list holders; /* of the range that is worked on */
	size_t next;                   /* of these */
	unsigned tries;
	bool acted, missed;     /* since the last scan */
	bool mapped, truncated; /* somebody maps it, by the last scan; and others may */
	uint32_t marks;         /* DG_BURST_* */
	struct dg_burst_counts counts;
};

/* told and selection must outlive it. page: a page's size. unmap: UnmapPoison=. */
void dg_burst_init(struct dg_burst *burst, struct dg_told_list *told,
		   const struct dg_selection *selection, uint64_t page, bool unmap,
		   uint64_t now_us);
void dg_burst_done(struct dg_burst *burst);

/*
 * What the kernel has told of it is taken as told. -ENOSPC: no room, or too late: to be
 * offered to the next burst. -ENOMEM likewise.
 */
int dg_burst_add(struct dg_burst *burst, const struct dg_failure_record *record, uint64_t now_us);

/* To be called until it says WAIT or END. */
void dg_burst_next(struct dg_burst *burst, uint64_t now_us, struct dg_burst_order *ret);

/* Takes what holders has; who has the same memory as another one is told with him. */
void dg_burst_scanned(struct dg_burst *burst, struct dg_holder_list *holders, uint64_t now_us);
/* -ENODEV and -ENOENT: there is nothing more to be scanned. Others pass, or so it is hoped. */
void dg_burst_not_scanned(struct dg_burst *burst, int error, uint64_t now_us);

enum dg_burst_answer {
	DG_BURST_DONE,
	DG_BURST_SKIPPED, /* not to be done, by the rule: it is not offered again */
	DG_BURST_ENDED,   /* the process is no more */
	DG_BURST_MISSED,  /* for the moment: it is looked for again */
	DG_BURST_FAILED,
};
void dg_burst_told(struct dg_burst *burst, enum dg_burst_answer answer);
void dg_burst_unmapped(struct dg_burst *burst, int error, bool complete, uint64_t now_us);

/* A removal of the device begins, or it is gone, and so on (marks): nobody is told any more. */
void dg_burst_stop(struct dg_burst *burst, uint32_t marks);

/*
 * "removal", "gone", "protected-unknown", "untold", "left", "told", "nobody": the first that
 * is true.
 */
const char *dg_burst_outcome(const struct dg_burst *burst);
