/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <libudev.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "io/doorbell.h"

#define MODULE_SUBSYSTEM "misc"
#define MODULE_SYSNAME "daxguard"

/* Partitions and dm devices by the hundred change at once when a host starts. */
#define MONITOR_BUFFER (8 * 1024 * 1024)
#define UEVENTS_PER_TURN 128

struct doorbell {
	struct doorbell_ops ops;
	void *userdata;
	struct udev *udev;
	struct udev_monitor *kernel;
	struct udev_monitor *udevd;
	sd_event_source *kernel_source;
	sd_event_source *udevd_source;
};

static int on_kernel(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
	struct doorbell *doorbell = userdata;
	bool rang = false;

	for (int i = 0; i < UEVENTS_PER_TURN; i++) {
		struct udev_device *device;

		errno = 0;
		device = udev_monitor_receive_device(doorbell->kernel);
		if (!device) {
			/* Lost ones may have been ours. */
			rang = rang || errno == ENOBUFS;
			break;
		}
		rang = rang || strcmp(udev_device_get_sysname(device) ?: "", MODULE_SYSNAME) == 0;
		udev_device_unref(device);
	}
	if (rang)
		doorbell->ops.hold(doorbell->userdata);
	return 0;
}

static int on_udevd(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
	struct doorbell *doorbell = userdata;
	bool rang = false;

	for (int i = 0; i < UEVENTS_PER_TURN; i++) {
		struct udev_device *device;

		errno = 0;
		device = udev_monitor_receive_device(doorbell->udevd);
		if (!device) {
			rang = rang || errno == ENOBUFS;
			break;
		}
		rang = true;
		udev_device_unref(device);
	}
	if (rang)
		doorbell->ops.topology(doorbell->userdata);
	return 0;
}

static int monitor_start(struct doorbell *doorbell, sd_event *event, const char *group,
			 const char *const subsystems[], sd_event_io_handler_t handler,
			 struct udev_monitor **ret, sd_event_source **ret_source)
{
	struct udev_monitor *monitor;
	int r;

	monitor = udev_monitor_new_from_netlink(doorbell->udev, group);
	if (!monitor)
		return errno > 0 ? -errno : -ENOMEM;
	*ret = monitor; /* released with the doorbell */
	for (size_t i = 0; subsystems[i]; i++) {
		r = udev_monitor_filter_add_match_subsystem_devtype(monitor, subsystems[i], NULL);
		if (r < 0)
			return r;
	}
	/* Without privileges the usual size has to do: losses count as a ring. */
	(void)udev_monitor_set_receive_buffer_size(monitor, MONITOR_BUFFER);
	r = udev_monitor_enable_receiving(monitor);
	if (r < 0)
		return r;
	return sd_event_add_io(event, ret_source, udev_monitor_get_fd(monitor), EPOLLIN, handler,
			       doorbell);
}

int doorbell_new(sd_event *event, const struct doorbell_ops *ops, void *userdata,
		 struct doorbell **ret)
{
	static const char *const module[] = {MODULE_SUBSYSTEM, NULL};
	static const char *const devices[] = {"nd", "dax", "block", NULL};
	struct doorbell *doorbell;
	int r;

	doorbell = calloc(1, sizeof(*doorbell));
	if (!doorbell)
		return -ENOMEM;
	doorbell->ops = *ops;
	doorbell->userdata = userdata;
	doorbell->udev = udev_new();
	if (!doorbell->udev) {
		doorbell_free(doorbell);
		return -ENOMEM;
	}
	r = monitor_start(doorbell, event, "kernel", module, on_kernel, &doorbell->kernel,
			  &doorbell->kernel_source);
	if (r >= 0)
		r = monitor_start(doorbell, event, "udev", devices, on_udevd, &doorbell->udevd,
				  &doorbell->udevd_source);
	if (r < 0) {
		doorbell_free(doorbell);
		return r;
	}
	*ret = doorbell;
	return 0;
}

struct doorbell *doorbell_free(struct doorbell *doorbell)
{
	if (!doorbell)
		return NULL;
	sd_event_source_disable_unref(doorbell->kernel_source);
	sd_event_source_disable_unref(doorbell->udevd_source);
	udev_monitor_unref(doorbell->kernel);
	udev_monitor_unref(doorbell->udevd);
	udev_unref(doorbell->udev);
	free(doorbell);
	return NULL;
}
