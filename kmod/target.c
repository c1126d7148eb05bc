// SPDX-License-Identifier: GPL-2.0-only
/*
 * Targets: the disks and character devices that go when a device goes.
 *
 * One is found as a child of the device, however deep: a namespace, pfn, btt or
 * dax device has one, a region or a bus may have many. Nothing of libnvdimm's
 * private structures is read, and no attribute that takes a device's or the
 * bus's lock.
 */
#include <linux/dax.h>
#include <linux/major.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "compat.h"
#include "daxguard.h"

static bool dg_dev_is_disk(struct device *dev)
{
	return dev->class && !strcmp(dev->class->name, "block") &&
	       dev->type && dev->type->name && !strcmp(dev->type->name, "disk");
}

static bool dg_dev_is_nd(struct device *dev)
{
	return dev->bus && !strcmp(dev->bus->name, "nd");
}

/* Where the target's memory is; leaves nr_pfns 0 if it has no struct pages. */
static void dg_target_find_pages(struct dg_target *target)
{
	long nr = bdev_nr_bytes(target->disk->part0) >> PAGE_SHIFT;
	unsigned long pfn = 0;
	long got;
	int id;

	if (!target->dax || nr <= 0)
		return;
	id = dax_read_lock();
	got = dg_dax_pfn(target->dax, nr, &pfn);
	dax_read_unlock(id);
	/* Bad blocks cut what is returned; the disk itself is contiguous. */
	if (got <= 0 || !pfn_valid(pfn))
		return;
	target->pfn = pfn;
	target->nr_pfns = nr;
}

static u8 dg_target_mode(const struct dg_target *target)
{
	if (!target->disk)
		return DAXGUARD_MODE_DEVDAX;
	if (target->nr_pfns)
		return DAXGUARD_MODE_FSDAX;
	if (!strncmp(dev_name(target->nd_dev), "btt", 3))
		return DAXGUARD_MODE_SECTOR;
	return DAXGUARD_MODE_RAW;
}

/* What a device says of itself and has no exported way to ask for. */
bool dg_dev_attribute(struct device *dev, const char *name, char *page)
{
	const struct attribute_group **groups;
	struct device_attribute *attr;
	struct attribute **attrs;

	if (!dev->type || !dev->type->groups)
		return false;
	for (groups = dev->type->groups; *groups; groups++) {
		for (attrs = (*groups)->attrs; attrs && *attrs; attrs++) {
			if (strcmp((*attrs)->name, name))
				continue;
			attr = container_of(*attrs, struct device_attribute, attr);
			return attr->show && attr->show(dev, attr, page) > 0;
		}
	}
	return false;
}

/* Of a pfn, btt or namespace device. */
static void dg_target_find_uuid(struct dg_target *target)
{
	char *page = (char *)get_zeroed_page(GFP_KERNEL);

	if (!page)
		return;
	if (dg_dev_attribute(target->nd_dev, "uuid", page) && strlen(page) >= UUID_STRING_LEN)
		target->has_uuid = !uuid_parse(page, &target->uuid);
	free_page((unsigned long)page);
}

static void dg_target_find_dax(struct dg_target *target)
{
	u64 start;

	if (!target->disk) {
		target->dax = dg_chardev_dax(target->dev);
		return;
	}
	target->dax = fs_dax_get_by_bdev(target->disk->part0, &start, NULL, NULL);
	dg_target_find_pages(target);
}

/*
 * A disk's release reads its driver's operations, and a request may outlive the
 * removal for a moment. Not where the driver itself is being unloaded.
 */
static void dg_target_keep_driver(struct dg_target *target)
{
	struct module *owner = target->disk->fops->owner;

	if (try_module_get(owner))
		target->owner = owner;
}

/* @dev: a disk's device, or a character device. */
static struct dg_target *dg_target_new(struct device *dev, struct device *nd_dev)
{
	struct dg_target *target = kzalloc(sizeof(*target), GFP_KERNEL);

	if (!target)
		return NULL;
	INIT_LIST_HEAD(&target->node);
	target->dev = get_device(dev);
	target->disk = dg_dev_is_disk(dev) ? dev_to_disk(dev) : NULL;
	if (target->disk)
		dg_target_keep_driver(target);
	target->nd_dev = get_device(nd_dev);
	dg_target_find_dax(target);
	target->mode = dg_target_mode(target);
	return target;
}

void dg_target_free(struct dg_target *target)
{
	struct module *owner;

	if (!target)
		return;
	owner = target->owner;
	if (target->dax)
		put_dax(target->dax);
	put_device(target->dev);
	put_device(target->nd_dev);
	kfree(target->stack);
	kfree(target);
	module_put(owner);
}

const char *dg_target_name(const struct dg_target *target)
{
	return dev_name(target->dev);
}

struct dg_collect {
	struct list_head *targets;
	struct device *nd_dev;		/* whose children are looked at */
};

static int dg_collect_one(struct device *dev, const struct dg_collect *ctx)
{
	struct dg_target *target = dg_target_new(dev, ctx->nd_dev);

	if (!target)
		return -ENOMEM;
	if (!target->disk && !target->dax) {
		dg_target_free(target);
		return 0;
	}
	dg_target_find_uuid(target);
	if (!target->disk)
		target->pfn = dg_chardev_first(dev);
	list_add_tail(&target->node, ctx->targets);
	return 0;
}

static int dg_collect_child(struct device *dev, void *data)
{
	struct dg_collect *parent = data;
	struct dg_collect ctx = { .targets = parent->targets, .nd_dev = dev };

	if (dg_dev_is_disk(dev) || dg_dev_is_chardev(dev))
		return dg_collect_one(dev, parent);
	if (!dg_dev_is_nd(dev))
		return 0;
	return device_for_each_child(dev, &ctx, dg_collect_child);
}

/* All targets at or below @dev. -ENOMEM leaves those found so far in the list. */
int dg_targets_collect(struct device *dev, struct list_head *targets)
{
	struct dg_collect ctx = { .targets = targets, .nd_dev = dev };

	if (dg_dev_is_chardev(dev)) {
		ctx.nd_dev = dev->parent;
		return dg_collect_one(dev, &ctx);
	}
	return device_for_each_child(dev, &ctx, dg_collect_child);
}

void dg_targets_free(struct list_head *targets)
{
	struct dg_target *target, *next;

	list_for_each_entry_safe(target, next, targets, node) {
		list_del(&target->node);
		dg_target_free(target);
	}
}

/* Under open_mutex, which keeps a disk that is live, and its parent, so. */
static struct dg_target *dg_target_of_disk(struct gendisk *disk)
{
	struct device *dev = disk_to_dev(disk);
	struct dg_target *target;

	if (!disk_live(disk) || !dev->parent || !dg_dev_is_nd(dev->parent) ||
	    !try_module_get(disk->fops->owner))
		return NULL;
	target = dg_target_new(dev, dev->parent);
	if (target)
		dg_target_find_uuid(target);
	module_put(disk->fops->owner);
	return target;
}

/*
 * The guarded disk with this number, whether it is being removed or not. Called
 * by a netlink handler: a disk that is being opened or closed, which may take
 * long, is -EBUSY.
 */
static struct dg_target *dg_disk_by_dev(dev_t dev)
{
	struct inode *inode = ilookup(blockdev_superblock, dev);
	struct dg_target *target = ERR_PTR(-EBUSY);
	struct block_device *bdev;

	if (!inode)
		return NULL;
	/* As an open does: the inode names the device, the device keeps the disk. */
	bdev = I_BDEV(inode);
	if (!kobject_get_unless_zero(&bdev->bd_device.kobj))
		bdev = NULL;
	iput(inode);
	if (!bdev)
		return NULL;
	if (mutex_trylock(&bdev->bd_disk->open_mutex)) {
		target = dg_target_of_disk(bdev->bd_disk);
		mutex_unlock(&bdev->bd_disk->open_mutex);
	}
	put_device(&bdev->bd_device);
	return target;
}

/*
 * What it says of itself goes when its driver has. The lock keeps that; where it is
 * held, it may be by a removal, which has asked before.
 */
static void dg_chardev_describe(struct dg_target *target)
{
	const struct dg_target *other;
	const struct dg_request *req;

	if (device_trylock(target->dev)) {
		if (dg_dev_is_chardev(target->dev)) {
			dg_target_find_uuid(target);
			target->pfn = dg_chardev_first(target->dev);
		}
		device_unlock(target->dev);
		return;
	}
	mutex_lock(&dg_lock);
	list_for_each_entry(req, &dg_requests, node) {
		list_for_each_entry(other, &req->targets, node) {
			if (other->dev != target->dev)
				continue;
			target->pfn = other->pfn;
			target->has_uuid = other->has_uuid;
			target->uuid = other->uuid;
		}
	}
	mutex_unlock(&dg_lock);
}

static struct dg_target *dg_chardev_by_dev(dev_t devt)
{
	struct device *dev = dg_chardev_find(devt);
	struct dg_target *target = NULL;

	if (dev && dg_dev_is_chardev(dev) && dev->parent)
		target = dg_target_new(dev, dev->parent);
	if (target && !target->dax) {
		dg_target_free(target);
		target = NULL;
	}
	if (target)
		dg_chardev_describe(target);
	put_device(dev);
	return target;
}

/* Disks have the block layer's extended major, which no character device has. */
struct dg_target *dg_target_by_dev(dev_t dev)
{
	if (MAJOR(dev) == BLOCK_EXT_MAJOR)
		return dg_disk_by_dev(dev);
	return dg_chardev_by_dev(dev);
}

bool dg_target_part(const struct dg_target *target, unsigned long pfn, struct dg_part *ret)
{
	if (!target->disk)
		return dg_chardev_part(target, pfn, ret);
	if (pfn < target->pfn || pfn - target->pfn >= target->nr_pfns)
		return false;
	ret->pfn = target->pfn;
	ret->nr = target->nr_pfns;
	ret->offset = 0;
	return true;
}

struct dg_by_pfn {
	unsigned long pfn;
	struct dg_target *found;	/* or an error, for who finds none */
};

static int dg_match_pfn(struct device *dev, void *data)
{
	struct dg_by_pfn *by = data;
	struct dg_target *target;
	struct dg_part part;

	if (!dg_dev_is_disk(dev) && !dg_dev_is_chardev(dev))
		return 0;
	target = dg_target_by_dev(dev->devt);
	if (IS_ERR_OR_NULL(target)) {
		by->found = target ?: by->found;
		return 0;
	}
	if (!dg_target_part(target, by->pfn, &part)) {
		dg_target_free(target);
		return 0;
	}
	by->found = target;
	return 1;
}

/* Disks are children of what the bus has, character devices are on it themselves. */
static int dg_match_pfn_below(struct device *dev, void *data)
{
	if (dg_dev_is_chardev(dev))
		return dg_match_pfn(dev, data);
	return device_for_each_child(dev, data, dg_match_pfn);
}

struct dg_target *dg_target_by_pfn(unsigned long pfn)
{
	struct dg_by_pfn by = { .pfn = pfn };

	dg_devices_each(dg_match_pfn_below, &by);
	return by.found;
}
