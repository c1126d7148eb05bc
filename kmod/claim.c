// SPDX-License-Identifier: GPL-2.0-only
/*
 * Claims: which file systems live on a target.
 *
 * A superblock is found through the block device it has claimed, on every
 * layer of the target, never by walking the superblocks of a type: that takes
 * s_umount of each, also of one that an unrelated umount keeps for ever.
 *
 * An active reference makes an umount return before the file system is gone,
 * so these references are kept for one operation at a time.
 */
#include <linux/fs.h>
#include <linux/slab.h>

#include "compat.h"
#include "daxguard.h"

bool dg_try_read(void *rwsem)
{
	return down_read_trylock(rwsem);
}

bool dg_try_write(void *rwsem)
{
	return down_write_trylock(rwsem);
}

bool dg_try_mutex(void *mutex)
{
	return mutex_trylock(mutex);
}

/* Try for @ms; sleeps between two tries. */
bool dg_trylock_until(bool (*try)(void *lock), void *lock, unsigned int ms)
{
	unsigned long end = jiffies + msecs_to_jiffies(ms);

	while (!try(lock)) {
		if (time_after(jiffies, end))
			return false;
		schedule_timeout_uninterruptible(1);
	}
	return true;
}

/* A superblock that is not being shut down; its memory is freed through RCU. */
static enum dg_claim dg_super_get(struct super_block *sb, struct super_block **ret)
{
	if (!atomic_inc_not_zero(&sb->s_active))
		return DG_CLAIM_DYING;
	*ret = sb;
	return DG_CLAIM_FS;
}

#ifdef DG_BD_SUPER
static enum dg_claim dg_bdev_claim(struct block_device *bdev, struct super_block **ret)
{
	enum dg_claim claim = DG_CLAIM_NONE;
	struct super_block *sb;

	rcu_read_lock();
	sb = READ_ONCE(bdev->bd_super);
	if (sb)
		claim = dg_super_get(sb, ret);
	else if (READ_ONCE(bdev->bd_holder))
		claim = DG_CLAIM_OTHER;
	rcu_read_unlock();
	return claim;
}
#else
static enum dg_claim dg_bdev_claim(struct block_device *bdev, struct super_block **ret)
{
	enum dg_claim claim = DG_CLAIM_NONE;

	/* The holder cannot leave while this is held. */
	if (!dg_trylock_until(dg_try_mutex, &bdev->bd_holder_lock, dg_lock_ms))
		return DG_CLAIM_LOCKED;
	if (bdev->bd_holder && dg_holder_is_super(bdev->bd_holder_ops))
		claim = dg_super_get(bdev->bd_holder, ret);
	else if (bdev->bd_holder)
		claim = DG_CLAIM_OTHER;
	mutex_unlock(&bdev->bd_holder_lock);
	return claim;
}
#endif

/* Takes over the reference. */
static void dg_supers_add(struct dg_supers *supers, struct super_block *sb, dev_t dev)
{
	unsigned int i;

	for (i = 0; i < supers->nr; i++)
		if (supers->at[i].sb == sb)
			goto drop;
	if (supers->nr == DG_SUPERS_MAX) {
		supers->truncated = true;
		goto drop;
	}
	supers->at[supers->nr].sb = sb;
	supers->at[supers->nr].dev = dev;
	supers->nr++;
	return;
drop:
	deactivate_super(sb);
}

/* Returns whether the inode's superblock is among them now. */
bool dg_supers_add_inode(struct dg_supers *supers, struct inode *inode)
{
	struct super_block *sb;

	if (dg_super_get(inode->i_sb, &sb) != DG_CLAIM_FS)
		return false;
	dg_supers_add(supers, sb, 0);
	return true;
}

static bool dg_add_page_super(struct inode *inode, void *ctx)
{
	dg_supers_add_inode(ctx, inode);
	return false;
}

/*
 * All superblocks on the target. Where the DAX device has a holder and no
 * superblock was seen, its pages are asked: a device that is only part of a
 * file system (XFS realtime) names no superblock before 6.6.
 */
void dg_supers_collect(struct dg_target *target, struct dg_supers *supers)
{
	struct dg_layers *layers = kzalloc(sizeof(*layers), GFP_KERNEL);
	struct super_block *sb;
	struct dg_pages pages;
	unsigned int i;

	memset(supers, 0, sizeof(*supers));
	if (!layers) {
		supers->truncated = true;
		return;
	}
	dg_layers_collect(target, layers);
	supers->truncated = layers->truncated;
	for (i = 0; i < layers->nr; i++) {
		supers->stacked += layers->at[i].stacked;
		switch (dg_bdev_claim(layers->at[i].bdev, &sb)) {
		case DG_CLAIM_FS:
			dg_supers_add(supers, sb, layers->at[i].bdev->bd_dev);
			break;
		case DG_CLAIM_DYING:
			supers->dying++;
			break;
		case DG_CLAIM_LOCKED:
			supers->truncated = true;
			break;
		case DG_CLAIM_OTHER:
		case DG_CLAIM_NONE:
			break;
		}
	}
	if (!supers->nr && !supers->dying && target->dax && dax_holder(target->dax)) {
		dg_target_walk_pages(target, dg_add_page_super, supers, &pages);
		if (!supers->nr)
			supers->unknown++;
	}
	dg_layers_put(layers);
	kfree(layers);
}

/*
 * Drop the references. One may be the last, and then this is the umount:
 * whatever it waits for, it waits for here.
 */
void dg_supers_put(struct dg_supers *supers)
{
	while (supers->nr)
		deactivate_super(supers->at[--supers->nr].sb);
}

/*
 * In use: a file system's claim, a dm or md claim, or a holder of the DAX
 * device. Openers do not count: ndctl and udev open idle devices at will.
 */
bool dg_target_in_use(struct dg_target *target)
{
	struct dg_supers *supers = kzalloc(sizeof(*supers), GFP_KERNEL);
	bool in_use;

	if (!supers)
		return true;
	dg_supers_collect(target, supers);
	in_use = supers->nr || supers->dying || supers->unknown || supers->stacked ||
		 supers->truncated;
	dg_supers_put(supers);
	kfree(supers);
	return in_use;
}

int dg_super_sync(struct super_block *sb)
{
	int ret;

	if (!dg_trylock_until(dg_try_read, &sb->s_umount, dg_lock_ms))
		return -EBUSY;
	ret = sb->s_root ? sync_filesystem(sb) : 0;
	up_read(&sb->s_umount);
	return ret;
}

/*
 * Sync, and stop the file system from touching its device. -EOPNOTSUPP:
 * synced, but it has no way to be shut down from inside.
 */
int dg_super_shutdown(struct super_block *sb, bool surprise)
{
	int ret = 0;

	if (!dg_trylock_until(dg_try_read, &sb->s_umount, dg_lock_ms))
		return -EBUSY;
	if (sb->s_root && (sb->s_flags & SB_ACTIVE)) {
		if (!surprise)
			sync_filesystem(sb);
		if (!dg_super_op_shutdown(sb))
			ret = -EOPNOTSUPP;
	}
	up_read(&sb->s_umount);
	return ret;
}

/* A frozen file system keeps its mappers in uninterruptible faults. */
void dg_super_thaw(struct super_block *sb)
{
	unsigned int tries;

	for (tries = 0; tries < 3 && sb->s_writers.frozen != SB_UNFROZEN; tries++) {
		if (!dg_trylock_until(dg_try_write, &sb->s_umount, dg_lock_ms))
			return;
		up_write(&sb->s_umount);
		if (dg_thaw_super(sb))
			return;
	}
}
