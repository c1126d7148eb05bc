// SPDX-License-Identifier: GPL-2.0-only
/*
 * Claims: which file systems live on a target.
 *
 * A superblock is found through the block device it has claimed, on every
 * layer of the target, never by walking the superblocks of a type: that takes
 * s_umount of each, also of one that an unrelated umount keeps for ever.
 *
 * Looking takes no reference. Working with a superblock does, an active one,
 * which makes an umount return before the file system is gone; so it is kept
 * for one operation at a time, and the last one is dropped by the worker.
 */
#include <linux/fs.h>
#include <linux/mm.h>
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

/* Try until @end (jiffies), once at least; sleeps between two tries. */
bool dg_trylock_until(bool (*try)(void *lock), void *lock, unsigned long end)
{
	while (!try(lock)) {
		if (time_after_eq(jiffies, end))
			return false;
		schedule_timeout_uninterruptible(1);
	}
	return true;
}

unsigned long dg_locks_end(void)
{
	return jiffies + msecs_to_jiffies(dg_lock_ms);
}

bool dg_trylock(bool (*try)(void *lock), void *lock)
{
	return dg_trylock_until(try, lock, dg_locks_end());
}

/*
 * Superblocks, open files, XFS mounts and swap areas come from the slab; a
 * holder that does not is a file_system_type, which btrfs and erofs claim with,
 * and before 6.6 every mount does: of which superblock, it does not say. Not
 * where the device carries others: then it is dm's or a claimed partition's mark.
 */
static bool dg_holder_is_object(const void *holder)
{
	return virt_addr_valid(holder) && PageSlab(virt_to_head_page(holder));
}

/* What claims one device. */
struct dg_claimed {
	bool get;			/* in: reference the superblock, if there is one */
	struct super_block *sb;		/* without a reference it may only be compared */
	struct dg_stacked mounted;	/* where it is mounted from */
	bool survives;
};

static enum dg_claim dg_claim_super(struct super_block *sb, struct dg_claimed *ret)
{
	ret->sb = sb;
	strscpy(ret->mounted.name, sb->s_id, sizeof(ret->mounted.name));
	ret->mounted.dev = sb->s_dev;
	ret->survives = dg_super_survives(sb);
	if (ret->get ? atomic_inc_not_zero(&sb->s_active) : !!atomic_read(&sb->s_active))
		return DG_CLAIM_FS;
	return DG_CLAIM_DYING;
}

/*
 * An object that is no superblock: a file, if a process has the device open
 * exclusively (ndctl, mkfs; from 6.10 on swap does the same), else something of
 * the kernel's. The caller keeps it from leaving.
 */
static enum dg_claim dg_claim_object(struct block_device *bdev, void *holder)
{
	struct address_space *mapping = dg_bdev_mapping(bdev);
	const struct file *file = holder;

	if (ksize(holder) >= sizeof(*file) && file->f_mapping == mapping &&
	    !IS_SWAPFILE(mapping->host))
		return DG_CLAIM_OTHER;
	return DG_CLAIM_KERNEL;
}

/* The claim on one device. @end: for how long to try. */
#ifdef DG_BD_SUPER
struct dg_by_holder {
	const void *holder;
	struct dg_claimed *ret;
	enum dg_claim claim;
};

/* Is the holder the superblock of this device, or XFS's mount of it? */
static int dg_match_holder(struct device *dev, void *data)
{
	struct dg_by_holder *by = data;
	struct super_block *sb;

	rcu_read_lock();
	sb = READ_ONCE(dev_to_bdev(dev)->bd_super);
	if (sb && (sb == by->holder || sb->s_fs_info == by->holder))
		by->claim = dg_claim_super(sb, by->ret);
	rcu_read_unlock();
	return by->claim != DG_CLAIM_NONE;
}

/* An object's: the journal of ext4, the log or real-time device of XFS, … */
static enum dg_claim dg_claim_by_object(struct block_device *bdev, struct dg_claimed *ret)
{
	struct dg_by_holder by = { .holder = bdev->bd_holder, .ret = ret };

	if (!by.holder)
		return DG_CLAIM_NONE;
	class_for_each_device(bdev->bd_device.class, NULL, &by, dg_match_holder);
	return by.claim ?: dg_claim_object(bdev, bdev->bd_holder);
}

static enum dg_claim dg_bdev_claim(const struct dg_layer *layer, unsigned long end,
				   struct dg_claimed *ret)
{
	struct block_device *bdev = layer->bdev;
	struct super_block *sb;
	enum dg_claim claim;
	const void *holder;

	/* Superblocks are freed through RCU. */
	rcu_read_lock();
	holder = READ_ONCE(bdev->bd_holder);
	sb = READ_ONCE(bdev->bd_super);
	claim = sb ? dg_claim_super(sb, ret) : DG_CLAIM_NONE;
	rcu_read_unlock();
	if (sb || !holder)
		return claim;
	if (layer->carries)
		return DG_CLAIM_OTHER;
	if (!dg_holder_is_object(holder))
		/* an umount clears bd_super first; btrfs never sets it */
		return DG_CLAIM_TYPE;
	/* The holder cannot leave while this is held. */
	if (!dg_trylock_until(dg_try_mutex, &bdev->bd_disk->open_mutex, end))
		return DG_CLAIM_LOCKED;
	claim = dg_claim_by_object(bdev, ret);
	mutex_unlock(&bdev->bd_disk->open_mutex);
	return claim;
}
#else
static enum dg_claim dg_bdev_claim(const struct dg_layer *layer, unsigned long end,
				   struct dg_claimed *ret)
{
	struct block_device *bdev = layer->bdev;
	enum dg_claim claim = DG_CLAIM_NONE;
	void *holder;

	/* The holder cannot leave while this is held. */
	if (!dg_trylock_until(dg_try_mutex, &bdev->bd_holder_lock, end))
		return DG_CLAIM_LOCKED;
	holder = bdev->bd_holder;
	if (holder && !dg_holder_is_object(holder))
		claim = layer->carries ? DG_CLAIM_OTHER : DG_CLAIM_TYPE;
	else if (holder && dg_holder_ops_are_vfs(bdev->bd_holder_ops))
		claim = dg_claim_super(holder, ret);
	else if (holder)
		claim = layer->carries ? DG_CLAIM_OTHER : dg_claim_object(bdev, holder);
	mutex_unlock(&bdev->bd_holder_lock);
	return claim;
}
#endif

/*
 * The device from which the file system on a layer is mounted, if it is another
 * one: its journal, log or real-time device is here, its data elsewhere. Not of
 * one that can do without this device.
 */
bool dg_layer_mounted(const struct dg_layer *layer, unsigned long end, struct dg_stacked *ret)
{
	struct dg_claimed claimed = {};

	if (dg_bdev_claim(layer, end, &claimed) != DG_CLAIM_FS || claimed.survives ||
	    claimed.mounted.dev == layer->bdev->bd_dev)
		return false;
	*ret = claimed.mounted;
	return true;
}

static void dg_claims_count(struct dg_claims *claims, enum dg_claim claim)
{
	claims->fs += claim == DG_CLAIM_FS;
	claims->dying += claim == DG_CLAIM_DYING;
	claims->type += claim == DG_CLAIM_TYPE;
	claims->kernel += claim == DG_CLAIM_KERNEL;
	claims->unseen |= claim == DG_CLAIM_LOCKED;
}

/*
 * What claims the target now; *found: whether @wanted is among it. @end: until
 * when to try for locks; who must not wait says now, and each is tried once.
 */
void dg_claims_look(struct dg_target *target, unsigned long end, const struct super_block *wanted,
		    struct dg_claims *ret, bool *found)
{
	struct dg_layers *layers = kzalloc(sizeof(*layers), GFP_KERNEL);
	unsigned int i;

	memset(ret, 0, sizeof(*ret));
	if (!layers) {
		ret->unseen = true;
		return;
	}
	dg_layers_collect(target, layers, end);
	ret->unseen = layers->truncated;
	ret->stacked = layers->md;
	for (i = 0; i < layers->nr; i++) {
		struct dg_claimed claimed = {};
		enum dg_claim claim = dg_bdev_claim(&layers->at[i], end, &claimed);

		dg_claims_count(ret, claim);
		ret->stacked += layers->at[i].stacked;
		if (found && claim == DG_CLAIM_FS && claimed.sb == wanted)
			*found = true;
	}
	ret->dax_held = target->dax && dax_holder(target->dax);
	ret->mapped = dg_target_mapping(target) && mapping_mapped(dg_target_mapping(target));
	dg_layers_put(layers);
	kfree(layers);
}

bool dg_supers_has(const struct dg_supers *supers, const struct super_block *sb)
{
	unsigned int i;

	for (i = 0; i < supers->nr; i++)
		if (supers->at[i].sb == sb)
			return true;
	return false;
}

/* Takes over the reference. */
static void dg_supers_add(struct dg_supers *supers, struct super_block *sb, dev_t dev)
{
	if (dg_supers_has(supers, sb)) {
		dg_drop_super(sb);
	} else if (supers->nr == DG_SUPERS_MAX) {
		supers->truncated = true;
		dg_drop_super(sb);
	} else {
		supers->at[supers->nr].sb = sb;
		supers->at[supers->nr].dev = dev;
		supers->nr++;
	}
}

static bool dg_add_page_super(struct inode *inode, void *ctx)
{
	if (atomic_inc_not_zero(&inode->i_sb->s_active))
		dg_supers_add(ctx, inode->i_sb, inode->i_sb->s_dev);
	return false;
}

/*
 * All superblocks on the target, referenced. Where a claim names none, the
 * pages are asked: a device may be one of several of a file system (XFS
 * realtime before 6.6), or be shared by several (erofs). @end: as above.
 */
void dg_supers_collect(struct dg_target *target, struct dg_supers *supers, unsigned long end)
{
	struct dg_layers *layers = kzalloc(sizeof(*layers), GFP_KERNEL);
	struct dg_pages pages;
	unsigned int i;

	memset(supers, 0, sizeof(*supers));
	if (!layers) {
		supers->truncated = true;
		return;
	}
	dg_layers_collect(target, layers, end);
	for (i = 0; i < layers->nr; i++) {
		struct dg_claimed claimed = { .get = true };
		enum dg_claim claim = dg_bdev_claim(&layers->at[i], end, &claimed);

		dg_claims_count(&supers->claims, claim);
		if (claim == DG_CLAIM_FS)
			dg_supers_add(supers, claimed.sb, layers->at[i].bdev->bd_dev);
	}
	supers->truncated |= layers->truncated || supers->claims.unseen;
	supers->claims.dax_held = target->dax && dax_holder(target->dax);
	if (supers->claims.type || (!supers->nr && supers->claims.dax_held))
		dg_target_walk_pages(target, dg_add_page_super, supers, &pages);
	dg_layers_put(layers);
	kfree(layers);
}

void dg_supers_put(struct dg_supers *supers)
{
	while (supers->nr)
		dg_drop_super(supers->at[--supers->nr].sb);
}

/*
 * In use: a claim of a file system, of dm or md, of the kernel itself (swap), a
 * holder of the DAX device, or a mapping of a device-dax. Openers do not count,
 * also exclusive ones: ndctl and udev open idle devices at will.
 */
bool dg_target_in_use(struct dg_target *target)
{
	struct dg_claims claims;

	dg_claims_look(target, dg_locks_end(), NULL, &claims, NULL);
	return claims.fs || claims.dying || claims.type || claims.kernel || claims.stacked ||
	       claims.dax_held || claims.unseen || claims.mapped;
}

int dg_super_sync(struct super_block *sb)
{
	int ret;

	if (!dg_trylock(dg_try_read, &sb->s_umount))
		return -EBUSY;
	ret = sb->s_root ? sync_filesystem(sb) : 0;
	up_read(&sb->s_umount);
	return ret;
}

/*
 * Sync, and stop the file system from touching its device. -EOPNOTSUPP:
 * synced, but it has no way to be shut down from inside, or can live on
 * without this device and is told by the block layer.
 */
int dg_super_shutdown(struct super_block *sb, bool surprise)
{
	int ret = 0;

	if (!dg_trylock(dg_try_read, &sb->s_umount))
		return -EBUSY;
	if (sb->s_root && (sb->s_flags & SB_ACTIVE)) {
		if (!surprise)
			sync_filesystem(sb);
		if (dg_super_survives(sb) || !dg_super_op_shutdown(sb))
			ret = -EOPNOTSUPP;
	}
	up_read(&sb->s_umount);
	return ret;
}

/*
 * A frozen file system keeps its mappers in uninterruptible faults. There is
 * no thaw that only tries for s_umount; what can be had now is likely to be
 * had in a moment.
 */
void dg_super_thaw(struct super_block *sb)
{
	unsigned int tries;

	for (tries = 0; tries < 3 && sb->s_writers.frozen != SB_UNFROZEN; tries++) {
		if (!dg_trylock(dg_try_write, &sb->s_umount))
			return;
		up_write(&sb->s_umount);
		if (dg_thaw_super(sb))
			return;
	}
}
