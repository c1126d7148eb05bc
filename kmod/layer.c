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
#include <linux/major.h>
#include <linux/slab.h>

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
	layers->at[layers->nr].carries = false;
	layers->nr++;
}

static void dg_layer_add_disk(struct dg_layers *layers, struct gendisk *disk, bool stacked)
{
	unsigned int first = layers->nr;
	struct block_device *part;
	unsigned long index;

	rcu_read_lock();
	xa_for_each(&disk->part_tbl, index, part)
		dg_layer_add(layers, part, stacked);
	rcu_read_unlock();
	/* Entry 0 of the table is the disk itself. */
	if (layers->nr > first + 1)
		layers->at[first].carries = true;
}

struct dg_upward {
	struct dg_layers *layers;
	struct dg_layer *layer;
};

static int dg_layer_check_holder(struct device *dev, void *data)
{
	struct dg_upward *up = data;
	struct kernfs_node *link;

	if (!dev->type || !dev->type->name || strcmp(dev->type->name, "disk"))
		return 0;
	link = kernfs_find_and_get(up->layer->bdev->bd_holder_dir->sd, kobject_name(&dev->kobj));
	if (!link)
		return 0;
	kernfs_put(link);
	up->layer->carries = true;
	/* An array outlives one of its devices; its file system is not ours to end. */
	if (MAJOR(dev->devt) == MD_MAJOR)
		up->layers->md = true;
	else
		dg_layer_add_disk(up->layers, dev_to_disk(dev), true);
	return 0;
}

/* What is built directly on a layer. */
static void dg_layer_add_holders(struct dg_layers *layers, struct dg_layer *layer,
				 unsigned long end)
{
	struct dg_upward up = { .layers = layers, .layer = layer };
	struct block_device *bdev = layer->bdev;
	struct gendisk *disk = bdev->bd_disk;

	/*
	 * open_mutex keeps a partition, and with it bd_holder_dir, in place.
	 * The disk's own goes later, but not before the disk is no longer live.
	 */
	if (!dg_trylock_until(dg_try_mutex, &disk->open_mutex, end)) {
		layers->truncated = true;
		return;
	}
	if (disk_live(disk) && bdev->bd_holder_dir && bdev->bd_holder_dir->sd &&
	    xa_load(&disk->part_tbl, dg_partno(bdev)) == bdev)
		class_for_each_device(disk_to_dev(disk)->class, NULL, &up, dg_layer_check_holder);
	mutex_unlock(&disk->open_mutex);
}

/* Bottom up: the disk, its partitions, then what stands on each of them. */
void dg_layers_collect(struct dg_target *target, struct dg_layers *layers, unsigned long end)
{
	unsigned int i;

	layers->nr = 0;
	layers->truncated = false;
	layers->md = false;
	if (!target->disk)
		return;
	dg_layer_add_disk(layers, target->disk, false);
	for (i = 0; i < layers->nr; i++)
		dg_layer_add_holders(layers, &layers->at[i], end);
}

void dg_layers_put(struct dg_layers *layers)
{
	while (layers->nr)
		put_device(&layers->at[--layers->nr].bdev->bd_device);
}

static void dg_stack_add(struct dg_target *target, const struct dg_stacked *entry)
{
	unsigned int i;

	if (entry->dev == disk_devt(target->disk))
		return;
	for (i = 0; i < target->nr_stack; i++)
		if (target->stack[i].dev == entry->dev)
			return;
	target->stack[target->nr_stack++] = *entry;
}

/* Note names and numbers, for the announcement. -ENOMEM: there is no list. */
int dg_target_name_stack(struct dg_target *target)
{
	struct dg_layers *layers = kzalloc(sizeof(*layers), GFP_KERNEL);
	unsigned long end = dg_locks_end();
	struct dg_stacked entry;
	unsigned int i;

	if (!layers)
		return -ENOMEM;
	dg_layers_collect(target, layers, end);
	/* A layer may have one file system, which may be mounted from elsewhere. */
	target->stack = kcalloc(2 * layers->nr + 1, sizeof(*target->stack), GFP_KERNEL);
	for (i = 0; target->stack && i < layers->nr; i++) {
		struct block_device *bdev = layers->at[i].bdev;

		strscpy(entry.name, kobject_name(&bdev->bd_device.kobj), sizeof(entry.name));
		entry.dev = bdev->bd_dev;
		dg_stack_add(target, &entry);
	}
	for (i = 0; target->stack && i < layers->nr; i++)
		if (dg_layer_mounted(&layers->at[i], end, &entry))
			dg_stack_add(target, &entry);
	dg_layers_put(layers);
	kfree(layers);
	return target->stack ? 0 : -ENOMEM;
}
