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

/* The mapping of all its opens; NULL for a disk. */
struct address_space *dg_target_mapping(const struct dg_target *target)
{
	return target->mode == DAXGUARD_MODE_DEVDAX ? dax_inode(target->dax)->i_mapping : NULL;
}
