/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bus.h"

#include <errno.h>
#include <stdlib.h>

#include "bus-control.h"
#include "bus-manager.h"
#include "bus-object.h"
#include "bus-system.h"

struct bus {
	struct bus_api api;
	struct bus_control *control;
	struct bus_system *system;
};

/* What happened, to be said on each connection. */
struct news {
	const struct dg_story *story;
	const struct dg_story_holder *holder;
	const struct dg_story_action *action;
	enum dg_state old_state;
	uint64_t id;
	const struct manager_device *old_devices;
	size_t n_old_devices;
	const char *device;
	uint64_t n_ranges, n_bytes;
	const struct manager_restored *restored;
};

static void broadcast(struct bus *bus, bus_send_func send, const struct news *news)
{
	bus_control_send(bus->control, send, news);
	bus_system_send(bus->system, send, news);
}

static int send_began(struct bus_link *link, const void *what)
{
	const struct news *news = what;
	int r = bus_send_incident_added(link, news->story);

	if (r >= 0)
		r = bus_send_targets_changed(link, news->story);
	return r < 0 ? r : bus_send_began(link, news->story);
}

static int send_changed(struct bus_link *link, const void *what)
{
	const struct news *news = what;
	int r = bus_send_incident_changed(link, news->story);

	return r < 0 ? r : bus_send_changed(link, news->story, news->old_state);
}

static int send_acted(struct bus_link *link, const void *what)
{
	const struct news *news = what;

	return bus_send_acted(link, news->story, news->holder, news->action);
}

static int send_failure(struct bus_link *link, const void *what)
{
	return bus_send_failure(link, ((const struct news *)what)->story);
}

static int send_repaired(struct bus_link *link, const void *what)
{
	const struct news *news = what;

	return bus_send_repaired(link, news->device, news->n_ranges, news->n_bytes);
}

static int send_restored(struct bus_link *link, const void *what)
{
	return bus_send_restored(link, ((const struct news *)what)->restored);
}

static int send_ended(struct bus_link *link, const void *what)
{
	const struct news *news = what;
	int r = bus_send_incident_changed(link, news->story);

	if (r >= 0)
		r = bus_send_targets_changed(link, news->story);
	return r < 0 ? r : bus_send_ended(link, news->story);
}

static int send_forgotten(struct bus_link *link, const void *what)
{
	return bus_send_incident_removed(link, ((const struct news *)what)->id);
}

static int send_devices(struct bus_link *link, const void *what)
{
	const struct news *news = what;

	return bus_send_devices_changed(link, news->old_devices, news->n_old_devices);
}

static void on_began(void *userdata, const struct dg_story *story)
{
	broadcast(userdata, send_began, &(struct news){.story = story});
}

static void on_changed(void *userdata, const struct dg_story *story, enum dg_state old)
{
	broadcast(userdata, send_changed, &(struct news){.story = story, .old_state = old});
}

static void on_acted(void *userdata, const struct dg_story *story,
		     const struct dg_story_holder *holder, const struct dg_story_action *action)
{
	broadcast(userdata, send_acted,
		  &(struct news){.story = story, .holder = holder, .action = action});
}

static void on_failure(void *userdata, const struct dg_story *story)
{
	broadcast(userdata, send_failure, &(struct news){.story = story});
}

static void on_repaired(void *userdata, const char *device, uint64_t n_ranges, uint64_t n_bytes)
{
	broadcast(userdata, send_repaired,
		  &(struct news){.device = device, .n_ranges = n_ranges, .n_bytes = n_bytes});
}

static void on_restored(void *userdata, const struct manager_restored *restored)
{
	broadcast(userdata, send_restored, &(struct news){.restored = restored});
}

static void on_ended(void *userdata, const struct dg_story *story)
{
	broadcast(userdata, send_ended, &(struct news){.story = story});
}

static void on_forgotten(void *userdata, uint64_t id)
{
	broadcast(userdata, send_forgotten, &(struct news){.id = id});
}

static void on_devices(void *userdata, const struct manager_device *old, size_t n_old)
{
	broadcast(userdata, send_devices,
		  &(struct news){.old_devices = old, .n_old_devices = n_old});
}

static const struct manager_observer observer = {
	.incident_began = on_began,
	.incident_changed = on_changed,
	.holder_acted = on_acted,
	.failure_seen = on_failure,
	.failures_repaired = on_repaired,
	.checkpoint_restored = on_restored,
	.incident_ended = on_ended,
	.incident_forgotten = on_forgotten,
	.devices_changed = on_devices,
};

int bus_new(struct manager *m, struct bus **ret)
{
	struct bus *bus = calloc(1, sizeof(*bus));
	int r;

	if (!bus)
		return -ENOMEM;
	bus->api.manager = m;
	r = bus_control_new(&bus->api, &bus->control);
	if (r >= 0 && manager_paths(m)->bus)
		r = bus_system_new(&bus->api, manager_paths(m)->bus, &bus->system);
	if (r < 0) {
		bus_free(bus);
		return r;
	}
	manager_observe(m, &observer, bus);
	*ret = bus;
	return 0;
}

struct bus *bus_free(struct bus *bus)
{
	if (!bus)
		return NULL;
	manager_observe(bus->api.manager, NULL, NULL);
	bus_system_free(bus->system);
	bus_control_free(bus->control);
	free(bus);
	return NULL;
}
