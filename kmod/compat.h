/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What differs between the kernels we build for, 6.1 to 7.x, behind one name
 * each. The only file with version checks.
 */
#ifndef _DAXGUARD_COMPAT_H
#define _DAXGUARD_COMPAT_H

#include <linux/badblocks.h>
#include <linux/blkdev.h>
#include <linux/dax.h>
#include <linux/fs.h>
#include <linux/fs_struct.h>
#include <linux/mm.h>
#include <linux/memremap.h>
#include <linux/version.h>
#include <net/genetlink.h>

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 17, 0)
#include <linux/pfn_t.h>
#endif

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 6, 0)
#define DG_BD_SUPER	/* block devices name their superblock, not their holder's ops */
#endif
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 15, 0)
#define DG_DAX_FOLIOS	/* DAX pages are refcounted folios */
#endif

static inline u8 dg_partno(const struct block_device *bdev)
{
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 10, 0)
	return bdev->bd_partno;
#else
	return bdev_partno(bdev);
#endif
}

static inline struct address_space *dg_bdev_mapping(const struct block_device *bdev)
{
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 10, 0)
	return bdev->bd_inode->i_mapping;
#else
	return bdev->bd_mapping;
#endif
}

/* The attributes of a dump request, in its start(). */
static inline struct nlattr **dg_dump_attrs(struct netlink_callback *cb)
{
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 6, 0)
	return genl_dumpit_info(cb)->attrs;
#else
	return genl_info_dump(cb)->attrs;
#endif
}

static inline long dg_dax_pfn(struct dax_device *dax, long nr, unsigned long *pfn)
{
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 17, 0)
	pfn_t p;
	long ret = dax_direct_access(dax, 0, nr, DAX_RECOVERY_WRITE, NULL, &p);

	if (ret > 0)
		*pfn = pfn_t_to_pfn(p);
	return ret;
#else
	return dax_direct_access(dax, 0, nr, DAX_RECOVERY_WRITE, NULL, pfn);
#endif
}

static inline struct dev_pagemap *dg_get_pagemap(unsigned long pfn)
{
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 18, 0)
	return get_dev_pagemap(pfn, NULL);
#else
	return get_dev_pagemap(pfn);
#endif
}

/* Exported, but declared in drivers/dax only. */
struct inode *dax_inode(struct dax_device *dax);
struct dax_device *inode_dax(struct inode *inode);

#define DG_PAGE_SHARED ((struct address_space *)1)

/*
 * The mapping a DAX page belongs to: NULL for none, DG_PAGE_SHARED when
 * several files share it and none is named. A snapshot: check again under the
 * mapping's i_pages lock.
 */
static inline struct address_space *dg_page_mapping(struct page *page)
{
#ifdef DG_DAX_FOLIOS
	struct folio *folio = page_folio(page);
	struct address_space *mapping = READ_ONCE(folio->mapping);

	if (!mapping && READ_ONCE(folio->share))
		return DG_PAGE_SHARED;
	return mapping;
#else
	struct address_space *mapping = READ_ONCE(page->mapping);

	if ((unsigned long)mapping & PAGE_MAPPING_FLAGS)
		return DG_PAGE_SHARED;
	return mapping;
#endif
}

/* Does a page of this file that several share say so? */
static inline bool dg_shared_pages_say_so(const struct inode *inode)
{
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 2, 0)
	/* XFS does not, of what was only read: the last file to touch it is named. */
	return strcmp(inode->i_sb->s_type->name, "xfs");
#else
	return true;
#endif
}

/* Where in the file; with a mapping that was not checked, as good as that. */
static inline pgoff_t dg_page_index(struct page *page)
{
#ifdef DG_DAX_FOLIOS
	struct folio *folio = page_folio(page);

	return folio->index + folio_page_idx(folio, page);
#else
	return page->index;
#endif
}

/* Referenced by more than the device itself; of an unmapped page that is a pin. */
static inline bool dg_page_pinned(struct page *page)
{
#ifdef DG_DAX_FOLIOS
	return folio_ref_count(page_folio(page)) > 0;
#else
	return page_ref_count(page) > 1;
#endif
}

/*
 * Drop all DAX entries of an inode that has no busy page; the caller holds
 * invalidate_lock for writing. false: a page was pinned after all.
 */
static inline bool dg_drop_entries(struct inode *inode)
{
#ifdef DG_DAX_FOLIOS
	return !dax_break_layout(inode, 0, LLONG_MAX, NULL);
#else
	truncate_inode_pages(inode->i_mapping, 0);
	return true;
#endif
}

/* The page that is mapped there now, referenced; nothing is faulted in. */
static inline long dg_mapped_page(struct mm_struct *mm, unsigned long addr, struct page **page)
{
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 5, 0)
	return get_user_pages_remote(mm, addr, 1, FOLL_NOFAULT, page, NULL, NULL);
#else
	return get_user_pages_remote(mm, addr, 1, FOLL_NOFAULT, page, NULL);
#endif
}

/* The first bad blocks at or behind @at, which may begin before it. */
static inline bool dg_badblocks_next(struct badblocks *bb, sector_t at, sector_t nr,
				     sector_t *first, sector_t *len)
{
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 15, 0)
	int bad = 0;

	if (!badblocks_check(bb, at, min_t(sector_t, nr, INT_MAX), first, &bad))
		return false;
	*len = bad;
	return true;
#else
	return badblocks_check(bb, at, nr, first, len);
#endif
}

static inline bool dg_badblocks_set(struct badblocks *bb, sector_t at, sector_t nr)
{
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 15, 0)
	return nr <= INT_MAX && !badblocks_set(bb, at, nr, 1);
#else
	return badblocks_set(bb, at, nr, 1);
#endif
}

static inline bool dg_super_has_mounts(struct super_block *sb)
{
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 18, 0)
	return !list_empty(&sb->s_mounts);
#else
	return READ_ONCE(sb->s_mounts);
#endif
}

static inline int dg_thaw_super(struct super_block *sb)
{
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 6, 0)
	return thaw_super(sb);
#elif LINUX_VERSION_CODE < KERNEL_VERSION(6, 16, 0)
	return thaw_super(sb, FREEZE_HOLDER_USERSPACE);
#else
	return thaw_super(sb, FREEZE_HOLDER_USERSPACE, NULL);
#endif
}

/* Shut the file system down from inside. false: this kernel or file system cannot. */
static inline bool dg_super_op_shutdown(struct super_block *sb)
{
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 6, 0)
	return false;
#else
	if (!sb->s_op->shutdown)
		return false;
	sb->s_op->shutdown(sb);
	return true;
#endif
}

#ifndef DG_BD_SUPER
/*
 * Are these the VFS's own holder ops? The holder is then a superblock, or the
 * file_system_type of several that share the device.
 */
static inline bool dg_holder_ops_are_vfs(const struct blk_holder_ops *ops)
{
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 18, 0)
	return ops == &fs_holder_ops;
#else
	/* no longer exported; the VFS's are the only ones with this method */
	return ops && ops->mark_dead && ops->freeze;
#endif
}
#endif

/* Threads that the kernel made in a process; they take no signals. */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 4, 0)
#define DG_PF_WORKER PF_IO_WORKER
#else
#define DG_PF_WORKER (PF_IO_WORKER | PF_USER_WORKER)
#endif

/* A file system that can live on without one of its devices is left to do so. */
static inline bool dg_super_survives(struct super_block *sb)
{
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 18, 0)
	return false;
#else
	return sb->s_op->remove_bdev;
#endif
}

static inline void dg_fs_roots(struct fs_struct *fs, struct path *root, struct path *pwd)
{
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 18, 0)
	spin_lock(&fs->lock);
	*root = fs->root;
	*pwd = fs->pwd;
	spin_unlock(&fs->lock);
#else
	read_seqlock_excl(&fs->seq);
	*root = fs->root;
	*pwd = fs->pwd;
	read_sequnlock_excl(&fs->seq);
#endif
}

#endif
