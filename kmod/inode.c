// SPDX-License-Identifier: GPL-2.0-only
/*
 * Inodes with DAX entries, found from two sides: from a superblock, and from
 * the pages of the device themselves, which finds them whatever is stacked in
 * between.
 */
#include <linux/dax.h>
#include <linux/fs.h>
#include <linux/pagemap.h>
#include <linux/rcupdate_wait.h>
#include <linux/xarray.h>

#include "compat.h"
#include "daxguard.h"

/*
 * A DAX entry is an xarray value: the pfn above four flag bits, of which two
 * say that no page is behind it. fs/dax.c, the same from 4.20 to 7.x.
 */
#define DG_DAX_SHIFT	4
#define DG_DAX_PMD	BIT(1)
#define DG_DAX_ZERO	BIT(2)
#define DG_DAX_EMPTY	BIT(3)

#define DG_WALK_BATCH	4096

static bool dg_entry_in_range(void *entry, const struct dg_target *target)
{
	unsigned long value, pfn;

	if (!xa_is_value(entry))
		return false;
	value = xa_to_value(entry);
	if (value & (DG_DAX_ZERO | DG_DAX_EMPTY))
		return false;
	pfn = value >> DG_DAX_SHIFT;
	return pfn >= target->pfn && pfn - target->pfn < target->nr_pfns;
}

/* Pages of an entry that somebody holds; of an unmapped file these are pins. */
static unsigned long dg_entry_busy(unsigned long value)
{
	unsigned long nr = value & DG_DAX_PMD ? 1UL << (PMD_SHIFT - PAGE_SHIFT) : 1;
	unsigned long pfn = value >> DG_DAX_SHIFT, busy = 0;

	while (nr--)
		busy += dg_page_pinned(pfn_to_page(pfn++));
	return busy;
}

/*
 * How many entries, how many of them point into the target, and how many pages
 * of these are referenced. The kernel's own test for the last says no for a
 * file that nobody maps any more, before 6.15: but its pages may be in a pipe.
 */
void dg_entries_count(struct address_space *mapping, const struct dg_target *target,
		      struct dg_entries *ret)
{
	struct dev_pagemap *pgmap = target->nr_pfns ? dg_get_pagemap(target->pfn) : NULL;
	XA_STATE(xas, &mapping->i_pages, 0);
	unsigned int seen = 0;
	void *entry;

	memset(ret, 0, sizeof(*ret));
	rcu_read_lock();
	xas_for_each(&xas, entry, ULONG_MAX) {
		if (xas_retry(&xas, entry))
			continue;
		ret->total++;
		if (dg_entry_in_range(entry, target)) {
			ret->in_range++;
			if (pgmap)
				ret->busy += dg_entry_busy(xa_to_value(entry));
		}
		if (++seen % DG_WALK_BATCH)
			continue;
		xas_pause(&xas);
		cond_resched_rcu();
	}
	rcu_read_unlock();
	if (pgmap)
		put_dev_pagemap(pgmap);
}

/* What is to be revoked: with entries, or with mappings that may make some. */
bool dg_inode_is_dax(struct inode *inode)
{
	return dax_mapping(inode->i_mapping) &&
	       (!mapping_empty(inode->i_mapping) || mapping_mapped(inode->i_mapping));
}

/* What keeps its file system busy, be it through the page cache (dax=never). */
bool dg_inode_is_used(struct inode *inode)
{
	return mapping_mapped(inode->i_mapping) || IS_SWAPFILE(inode) || dg_inode_is_dax(inode);
}

/*
 * Call @fn for each inode in core that @is_wanted. The list lock is dropped
 * around each call; the reference keeps our place in the list. The caller keeps
 * the superblock active.
 */
int dg_super_walk_inodes(struct super_block *sb, bool (*is_wanted)(struct inode *inode),
			 dg_inode_fn fn, void *ctx)
{
	struct inode *inode, *at = NULL;
	unsigned int passed = 0;
	bool stop = false;
	int ret = 0;

	spin_lock(&sb->s_inode_list_lock);
	list_for_each_entry(inode, &sb->s_inodes, i_sb_list) {
		bool wanted = is_wanted(inode);

		if (!wanted && ++passed % DG_WALK_BATCH)
			continue;
		if (!igrab(inode)) {
			if (wanted)
				ret = -EAGAIN;
			continue;
		}
		spin_unlock(&sb->s_inode_list_lock);
		iput(at);
		at = inode;
		if (wanted)
			stop = fn(inode, ctx);
		cond_resched();
		spin_lock(&sb->s_inode_list_lock);
		if (stop)
			break;
	}
	spin_unlock(&sb->s_inode_list_lock);
	iput(at);
	return ret;
}

/* A page's inode with its superblock, which must not be shut down under it. */
void dg_put_inode_active(struct inode *inode)
{
	struct super_block *sb = inode->i_sb;

	iput(inode);
	dg_drop_super(sb);
}

/*
 * The inode of a page, with an active reference on its superblock; resolved as
 * dax_lock_folio() does. NULL, with *referred: it names none (reflinked files
 * share it), or one that an umount is about to evict.
 */
struct inode *dg_page_inode(struct page *page, bool *referred)
{
	struct super_block *drop = NULL;
	struct address_space *mapping;
	struct inode *inode = NULL;

	*referred = false;
	rcu_read_lock();
	mapping = dg_page_mapping(page);
	if (mapping == DG_PAGE_SHARED) {
		*referred = true;
	} else if (mapping) {
		xa_lock_irq(&mapping->i_pages);
		if (dg_page_mapping(page) == mapping) {
			*referred = true;
			inode = mapping->host;
		}
		xa_unlock_irq(&mapping->i_pages);
	}
	/* It had this page a moment ago; inodes and superblocks go through RCU. */
	if (inode && !atomic_inc_not_zero(&inode->i_sb->s_active)) {
		inode = NULL;
	} else if (inode && !igrab(inode)) {
		drop = inode->i_sb;
		inode = NULL;
	}
	rcu_read_unlock();
	if (drop)
		dg_drop_super(drop);
	return inode;
}

/*
 * Which file, and where, without a reference on anything: under the lock, with an
 * entry in it, the inode stays. A device-dax makes no entries, nor does it let go
 * of its pages; of these there is nothing to be read.
 */
void dg_page_place(struct page *page, struct dg_place *ret)
{
	struct address_space *mapping;
	struct inode *inode;

	memset(ret, 0, sizeof(*ret));
	rcu_read_lock();
	mapping = dg_page_mapping(page);
	if (mapping == DG_PAGE_SHARED) {
		ret->kind = DG_PLACE_SHARED;
	} else if (mapping) {
		xa_lock_irq(&mapping->i_pages);
		inode = mapping->host;
		if (dg_page_mapping(page) == mapping && S_ISREG(inode->i_mode)) {
			ret->kind = DG_PLACE_FILE;
			ret->fs_dev = inode->i_sb->s_dev;
			ret->ino = inode->i_ino;
			ret->generation = inode->i_generation;
			ret->offset = (u64)dg_page_index(page) << PAGE_SHIFT;
		}
		xa_unlock_irq(&mapping->i_pages);
	}
	rcu_read_unlock();
}

/* A part of a file, from an entry. */
struct dg_run {
	pgoff_t index;
	unsigned long nr;		/* 0: none of it is in the range */
	pgoff_t next;			/* where the entry ends */
};

static void dg_entry_run(void *entry, unsigned long index, const struct dg_range *range,
			 struct dg_run *ret)
{
	unsigned long value, pfn, nr, first, end;

	ret->nr = 0;
	if (!xa_is_value(entry))
		return;
	value = xa_to_value(entry);
	if (value & (DG_DAX_ZERO | DG_DAX_EMPTY))
		return;
	pfn = value >> DG_DAX_SHIFT;
	nr = value & DG_DAX_PMD ? 1UL << (PMD_SHIFT - PAGE_SHIFT) : 1;
	index = round_down(index, nr);
	ret->next = index + nr;
	first = max(pfn, range->pfn);
	end = min(pfn + nr, range->pfn + range->nr);
	if (first >= end)
		return;
	ret->index = index + (first - pfn);
	ret->nr = end - first;
}

/* The first one at or behind @index. */
static void dg_entries_find(struct address_space *mapping, pgoff_t index,
			    const struct dg_range *range, struct dg_run *ret)
{
	XA_STATE(xas, &mapping->i_pages, index);
	unsigned int seen = 0;
	void *entry;

	ret->nr = 0;
	rcu_read_lock();
	xas_for_each(&xas, entry, ULONG_MAX) {
		if (xas_retry(&xas, entry))
			continue;
		dg_entry_run(entry, xas.xa_index, range, ret);
		if (ret->nr)
			break;
		if (++seen % DG_WALK_BATCH)
			continue;
		xas_pause(&xas);
		cond_resched_rcu();
	}
	rcu_read_unlock();
}

/*
 * Found in the file, not by the pages: those that several files share name none.
 * @fn may sleep, so the walk begins anew behind each run.
 */
bool dg_entries_walk(struct inode *inode, const struct dg_range *range, dg_run_fn fn, void *ctx)
{
	struct dg_run run = {};

	for (;;) {
		dg_entries_find(inode->i_mapping, run.next, range, &run);
		if (!run.nr)
			return false;
		if (fn(inode, run.index, run.nr, ctx))
			return true;
	}
}

/*
 * The proof: look at every page of the target, and count those that belong to
 * a file and those that somebody has pinned. Costs a look at each struct page.
 */
void dg_target_walk_pages(const struct dg_target *target, dg_inode_fn fn, void *ctx,
			  struct dg_pages *ret)
{
	struct dev_pagemap *pgmap;
	struct inode *last = NULL;
	unsigned long i;

	memset(ret, 0, sizeof(*ret));
	if (!target->nr_pfns)
		return;
	pgmap = dg_get_pagemap(target->pfn);
	if (!pgmap)
		return;
	for (i = 0; i < target->nr_pfns; i++) {
		struct page *page = pfn_to_page(target->pfn + i);
		struct inode *inode;
		bool referred;

		if (!(i % DG_WALK_BATCH))
			cond_resched();
		ret->pinned += dg_page_pinned(page);
		if (last && dg_page_mapping(page) == last->i_mapping) {
			ret->referred++;
			continue;
		}
		inode = dg_page_inode(page, &referred);
		ret->referred += referred;
		if (!inode)
			continue;
		if (last)
			dg_put_inode_active(last);
		last = inode;
		if (fn && fn(inode, ctx))
			break;
	}
	if (last)
		dg_put_inode_active(last);
	put_dev_pagemap(pgmap);
}
