// SPDX-License-Identifier: GPL-2.0-only
/*
 * Some pages of a target, and the files they are in: for who asks who maps them,
 * and to unmap them.
 */
#include <linux/badblocks.h>
#include <linux/dax.h>
#include <linux/fs.h>
#include <linux/memremap.h>
#include <linux/mm.h>
#include <linux/slab.h>

#include "compat.h"
#include "daxguard.h"

/* Bytes of the machine's memory, to whole pages of the target. */
int dg_range_cut(const struct dg_target *target, u64 start, u64 len, struct dg_range *ret)
{
	struct dg_part part;
	u64 first, end;

	if (!len || start + len < start)
		return -ERANGE;
	first = PHYS_PFN(start);
	end = PHYS_PFN(start + len - 1) + 1;
	/* Of a disk any page will do; of a device-dax, which may have parts, the first. */
	if (target->disk)
		first = max_t(u64, first, target->pfn);
	if (first >= end || !dg_target_part(target, first, &part))
		return -ERANGE;
	ret->pfn = first;
	ret->nr = min_t(u64, end, part.pfn + part.nr) - first;
	return 0;
}

static bool dg_any_shared(const struct dg_range *range)
{
	unsigned long i;

	for (i = 0; i < range->nr; i++) {
		if (!(i % 4096))
			cond_resched();
		if (dg_page_mapping(pfn_to_page(range->pfn + i)) == DG_PAGE_SHARED)
			return true;
	}
	return false;
}

/* The files that the pages name, run by run. false: there may be others. */
static bool dg_range_walk_pages(const struct dg_range *range, dg_run_fn fn, void *ctx)
{
	bool stop = false, all = true;
	unsigned long i, nr;

	for (i = 0; i < range->nr && !stop; i += nr) {
		struct page *page = pfn_to_page(range->pfn + i);
		struct inode *inode;
		pgoff_t index;
		bool referred;

		nr = 1;
		cond_resched();
		inode = dg_page_inode(page, &referred);
		if (!inode)
			continue;
		index = dg_page_index(page);
		for (; i + nr < range->nr; nr++) {
			page = pfn_to_page(range->pfn + i + nr);
			if (dg_page_mapping(page) != inode->i_mapping ||
			    dg_page_index(page) != index + nr)
				break;
		}
		all = dg_shared_pages_say_so(inode);
		stop = !all || fn(inode, index, nr, ctx);
		dg_put_inode_active(inode);
	}
	return all;
}

struct dg_shared {
	const struct dg_range *range;
	dg_run_fn fn;
	void *ctx;
};

static bool dg_shared_inode(struct inode *inode, void *ctx)
{
	struct dg_shared *shared = ctx;

	return dg_entries_walk(inode, shared->range, shared->fn, shared->ctx);
}

/* All files of all file systems on the target are asked. */
static bool dg_range_walk_files(struct dg_target *target, unsigned long end,
				struct dg_shared *shared)
{
	struct dg_supers *supers = kzalloc(sizeof(*supers), GFP_KERNEL);
	unsigned int i;
	bool all;

	if (!supers)
		return false;
	dg_supers_collect(target, supers, end);
	all = !supers->truncated;
	for (i = 0; i < supers->nr; i++)
		if (dg_super_walk_inodes(supers->at[i].sb, dg_inode_is_dax, dg_shared_inode,
					 shared))
			all = false;
	dg_supers_put(supers);
	kfree(supers);
	return all;
}

bool dg_range_walk(struct dg_target *target, const struct dg_range *range, unsigned long end,
		   dg_run_fn fn, void *ctx)
{
	struct dg_shared shared = { .range = range, .fn = fn, .ctx = ctx };
	struct dev_pagemap *pgmap = dg_get_pagemap(range->pfn);
	struct dg_part part;
	bool all;

	if (!pgmap)
		return true;	/* it is gone, and so are its mappings */
	if (!target->disk) {
		if (dg_target_part(target, range->pfn, &part))
			fn(dg_target_mapping(target)->host,
			   PHYS_PFN(part.offset) + range->pfn - part.pfn, range->nr, ctx);
		put_dev_pagemap(pgmap);
		return true;
	}
	all = !dg_any_shared(range) && dg_range_walk_pages(range, fn, ctx);
	put_dev_pagemap(pgmap);
	return all || dg_range_walk_files(target, end, &shared);
}

/* Private copies are not the device's memory. A device-dax has none. */
static bool dg_unmap_run(struct inode *inode, pgoff_t index, unsigned long nr, void *ctx)
{
	unmap_mapping_range(inode->i_mapping, (loff_t)index << PAGE_SHIFT,
			    (loff_t)nr << PAGE_SHIFT, 0);
	return false;
}

/*
 * The kernel's own list first: a page that it does not have in it is mapped again by
 * the next access.
 */
int dg_range_unmap(struct dg_target *target, const struct dg_range *range, bool badblocks,
		   bool *truncated)
{
	atomic64_inc(&dg_counters.unmaps);
	if (badblocks) {
		if (!target->disk || !target->disk->bb)
			return -EOPNOTSUPP;
		if (!dg_badblocks_set(target->disk->bb,
				      PFN_PHYS(range->pfn - target->pfn) >> SECTOR_SHIFT,
				      PFN_PHYS(range->nr) >> SECTOR_SHIFT))
			return -ENOSPC;
	}
	*truncated = !dg_range_walk(target, range, dg_locks_end(), dg_unmap_run, NULL);
	return 0;
}
