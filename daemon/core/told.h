/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Who has been told of which failed pages, by us or by the kernel: nobody is told
 * twice, also when a range grows, or the daemon starts again in between.
 *
 * An entry is a part of a process's memory, and the physical pages that it was
 * told of: the same address over other pages is another matter. There is a limit;
 * beyond it the oldest entries are forgotten, and counted.
 */
#pragma once

#include "core/holder.h"

#define DG_TOLD_MAX 65536U
/* Of one process; of more than that it is known from where to where they are. */
#define DG_TOLD_MAPPINGS_MAX 256U

struct dg_told {
	struct dg_process process;
	uint64_t addr, len; /* in its memory */
	struct dg_range pages;
};

struct dg_told_list {
	struct dg_told_item *items; /* a ring, once it is full */
	size_t n_items, n_max, oldest;
	uint32_t *heads; /* of chains by pid, the newest first; 0: none */
	uint64_t n_forgotten;
};

/* n_max: 0 for DG_TOLD_MAX. Nothing is allocated. */
void dg_told_init(struct dg_told_list *list, size_t n_max);
void dg_told_done(struct dg_told_list *list);

/* -ENOMEM: it is not known. Nothing is added for a length of 0. */
int dg_told_add(struct dg_told_list *list, const struct dg_told *told);
/* The newest that is equal: it was not told after all. */
void dg_told_drop(struct dg_told_list *list, const struct dg_told *told);

/*
 * The first byte of told->addr, told->len that its process was not told of, where
 * told->pages are concerned. False: there is none.
 */
bool dg_told_misses(const struct dg_told_list *list, const struct dg_told *told,
		    uint64_t *ret_addr);

/*
 * Likewise of all mappings of a process that a scan of these pages has found; -ENOMEM: of
 * none. ret_addr: in one of them.
 */
int dg_told_add_holder(struct dg_told_list *list, const struct dg_holder *holder,
		       struct dg_range pages);
void dg_told_drop_holder(struct dg_told_list *list, const struct dg_holder *holder,
			 struct dg_range pages);
bool dg_told_misses_holder(const struct dg_told_list *list, const struct dg_holder *holder,
			   struct dg_range pages, uint64_t *ret_addr);
