// SPDX-License-Identifier: GPL-2.0-only
/*
 * The sources of removals: the driver core's notifiers of two buses. UNBIND is
 * called in the removing task with the device's lock held, before the driver's
 * remove(); it may sleep, and cannot refuse.
 *
 * "nd" has namespaces, regions and all that is above them; its UNBIND of a
 * device-dax's parent comes before the kernel takes the character device away.
 * "dax" has the character devices; its UNBIND is in time for who unbinds one
 * directly, and for nobody else.
 */
#include <linux/device.h>
#include <linux/module.h>
#include <linux/nd.h>
#include <linux/workqueue.h>

#include "daxguard.h"

/*
 * nvdimm_bus_type is not exported, but registering a driver on the bus names
 * it. This one matches no device: no type has the top bit.
 */
static int dg_probe_nothing(struct device *dev)
{
	return -ENODEV;
}

static struct nd_device_driver dg_nd_driver = {
	.drv.name = "daxguard",
	.type = 1UL << 31,
	.probe = dg_probe_nothing,
};

static typeof(dg_nd_driver.drv.bus) dg_nd_bus;
static typeof(dg_nd_driver.drv.bus) dg_dax_bus;	/* NULL: no device of it was seen yet */

static int dg_removal_event(struct notifier_block *nb, unsigned long event, void *data)
{
	if (event == BUS_NOTIFY_UNBIND_DRIVER)
		dg_removal(data);
	else if (event == BUS_NOTIFY_UNBOUND_DRIVER)
		dg_removed(data);
	return NOTIFY_DONE;
}

static struct notifier_block dg_dax_notifier = { .notifier_call = dg_removal_event };

/* The bus has no exported name either; its first device that we see has it. */
static int dg_meet_dax_bus(struct device *dev, void *data)
{
	if (!dg_dev_is_dax(dev))
		return 0;
	if (!dg_dax_bus && !bus_register_notifier(dev->bus, &dg_dax_notifier))
		WRITE_ONCE(dg_dax_bus, dev->bus);
	return 1;
}

static int dg_meet_children(struct device *dev, void *data)
{
	return device_for_each_child(dev, NULL, dg_meet_dax_bus);
}

/* Not within a notifier: it has its own bus's chain locked, and lockdep knows no other. */
static void dg_look_for_dax_bus(struct work_struct *work)
{
	if (!dg_dax_bus)
		bus_for_each_dev(dg_nd_bus, NULL, NULL, dg_meet_children);
}

static DECLARE_WORK(dg_dax_bus_work, dg_look_for_dax_bus);

/* A driver that was bound may have made the first device-dax. */
static int dg_nd_event(struct notifier_block *nb, unsigned long event, void *data)
{
	if (event == BUS_NOTIFY_BOUND_DRIVER && !READ_ONCE(dg_dax_bus))
		schedule_work(&dg_dax_bus_work);
	return dg_removal_event(nb, event, data);
}

static struct notifier_block dg_nd_notifier = { .notifier_call = dg_nd_event };

struct device *dg_chardev_find(dev_t devt)
{
	typeof(dg_dax_bus) bus = READ_ONCE(dg_dax_bus);

	return bus ? bus_find_device_by_devt(bus, devt) : NULL;
}

int dg_devices_each(int (*fn)(struct device *dev, void *data), void *data)
{
	typeof(dg_dax_bus) bus = READ_ONCE(dg_dax_bus);
	int ret = bus_for_each_dev(dg_nd_bus, NULL, data, fn);

	return ret || !bus ? ret : bus_for_each_dev(bus, NULL, data, fn);
}

int dg_source_remove_init(void)
{
	int ret = nd_driver_register(&dg_nd_driver);

	if (ret)
		return ret;
	/* libnvdimm stays loaded: we use its symbols. */
	dg_nd_bus = dg_nd_driver.drv.bus;
	nd_driver_unregister(&dg_nd_driver);
	ret = bus_register_notifier(dg_nd_bus, &dg_nd_notifier);
	if (!ret) {
		schedule_work(&dg_dax_bus_work);
		flush_work(&dg_dax_bus_work);
	}
	return ret;
}

/* Waits for a notifier that is running; a hold keeps a module reference. */
void dg_source_remove_exit(void)
{
	bus_unregister_notifier(dg_nd_bus, &dg_nd_notifier);
	cancel_work_sync(&dg_dax_bus_work);
	if (dg_dax_bus)
		bus_unregister_notifier(dg_dax_bus, &dg_dax_notifier);
	dg_requests_drain();
}
