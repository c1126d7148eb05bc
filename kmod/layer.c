// SPDX-License-Identifier: GPL-2.0-only
/*
 * Layers: every block device through which a target's memory can be reached.
 *
 * A file system sits on the disk, on a partition of it, or on what dm or md
 * built on either, to any depth. Upwards the kernel keeps nothing but the
 * symlinks in a block device's holders/ directory, so those are asked: for
 * each known layer, which of the machine's disks does it name?
 */
#include <linux/blkdev.h>
#include <linux/kernfs.h>

#include "compat.h"
#include "daxguard.h"

static bool dg_layer_known(const struct dg_layers *layers, const struct block_device *bdev)
{
	unsigned int i;

	for (i = 0; i < layers->nr; i++)
		if (layers->at[i].bdev == bdev)
			return true;
	return false;
}

static void dg_layer_add(struct dg_layers *layers, struct block_device *bdev, bool stacked)
{
	if (dg_layer_known(layers, bdev))
		return;
	if (layers->nr == DG_LAYERS_MAX) {
		layers->truncated = true;
		return;
	}
	/* A device that is being freed carries nothing any more. */
	if (!kobject_get_unless_zero(&bdev->bd_device.kobj))
		return;
	layers->at[layers->nr].bdev = bdev;
	layers->at[layers->nr].stacked = stacked;
	layers->nr++;
}

static void dg_layer_add_disk(struct dg_layers *layers, struct gendisk *disk, bool stacked)
{
	struct block_device *part;
	unsigned long index;

	rcu_read_lock();
	xa_for_each(&disk->part_tbl, index, part)
		dg_layer_add(layers, part, stacked);
	rcu_read_unlock();
}

struct dg_upward {
	struct dg_layers *layers;
	struct block_device *bdev;
};

static int dg_layer_check_holder(struct device *dev, void *data)
{
	struct dg_upward *up = data;
	struct kernfs_node *link;

	if (!dev->type || !dev->type->name || strcmp(dev->type->name, "disk"))
		return 0;
	link = kernfs_find_and_get(up->bdev->bd_holder_dir->sd, kobject_name(&dev->kobj));
	if (!link)
		return 0;
	kernfs_put(link);
	dg_layer_add_disk(up->layers, dev_to_disk(dev), true);
	return 0;
}

/* What is built directly on @bdev. */
static void dg_layer_add_holders(struct dg_layers *layers, struct block_device *bdev)
{
	struct dg_upward up = { .layers = layers, .bdev = bdev };
	struct gendisk *disk = bdev->bd_disk;

	/* open_mutex keeps the partition, and with it bd_holder_dir, in place. */
	if (!dg_trylock_until(dg_try_mutex, &disk->open_mutex, dg_lock_ms)) {
		layers->truncated = true;
		return;
	}
	if (bdev->bd_holder_dir && bdev->bd_holder_dir->sd &&
	    (bdev == disk->part0 || xa_load(&disk->part_tbl, dg_partno(bdev)) == bdev))
		class_for_each_device(disk_to_dev(disk)->class, NULL, &up, dg_layer_check_holder);
	mutex_unlock(&disk->open_mutex);
}

/* Bottom up: the disk, its partitions, then what stands on each of them. */
void dg_layers_collect(struct dg_target *target, struct dg_layers *layers)
{
	unsigned int i;

	layers->nr = 0;
	layers->truncated = false;
	dg_layer_add_disk(layers, target->disk, false);
	for (i = 0; i < layers->nr; i++)
		dg_layer_add_holders(layers, layers->at[i].bdev);
}

void dg_layers_put(struct dg_layers *layers)
{
	while (layers->nr)
		put_device(&layers->at[--layers->nr].bdev->bd_device);
}
