/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Removals that are asked for in user space. They are incidents like others; what the
 * kernel says of a hold is said here, by what is known of the device.
 */
#include <errno.h>
#include <string.h>
#include <systemd/sd-id128.h>

#include "manager-internal.h"
#include "names.h"

/*
 * The module's ids go on from the seconds since boot; ours do above them, where in thirty
 * years it will not be yet. So they are not used twice either, whatever daemon has had them.
 */
static uint64_t next_id(struct manager *m)
{
	uint64_t id = DG_REMOVE_IDS + manager_clock_ns(CLOCK_BOOTTIME) / 1000000000;

	if (id <= m->removal_id)
		id = m->removal_id + 1;
	while (manager_incident_find(m, id))
		id++;
	m->removal_id = id;
	return id;
}

static bool carries_root(const struct manager_device *device)
{
	for (char **why = device->system; why && *why; why++)
		if (strcmp(*why, "/") == 0)
			return true;
	return false;
}

int manager_may_remove(struct manager *m, const struct manager_device *device, bool force)
{
	if (manager_device_incident(m, device) != 0)
		return -EBUSY;
	if (device->system && device->system[0] && (!force || carries_root(device)))
		return -EPERM;
	if (!device->ns_device[0] || !device->driver[0])
		return -ENXIO;
	return 0;
}

void removal_request(const struct manager_device *device, bool force, struct dg_target *target,
		     struct dg_request *ret)
{
	sd_id128_t boot, uuid;

	*target = (struct dg_target){
		.dev = device->dev,
		.mode = device->mode,
		.in_use = true,
		.layers = device->layers,
		.n_layers = device->n_layers,
	};
	memcpy(target->name, device->name, sizeof(target->name));
	memcpy(target->ns_device, device->ns_device, sizeof(target->ns_device));
	if (sd_id128_from_string(device->uuid, &uuid) >= 0) {
		target->has_uuid = true;
		memcpy(target->uuid, uuid.bytes, sizeof(target->uuid));
	}
	*ret = (struct dg_request){
		.bus = "nd",
		.by_user = true,
		.forced = force,
		.deadline_ms = DG_REMOVE_MSEC,
		.cap_ms = DG_REMOVE_MSEC,
		.targets = target,
		.n_targets = 1,
	};
	if (sd_id128_get_boot(&boot) >= 0)
		sd_id128_to_uuid_string(boot, ret->boot_id);
	memcpy(ret->device, device->ns_device, sizeof(ret->device));
	memcpy(ret->driver, device->driver, sizeof(ret->driver));
}

int manager_remove(struct manager *m, const struct manager_device *device, bool force,
		   uint64_t *ret_id)
{
	struct dg_request request;
	struct dg_target target;
	int r = manager_may_remove(m, device, force);

	if (r < 0)
		return r;
	removal_request(device, force, &target, &request);
	request.id = next_id(m);
	r = incident_open(m, &request);
	if (r < 0)
		return r;
	*ret_id = request.id;
	return 0;
}

/* Backwards, since one that is over leaves the list. */
void removals_give_up(struct manager *m)
{
	for (size_t i = m->n_open; i > 0; i--) {
		struct incident *incident = m->open[i - 1];

		if (!incident->core.request.by_user)
			continue;
		incident_write_text(incident, "note", "text",
				    "the daemon was told to stop: nobody goes on with it");
		dg_incident_gone(&incident->core, manager_now(m), &incident->effects);
		incident_carry_out(incident);
	}
}
