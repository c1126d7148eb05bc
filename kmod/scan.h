/* SPDX-License-Identifier: GPL-2.0-only */
/* A scan in progress: mappings first (mapping.c), then processes (holders.c). */
#ifndef _DAXGUARD_SCAN_H
#define _DAXGUARD_SCAN_H

#include <linux/hashtable.h>

#include "daxguard.h"

#define DG_MM_HASH_BITS	10

struct dg_vma {
	struct list_head node;
	u64 addr, len, offset;
	u32 flags;			/* DAXGUARD_H_* */
	dev_t fs_dev;
	u64 ino;
};

struct dg_mm {
	struct hlist_node node;
	struct mm_struct *mm;		/* mmgrab()ed */
	struct list_head vmas;
	u32 owner;			/* the first process that was found to have it; 0: none */
};

struct dg_scan {
	struct dg_snapshot *snap;
	struct dg_target *target;
	struct dg_request *req;		/* NULL: of a device that is not removed */
	const struct dg_range *range;	/* NULL: all of it, and all uses, not only mappings */
	struct dg_supers supers;
	struct dg_fs *fs;		/* of the superblock that is walked */
	unsigned int nr_vmas;
	DECLARE_HASHTABLE(mms, DG_MM_HASH_BITS);
};

/* What FS_DEV says: the superblock, or the character device itself. */
static inline dev_t dg_inode_dev(const struct inode *inode)
{
	return S_ISCHR(inode->i_mode) ? inode->i_rdev : inode->i_sb->s_dev;
}

/* mapping.c; of @nr pages from @index on */
void dg_scan_mappings(struct dg_scan *scan, struct inode *inode, pgoff_t index, unsigned long nr);
struct dg_mm *dg_mm_find(struct dg_scan *scan, struct mm_struct *mm);
void dg_report_kernel(struct dg_scan *scan, const struct dg_vma *vma, dev_t dev, u64 ino);
/* Report mms without a process (exiting, or the kernel's own), and free all. */
void dg_scan_free_mms(struct dg_scan *scan);

#endif
