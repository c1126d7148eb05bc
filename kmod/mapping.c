// SPDX-License-Identifier: GPL-2.0-only
/*
 * Who maps: each DAX inode's i_mmap names the mms, so the cost does not grow
 * with the mappings of processes that have nothing to do with the device, and
 * no mmap_lock of a stuck process is ever waited for.
 */
#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>

#include "compat.h"
#include "scan.h"

#define DG_COPIES_MAX 4096	/* pages of a range in which private copies are looked for */

struct dg_mm *dg_mm_find(struct dg_scan *scan, struct mm_struct *mm)
{
	struct dg_mm *entry;

	hash_for_each_possible(scan->mms, entry, node, (unsigned long)mm)
		if (entry->mm == mm)
			return entry;
	return NULL;
}

/* Under i_mmap_rwsem, which reclaim takes too: no allocation that reclaims. */
static struct dg_mm *dg_mm_get(struct dg_scan *scan, struct mm_struct *mm)
{
	struct dg_mm *entry = dg_mm_find(scan, mm);

	if (entry)
		return entry;
	entry = kzalloc(sizeof(*entry), GFP_NOWAIT | __GFP_NOWARN);
	if (!entry)
		return NULL;
	mmgrab(mm);
	entry->mm = mm;
	INIT_LIST_HEAD(&entry->vmas);
	hash_add(scan->mms, &entry->node, (unsigned long)mm);
	return entry;
}

static u32 dg_vma_flags(const struct vm_area_struct *vma)
{
	return (vma->vm_flags & VM_SHARED ? DAXGUARD_H_SHARED : 0) |
	       (vma->vm_flags & VM_WRITE ? DAXGUARD_H_WRITE : 0) |
	       (vma->vm_flags & VM_EXEC ? DAXGUARD_H_EXEC : 0);
}

/*
 * Has a private mapping a page of its own there? Not known of a process that is busy.
 * The mark of a page of several files looks like that of an anonymous one.
 */
static bool dg_vma_has_copy(struct vm_area_struct *vma, unsigned long addr)
{
	struct mm_struct *mm = vma->vm_mm;
	struct page *page;
	bool copy = false;

	if (vma->vm_flags & VM_SHARED || !mmget_not_zero(mm))
		return false;
	if (mmap_read_trylock(mm)) {
		if (dg_mapped_page(mm, addr, &page) == 1) {
			copy = PageAnon(page) && !is_zone_device_page(page);
			put_page(page);
		}
		mmap_read_unlock(mm);
	}
	mmput_async(mm);
	return copy;
}

/* A part of a mapping, as addresses; false: no more of them. */
static bool dg_scan_part(struct dg_scan *scan, struct inode *inode, struct vm_area_struct *vma,
			 unsigned long addr, unsigned long end)
{
	struct dg_mm *mm = dg_mm_get(scan, vma->vm_mm);
	struct dg_vma *entry = kzalloc(sizeof(*entry), GFP_NOWAIT | __GFP_NOWARN);

	if (!mm || !entry || ++scan->nr_vmas > DG_USAGES_MAX) {
		scan->snap->truncated = true;
		kfree(entry);
		return false;
	}
	entry->addr = addr;
	entry->len = end - addr;
	entry->offset = ((u64)vma->vm_pgoff << PAGE_SHIFT) + (addr - vma->vm_start);
	entry->flags = dg_vma_flags(vma);
	entry->fs_dev = dg_inode_dev(inode);
	entry->ino = inode->i_ino;
	list_add_tail(&entry->node, &mm->vmas);
	cond_resched();
	return true;
}

/* Of these pages, what of them is not a copy: where there is a copy, parts. */
static bool dg_scan_pages(struct dg_scan *scan, struct inode *inode, struct vm_area_struct *vma,
			  pgoff_t index, unsigned long nr)
{
	pgoff_t first = max(index, vma->vm_pgoff);
	pgoff_t last = min(index + nr, vma->vm_pgoff + vma_pages(vma));
	unsigned long addr, end, at;

	if (first >= last)
		return true;
	addr = vma->vm_start + ((first - vma->vm_pgoff) << PAGE_SHIFT);
	end = addr + ((last - first) << PAGE_SHIFT);
	for (at = addr; at < end && last - first <= DG_COPIES_MAX; at += PAGE_SIZE) {
		cond_resched();
		if (!dg_vma_has_copy(vma, at))
			continue;
		if (at > addr && !dg_scan_part(scan, inode, vma, addr, at))
			return false;
		addr = at + PAGE_SIZE;
	}
	return addr >= end || dg_scan_part(scan, inode, vma, addr, end);
}

static bool dg_scan_vma(struct dg_scan *scan, struct inode *inode, struct vm_area_struct *vma,
			pgoff_t index, unsigned long nr)
{
	if (scan->range)
		return dg_scan_pages(scan, inode, vma, index, nr);
	return dg_scan_part(scan, inode, vma, vma->vm_start, vma->vm_end);
}

void dg_scan_mappings(struct dg_scan *scan, struct inode *inode, pgoff_t index, unsigned long nr)
{
	struct address_space *mapping = inode->i_mapping;
	struct rb_node *rb;

	if (!mapping_mapped(mapping))
		return;
	if (!dg_trylock_until(dg_try_read, &mapping->i_mmap_rwsem, scan->snap->locks_end)) {
		scan->snap->truncated = true;
		return;
	}
	for (rb = rb_first_cached(&mapping->i_mmap); rb; rb = rb_next(rb))
		if (!dg_scan_vma(scan, inode, rb_entry(rb, struct vm_area_struct, shared.rb),
				 index, nr))
			break;
	i_mmap_unlock_read(mapping);
}

void dg_report_kernel(struct dg_scan *scan, const struct dg_vma *vma, dev_t dev, u64 ino)
{
	struct dg_usage *usage = dg_snapshot_usage(scan->snap);

	if (!usage)
		return;
	usage->use = DAXGUARD_USE_KERNEL;
	usage->fs_dev = dev;
	usage->ino = ino;
	usage->count = 1;
	if (vma) {
		usage->addr = vma->addr;
		usage->len = vma->len;
		usage->offset = vma->offset;
		usage->flags = vma->flags;
	}
}

void dg_scan_free_mms(struct dg_scan *scan)
{
	struct hlist_node *tmp;
	struct dg_mm *mm;
	unsigned int bucket;

	hash_for_each_safe(scan->mms, bucket, tmp, mm, node) {
		struct dg_vma *vma, *next;

		list_for_each_entry_safe(vma, next, &mm->vmas, node) {
			if (!mm->owner)
				dg_report_kernel(scan, vma, vma->fs_dev, vma->ino);
			kfree(vma);
		}
		hash_del(&mm->node);
		mmdrop(mm->mm);
		kfree(mm);
	}
}
