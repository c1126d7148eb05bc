// SPDX-License-Identifier: GPL-2.0-only
/*
 * Device-dax: a character device on the bus "dax". All its opens share one
 * mapping, that of an inode which the DAX core keeps for the device; no node in
 * /dev leads there, so the inode is looked up by its number.
 */
#include <linux/dax.h>
#include <linux/device.h>
#include <linux/fs.h>
#include <linux/hash.h>
#include <linux/magic.h>
#include <linux/string.h>

#include "compat.h"
#include "daxguard.h"

static struct super_block *dg_dax_super;

/* The DAX core names its superblock nowhere; a device without a purpose does. */
int dg_chardev_init(void)
{
	struct dax_device *dax = alloc_dax(NULL, NULL);

	if (IS_ERR_OR_NULL(dax))
		return dax ? PTR_ERR(dax) : -ENODEV;
	dg_dax_super = dax_inode(dax)->i_sb;
	kill_dax(dax);
	put_dax(dax);
	return 0;
}

static int dg_inode_has_number(struct inode *inode, void *devt)
{
	return inode->i_rdev == *(dev_t *)devt;
}

/* The hash is drivers/dax/super.c's, with its magic number; the same since 5.1. */
static struct inode *dg_chardev_inode(dev_t devt)
{
	return ilookup5(dg_dax_super, hash_32(devt + DAXFS_MAGIC, 31), dg_inode_has_number,
			&devt);
}

bool dg_dev_is_dax(const struct device *dev)
{
	return dev->bus && !strcmp(dev->bus->name, "dax");
}

/*
 * Held are devices that processes can map. One that was handed to the kernel as
 * memory (the driver kmem) is left to the memory hotplug code. Asked without the
 * device's lock: it may lose its driver meanwhile.
 */
bool dg_dev_is_chardev(const struct device *dev)
{
	const struct device_driver *driver = READ_ONCE(dev->driver);

	return dg_dev_is_dax(dev) && driver && !strcmp(driver->name, "device_dax");
}

/* What the device's number stands for; NULL: no longer there. Free with put_dax(). */
struct dax_device *dg_chardev_dax(const struct device *dev)
{
	struct inode *inode = dg_chardev_inode(dev->devt);

	return inode ? inode_dax(inode) : NULL;
}

/*
 * The kernel's memory map has the device in one or more ranges, of which the first
 * may begin with metadata: the device says where it begins itself.
 */
static bool dg_pagemap_part(const struct dev_pagemap *pgmap, unsigned long first,
			    unsigned long pfn, struct dg_part *ret)
{
	u64 before = 0;
	int i;

	for (i = 0; i < pgmap->nr_range; i++) {
		ret->pfn = i ? PHYS_PFN(pgmap->ranges[i].start) : first;
		ret->nr = PHYS_PFN(pgmap->ranges[i].end + 1) - ret->pfn;
		ret->offset = before;
		if (pfn >= ret->pfn && pfn - ret->pfn < ret->nr)
			return true;
		before += (u64)ret->nr << PAGE_SHIFT;
	}
	return false;
}

bool dg_chardev_part(const struct dg_target *target, unsigned long pfn, struct dg_part *ret)
{
	struct dev_pagemap *pgmap = target->pfn ? dg_get_pagemap(target->pfn) : NULL, *of_pfn;
	bool found;

	if (!pgmap)
		return false;
	of_pfn = dg_get_pagemap(pfn);
	found = of_pfn == pgmap && dg_pagemap_part(pgmap, target->pfn, pfn, ret);
	if (of_pfn)
		put_dev_pagemap(of_pfn);
	put_dev_pagemap(pgmap);
	return found;
}

/* The first page of its data, 0: not known. The caller keeps the device as it is. */
unsigned long dg_chardev_first(struct device *dev)
{
	char *page = (char *)get_zeroed_page(GFP_KERNEL);
	u64 start = 0;

	if (!page)
		return 0;
	if (dg_dev_attribute(dev, "resource", page) && kstrtou64(strim(page), 16, &start))
		start = 0;
	free_page((unsigned long)page);
	return PHYS_PFN(start);
}

/* The mapping of all its opens; NULL for a disk. */
struct address_space *dg_target_mapping(const struct dg_target *target)
{
	return target->mode == DAXGUARD_MODE_DEVDAX ? dax_inode(target->dax)->i_mapping : NULL;
}
