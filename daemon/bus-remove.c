/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bus-remove.h"

#include <errno.h>
#include <string.h>

#include "bus-device.h"
#include "names.h"

int bus_read_force(sd_bus_message *m, bool *ret, sd_bus_error *error)
{
	int r, value;

	r = sd_bus_message_read(m, "v", "b", &value);
	if (r < 0)
		return sd_bus_error_set(error, SD_BUS_ERROR_INVALID_ARGS, "Force is a boolean");
	*ret = value;
	return 0;
}

/* One that is not known is refused, since it may be one that says "do not". */
static int read_option(sd_bus_message *m, const char *key, void *force, sd_bus_error *error)
{
	if (strcmp(key, "Force") != 0)
		return sd_bus_error_setf(error, SD_BUS_ERROR_INVALID_ARGS, "no option \"%s\"", key);
	return bus_read_force(m, force, error);
}

/* From the begin, as often as it is asked for. */
static int read_arguments(struct call *call, const char **ret_device, bool *ret_force,
			  sd_bus_error *error)
{
	sd_bus_message *m = call_message(call);
	int r = sd_bus_message_rewind(m, true);

	*ret_force = false;
	if (r >= 0)
		r = sd_bus_message_read(m, "s", ret_device);
	return r < 0 ? r : bus_read_options(m, read_option, ret_force, error);
}

int bus_refuse_removal(sd_bus_error *error, int r, const struct manager_device *device)
{
	switch (r) {
	case -EBUSY:
		return sd_bus_error_setf(error, DG_BUS_ERROR_UNDER_WAY,
					 "%s is being removed already", device->name);
	case -EPERM:
		return sd_bus_error_setf(error, DG_BUS_ERROR_SYSTEM_DEVICE,
					 "%s carries the running system (%s)", device->name,
					 device->system[0]);
	case -ENXIO:
		return sd_bus_error_setf(error, DG_BUS_ERROR_FAILED,
					 "%s has no driver on the nd bus that could be taken away",
					 device->name);
	case -ENOSPC:
		return sd_bus_error_set(error, DG_BUS_ERROR_BUSY,
					"too many removals are under way");
	default:
		return r;
	}
}

static int begin(struct call *call, sd_bus_error *error)
{
	const struct manager_device *device;
	const char *name;
	uint64_t id;
	bool force;
	int r = read_arguments(call, &name, &force, error);

	if (r < 0)
		return r;
	device = bus_find_guarded(call_manager(call), name);
	if (!device)
		return sd_bus_error_setf(error, DG_BUS_ERROR_NO_SUCH_DEVICE,
					 "\"%s\" is no device that is guarded", name);
	r = manager_remove(call_manager(call), device, force, &id);
	if (r < 0)
		return bus_refuse_removal(error, r, device);
	return sd_bus_reply_method_return(call_message(call), "t", id);
}

int bus_remove(struct call *call, sd_bus_error *error)
{
	const char *name;
	bool force;
	int r = read_arguments(call, &name, &force, error);

	if (r < 0)
		return r;
	return call_authorize(call, force ? DG_ACTION_FORCE_REMOVE : DG_ACTION_REMOVE, begin,
			      error);
}
