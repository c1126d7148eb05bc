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

/* How many entries, and how many of them point into the target. */
void dg_entries_count(struct address_space *mapping, const struct dg_target *target,
		      struct dg_entries *ret)
{
	XA_STATE(xas, &mapping->i_pages, 0);
	unsigned int seen = 0;
	void *entry;

	ret->total = 0;
	ret->in_range = 0;
	rcu_read_lock();
	xas_for_each(&xas, entry, ULONG_MAX) {
		if (xas_retry(&xas, entry))
			continue;
		ret->total++;
		ret->in_range += dg_entry_in_range(entry, target);
		if (++seen % DG_WALK_BATCH)
			continue;
		xas_pause(&xas);
		cond_resched_rcu();
	}
	rcu_read_unlock();
}

static bool dg_inode_is_dax(struct inode *inode)
{
	return dax_mapping(inode->i_mapping) &&
	       (!mapping_empty(inode->i_mapping) || mapping_mapped(inode->i_mapping));
}

/*
 * Call @fn for each inode in core that is mapped or has DAX entries. The list
 * lock is dropped around each call; the reference keeps our place in the list.
 * The caller keeps the superblock active.
 */
int dg_super_walk_inodes(struct super_block *sb, dg_inode_fn fn, void *ctx)
{
	struct inode *inode, *at = NULL;
	unsigned int passed = 0;
	bool stop = false;
	int ret = 0;

	spin_lock(&sb->s_inode_list_lock);
	list_for_each_entry(inode, &sb->s_inodes, i_sb_list) {
		bool wanted = dg_inode_is_dax(inode);

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

/* The inode a page belongs to, referenced; as dax_lock_folio() resolves it. */
static struct inode *dg_page_inode(struct page *page, bool *referred)
{
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
		/* Freed through RCU, and it had this entry a moment ago. */
		if (inode)
			inode = igrab(inode);
	}
	rcu_read_unlock();
	return inode;
}

/*
 * The proof: look at every page of the target, and count those that belong to
 * a file and those that somebody has pinned. A page that reflinked files share
 * belongs to one, but names none. Costs a look at each struct page.
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
		inode = dg_page_inode(page, &referred);
		ret->referred += referred;
		ret->pinned += dg_page_pinned(page);
		if (!inode)
			continue;
		if (inode == last) {
			iput(inode);
			continue;
		}
		iput(last);
		last = inode;
		if (fn && fn(inode, ctx))
			break;
	}
	iput(last);
	put_dev_pagemap(pgmap);
}
