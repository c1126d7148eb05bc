// SPDX-License-Identifier: GPL-2.0-only
/*
 * Faults that an emulated machine does not make by itself, for the guest suite.
 * Written to /sys/kernel/debug/dgfault/:
 *
 *	unbind		NAME of a device on the bus "nd": it loses its driver, in a
 *			kernel thread
 *	disconnect	NAME of a PCI device, as in 0000:01:00.0: the bus says that it
 *			was pulled, as pciehp does
 */
#include <linux/debugfs.h>
#include <linux/module.h>
#include <linux/nd.h>
#include <linux/pci.h>
#include <linux/slab.h>
#include <linux/workqueue.h>

static int fault_probe_nothing(struct device *dev)
{
	return -ENODEV;
}

static struct nd_device_driver fault_driver = {
	.drv.name = "dgfault",
	.type = 1UL << 31,
	.probe = fault_probe_nothing,
};

static typeof(fault_driver.drv.bus) fault_nd_bus;
static struct dentry *fault_dir;

struct fault_work {
	struct work_struct work;
	struct device *dev;
};

static void fault_unbind_run(struct work_struct *work)
{
	struct fault_work *fault = container_of(work, struct fault_work, work);

	device_release_driver(fault->dev);
	put_device(fault->dev);
	kfree(fault);
	module_put(THIS_MODULE);
}

static int fault_unbind(const char *name)
{
	struct fault_work *fault = kzalloc(sizeof(*fault), GFP_KERNEL);

	if (!fault)
		return -ENOMEM;
	fault->dev = bus_find_device_by_name(fault_nd_bus, NULL, name);
	if (!fault->dev) {
		kfree(fault);
		return -ENODEV;
	}
	INIT_WORK(&fault->work, fault_unbind_run);
	__module_get(THIS_MODULE);
	queue_work(system_unbound_wq, &fault->work);
	return 0;
}

static int fault_disconnect(const char *name)
{
	struct device *dev = bus_find_device_by_name(&pci_bus_type, NULL, name);

	if (!dev)
		return -ENODEV;
	to_pci_dev(dev)->error_state = pci_channel_io_perm_failure;
	put_device(dev);
	return 0;
}

static ssize_t fault_write(struct file *file, const char __user *from, size_t size, loff_t *pos)
{
	int (*fault)(const char *name) = file_inode(file)->i_private;
	char name[64] = {};
	int ret;

	if (size >= sizeof(name))
		return -EINVAL;
	if (copy_from_user(name, from, size))
		return -EFAULT;
	ret = fault(strim(name));
	return ret ?: size;
}

static const struct file_operations fault_fops = {
	.owner = THIS_MODULE,
	.open = simple_open,
	.write = fault_write,
};

static int __init fault_init(void)
{
	int ret = nd_driver_register(&fault_driver);

	if (ret)
		return ret;
	fault_nd_bus = fault_driver.drv.bus;
	nd_driver_unregister(&fault_driver);
	fault_dir = debugfs_create_dir("dgfault", NULL);
	debugfs_create_file("unbind", 0200, fault_dir, fault_unbind, &fault_fops);
	debugfs_create_file("disconnect", 0200, fault_dir, fault_disconnect, &fault_fops);
	return 0;
}

static void __exit fault_exit(void)
{
	debugfs_remove_recursive(fault_dir);
}

module_init(fault_init);
module_exit(fault_exit);

MODULE_DESCRIPTION("Faults for the guest tests of daxguard");
MODULE_LICENSE("GPL");
