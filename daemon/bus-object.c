/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bus-object.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bus-device.h"
#include "bus-dict.h"
#include "bus-incident.h"
#include "names.h"

#define INCIDENT_PATH_MAX sizeof(DG_BUS_INCIDENT_PATH "/18446744073709551615")

static void incident_path(uint64_t id, char ret[static INCIDENT_PATH_MAX])
{
	snprintf(ret, INCIDENT_PATH_MAX, DG_BUS_INCIDENT_PATH "/%" PRIu64, id);
}

static const struct manager_device *device_named(const struct manager_device *devices, size_t n,
						 const char *name)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(devices[i].name, name) == 0)
			return &devices[i];
	return NULL;
}

static const struct manager_device *find_named(struct bus_link *link, const char *name)
{
	size_t n;
	const struct manager_device *devices = manager_devices(link->api->manager, &n);

	return device_named(devices, n, name);
}

static int get_device(sd_bus *conn, const char *path, const char *interface, const char *property,
		      sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
	struct dict d = {.m = reply, .only = property};
	struct bus_link *link = userdata;
	const struct manager_device *device;
	char *name = NULL;
	int r = sd_bus_path_decode(path, DG_BUS_DEVICE_PATH, &name);

	device = r > 0 ? find_named(link, name) : NULL;
	free(name);
	if (!device)
		return r < 0 ? r : -ENOENT;
	bus_put_device(&d, link->api->manager, device);
	return dict_error(&d);
}

static const struct dg_story *find_story(struct bus_link *link, const char *path)
{
	char usual[INCIDENT_PATH_MAX];
	uint64_t id;

	if (strncmp(path, DG_BUS_INCIDENT_PATH "/", sizeof(DG_BUS_INCIDENT_PATH)) != 0)
		return NULL;
	id = strtoull(path + sizeof(DG_BUS_INCIDENT_PATH), NULL, 10);
	incident_path(id, usual);
	if (strcmp(path, usual) != 0) /* 007, or no number */
		return NULL;
	return manager_incident_find(link->api->manager, id);
}

static int get_incident(sd_bus *conn, const char *path, const char *interface, const char *property,
			sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
	struct dict d = {.m = reply, .only = property};
	const struct dg_story *story = find_story(userdata, path);

	if (!story)
		return -ENOENT;
	bus_put_summary(&d, story);
	return dict_error(&d);
}

/* Keys and types are those of ListDevices. */
#define DEVICE(name, type, flags) SD_BUS_PROPERTY(name, type, get_device, 0, flags)
#define CHANGES SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE
#define CONST SD_BUS_VTABLE_PROPERTY_CONST

static const sd_bus_vtable device_vtable[] = {
	SD_BUS_VTABLE_START(0),           DEVICE("Name", "s", CONST),
	DEVICE("Device", "s", CHANGES),   DEVICE("Namespace", "s", CHANGES),
	DEVICE("Mode", "s", CHANGES),     DEVICE("DevNum", "s", CHANGES),
	DEVICE("Size", "t", CHANGES),     DEVICE("Uuid", "s", CHANGES),
	DEVICE("Region", "s", CHANGES),   DEVICE("Bus", "s", CHANGES),
	DEVICE("Driver", "s", CHANGES),   DEVICE("NumaNode", "i", CHANGES),
	DEVICE("System", "aay", CHANGES), DEVICE("Mounts", "aa{sv}", CHANGES),
	DEVICE("Incident", "t", CHANGES), SD_BUS_VTABLE_END,
};

/* Keys and types are those of ListIncidents. */
#define INCIDENT(name, type, flags) SD_BUS_PROPERTY(name, type, get_incident, 0, flags)

static const sd_bus_vtable incident_vtable[] = {
	SD_BUS_VTABLE_START(0),
	INCIDENT("Id", "t", CONST),
	INCIDENT("Kind", "s", CONST),
	INCIDENT("Device", "s", CONST),
	INCIDENT("BeganUsec", "t", CONST),
	INCIDENT("Source", "s", CONST),
	INCIDENT("State", "s", CHANGES),
	INCIDENT("Outcome", "s", CHANGES),
	INCIDENT("Result", "s", CHANGES),
	INCIDENT("Revoke", "s", CHANGES),
	INCIDENT("EndedUsec", "t", CHANGES),
	INCIDENT("HeldUsec", "t", CHANGES),
	INCIDENT("HolderCount", "u", CHANGES),
	INCIDENT("Marks", "as", CHANGES),
	SD_BUS_VTABLE_END,
};

/* The link stays their userdata: properties find their object again by its path. */
static int find_device(sd_bus *conn, const char *path, const char *interface, void *userdata,
		       void **ret_found, sd_bus_error *error)
{
	char *name = NULL;
	int r = sd_bus_path_decode(path, DG_BUS_DEVICE_PATH, &name);
	bool found = r > 0 && find_named(userdata, name);

	free(name);
	if (r < 0)
		return r;
	if (found)
		*ret_found = userdata;
	return found;
}

static int find_incident(sd_bus *conn, const char *path, const char *interface, void *userdata,
			 void **ret_found, sd_bus_error *error)
{
	if (!find_story(userdata, path))
		return 0;
	*ret_found = userdata;
	return 1;
}

static char **paths_free(char **paths)
{
	for (char **path = paths; path && *path; path++)
		free(*path);
	free(paths);
	return NULL;
}

static int list_devices(sd_bus *conn, const char *prefix, void *userdata, char ***ret_nodes,
			sd_bus_error *error)
{
	struct bus_link *link = userdata;
	size_t n;
	const struct manager_device *devices = manager_devices(link->api->manager, &n);
	char **paths = calloc(n + 1, sizeof(*paths));
	int r = 0;

	if (!paths)
		return -ENOMEM;
	for (size_t i = 0; r >= 0 && i < n; i++)
		r = sd_bus_path_encode(DG_BUS_DEVICE_PATH, devices[i].name, &paths[i]);
	if (r < 0) {
		paths_free(paths);
		return r;
	}
	*ret_nodes = paths;
	return 0;
}

static int list_incidents(sd_bus *conn, const char *prefix, void *userdata, char ***ret_nodes,
			  sd_bus_error *error)
{
	struct bus_link *link = userdata;
	struct manager *m = link->api->manager;
	char path[INCIDENT_PATH_MAX], **paths;
	size_t n = 0;

	while (manager_incident_at(m, n))
		n++;
	paths = calloc(n + 1, sizeof(*paths));
	if (!paths)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		incident_path(manager_incident_at(m, i)->id, path);
		paths[i] = strdup(path);
		if (!paths[i]) {
			paths_free(paths);
			return -ENOMEM;
		}
	}
	*ret_nodes = paths;
	return 0;
}

int bus_objects_add(struct bus_link *link)
{
	sd_bus *conn = link->conn;
	int r = sd_bus_add_object_manager(conn, NULL, DG_BUS_PATH);

	if (r >= 0)
		r = sd_bus_add_fallback_vtable(conn, NULL, DG_BUS_DEVICE_PATH,
					       DG_BUS_DEVICE_INTERFACE, device_vtable, find_device,
					       link);
	if (r >= 0)
		r = sd_bus_add_node_enumerator(conn, NULL, DG_BUS_DEVICE_PATH, list_devices, link);
	if (r >= 0)
		r = sd_bus_add_fallback_vtable(conn, NULL, DG_BUS_INCIDENT_PATH,
					       DG_BUS_INCIDENT_INTERFACE, incident_vtable,
					       find_incident, link);
	if (r >= 0)
		r = sd_bus_add_node_enumerator(conn, NULL, DG_BUS_INCIDENT_PATH, list_incidents,
					       link);
	return r;
}

int bus_send_incident_added(struct bus_link *link, const struct dg_story *story)
{
	char path[INCIDENT_PATH_MAX];

	incident_path(story->id, path);
	return sd_bus_emit_interfaces_added(link->conn, path, DG_BUS_INCIDENT_INTERFACE, NULL);
}

int bus_send_incident_removed(struct bus_link *link, uint64_t id)
{
	char path[INCIDENT_PATH_MAX];

	incident_path(id, path);
	return sd_bus_emit_interfaces_removed(link->conn, path, DG_BUS_INCIDENT_INTERFACE, NULL);
}

int bus_send_incident_changed(struct bus_link *link, const struct dg_story *story)
{
	char path[INCIDENT_PATH_MAX];

	incident_path(story->id, path);
	return sd_bus_emit_properties_changed(link->conn, path, DG_BUS_INCIDENT_INTERFACE, "State",
					      "Outcome", "Result", "Revoke", "EndedUsec",
					      "HeldUsec", "HolderCount", "Marks", NULL);
}

static int send_properties(struct bus_link *link, const char *name, const char *const *properties)
{
	char *path;
	int r = sd_bus_path_encode(DG_BUS_DEVICE_PATH, name, &path);

	if (r < 0)
		return r;
	r = sd_bus_emit_properties_changed_strv(link->conn, path, DG_BUS_DEVICE_INTERFACE,
						(char **)properties);
	free(path);
	return r;
}

int bus_send_targets_changed(struct bus_link *link, const struct dg_story *story)
{
	static const char *const incident[] = {"Incident", NULL};
	int r = 0;

	for (size_t i = 0; r >= 0 && i < story->n_targets; i++)
		if (find_named(link, story->targets[i].name))
			r = send_properties(link, story->targets[i].name, incident);
	return r;
}

static bool same_texts(char *const *a, char *const *b)
{
	while (a && *a && b && *b && strcmp(*a, *b) == 0) {
		a++;
		b++;
	}
	return !(a && *a) && !(b && *b);
}

static bool same_mounts(const struct manager_device *a, const struct manager_device *b)
{
	if (a->n_mounts != b->n_mounts)
		return false;
	for (size_t i = 0; i < a->n_mounts; i++)
		if (strcmp(a->mounts[i].path, b->mounts[i].path) != 0 ||
		    strcmp(a->mounts[i].type, b->mounts[i].type) != 0 ||
		    a->mounts[i].dev != b->mounts[i].dev)
			return false;
	return true;
}

/* The names of what differs, NULL at the end. Which incident it has, is said when that is so. */
static void compare(const struct manager_device *a, const struct manager_device *b,
		    const char *ret[static 13])
{
	const struct {
		const char *name;
		bool same;
	} properties[] = {
		{"Device", strcmp(a->ns_device, b->ns_device) == 0},
		{"Namespace", strcmp(a->ns_name, b->ns_name) == 0},
		{"Mode", a->mode == b->mode},
		{"DevNum", a->dev == b->dev},
		{"Size", a->size == b->size},
		{"Uuid", strcmp(a->uuid, b->uuid) == 0},
		{"Region", strcmp(a->region, b->region) == 0},
		{"Bus", strcmp(a->bus, b->bus) == 0},
		{"Driver", strcmp(a->driver, b->driver) == 0},
		{"NumaNode", a->numa == b->numa},
		{"System", same_texts(a->system, b->system)},
		{"Mounts", same_mounts(a, b)},
	};
	size_t n = 0;

	for (size_t i = 0; i < sizeof(properties) / sizeof(properties[0]); i++)
		if (!properties[i].same)
			ret[n++] = properties[i].name;
	ret[n] = NULL;
}

static int send_presence(struct bus_link *link, const char *name, bool there)
{
	char *path;
	int r = sd_bus_path_encode(DG_BUS_DEVICE_PATH, name, &path);

	if (r < 0)
		return r;
	r = there ? sd_bus_emit_interfaces_added(link->conn, path, DG_BUS_DEVICE_INTERFACE, NULL)
		  : sd_bus_emit_interfaces_removed(link->conn, path, DG_BUS_DEVICE_INTERFACE, NULL);
	free(path);
	return r;
}

int bus_send_devices_changed(struct bus_link *link, const struct manager_device *old, size_t n_old)
{
	size_t n;
	const struct manager_device *now = manager_devices(link->api->manager, &n), *was;
	const char *changed[13];
	int r = 0;

	for (size_t i = 0; r >= 0 && i < n_old; i++)
		if (!device_named(now, n, old[i].name))
			r = send_presence(link, old[i].name, false);
	for (size_t i = 0; r >= 0 && i < n; i++) {
		was = device_named(old, n_old, now[i].name);
		if (!was) {
			r = send_presence(link, now[i].name, true);
			continue;
		}
		compare(was, &now[i], changed);
		if (changed[0])
			r = send_properties(link, now[i].name, changed);
	}
	return r;
}
