// SPDX-License-Identifier: GPL-2.0-only
/*
 * The source of removals: the driver core's notifier of the nd bus. UNBIND is
 * called in the removing task with the device's lock held, before the driver's
 * remove(); it may sleep, and cannot refuse.
 */
#include <linux/device.h>
#include <linux/module.h>
#include <linux/nd.h>

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

static int dg_bus_event(struct notifier_block *nb, unsigned long event, void *data)
{
	if (event == BUS_NOTIFY_UNBIND_DRIVER)
		dg_removal(data);
	else if (event == BUS_NOTIFY_UNBOUND_DRIVER)
		dg_removed(data);
	return NOTIFY_DONE;
}

static struct notifier_block dg_bus_notifier = { .notifier_call = dg_bus_event };

int dg_source_remove_init(void)
{
	int ret = nd_driver_register(&dg_nd_driver);

	if (ret)
		return ret;
	/* libnvdimm stays loaded: we use its symbols. */
	dg_nd_bus = dg_nd_driver.drv.bus;
	nd_driver_unregister(&dg_nd_driver);
	return bus_register_notifier(dg_nd_bus, &dg_bus_notifier);
}

/* Waits for a notifier that is running; a hold keeps a module reference. */
void dg_source_remove_exit(void)
{
	bus_unregister_notifier(dg_nd_bus, &dg_bus_notifier);
	dg_requests_drain();
}
