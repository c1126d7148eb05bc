/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The records of failures that were taken from the kernel, until it may forget them.
 * Bounded as the kernel's own are: one that is over, and that a whole dump has not shown, is
 * dropped. It has grown since, and has another serial.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Where a record outlives us. */
enum dg_seen_kept {
	DG_SEEN_NOWHERE, /* the ledger has not taken it */
	DG_SEEN_LEDGER,  /* it has, which may not be on the medium as yet */
	DG_SEEN_RECORD,  /* it is nothing for the ledger: in the incident's record */
};

struct dg_seen {
	uint64_t serial;
	uint64_t failure; /* number of the incident that it belongs to */
	unsigned round;   /* of it, with which it is over */
	enum dg_seen_kept kept;
	uint64_t seq; /* in the ledger */
	bool over;
	unsigned dump; /* the last one that has shown it */
};

struct dg_seen_list {
	struct dg_seen *items; /* by ascending serial */
	size_t n_items;
	unsigned dump; /* the one that is read, or the last; the owner counts them */
};

void dg_seen_done(struct dg_seen_list *list);

/* Room for one more. -ENOMEM. */
int dg_seen_reserve(struct dg_seen_list *list);
/* After that, and not twice. Both are valid until the list changes, and shown by this dump. */
struct dg_seen *dg_seen_insert(struct dg_seen_list *list, uint64_t serial);
struct dg_seen *dg_seen_find(struct dg_seen_list *list, uint64_t serial); /* or NULL */

/* Those of this incident up to this round. */
void dg_seen_mark_over(struct dg_seen_list *list, uint64_t failure, unsigned round);
/* After a whole dump. */
void dg_seen_drop_gone(struct dg_seen_list *list);
/* What the kernel has forgotten. */
void dg_seen_drop_up_to(struct dg_seen_list *list, uint64_t serial);
