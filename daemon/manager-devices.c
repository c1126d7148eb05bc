/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What is there, for people, and who is protected: learnt from steps while
 * nothing is held. A hold needs none of it, and both may block while there is
 * one, so they are stopped when it begins and started again after it. Then
 * there is time, too, to have steps ready for the next one.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>

#include "core/record.h"
#include "manager-checkpoints.h"
#include "manager-internal.h"
#include "names.h"

#define SETTLE_US 500000ULL /* many uevents come at once */
#define SETTLE_MOST_US 2000000ULL
#define TOPOLOGY_US 20000000ULL
#define PROTECTED_US 5000000ULL

struct record {
	const char *text;
	size_t n;
};

static const char *get(struct record record, const char *key)
{
	return dg_record_get(record.text, record.n, key);
}

static void copy(struct record record, const char *key, char *to, size_t size)
{
	snprintf(to, size, "%s", get(record, key) ?: "");
}
#define COPY(record, key, array) copy(record, key, array, sizeof(array))

static void free_texts(char **texts)
{
	for (char **text = texts; text && *text; text++)
		free(*text);
	free(texts);
}

static void devices_free(struct manager_device *devices, size_t n_devices)
{
	for (size_t i = 0; i < n_devices; i++) {
		struct manager_device *device = &devices[i];

		for (size_t k = 0; k < device->n_mounts; k++)
			free(device->mounts[k].path);
		free(device->mounts);
		free(device->layers);
		free_texts(device->system);
		free_texts(device->by_path);
	}
	free(devices);
}

struct list {
	struct manager_device *items;
	size_t n_items;
};

static struct manager_device *find(struct list *list, const char *name)
{
	for (size_t i = 0; i < list->n_items; i++)
		if (strcmp(list->items[i].name, name) == 0)
			return &list->items[i];
	return NULL;
}

static enum dg_mode mode_of(const char *name)
{
	for (unsigned mode = 0; name && mode < _DG_MODE_MAX; mode++)
		if (strcmp(name, dg_mode_name(mode)) == 0)
			return mode;
	return DG_MODE_UNKNOWN;
}

static int add_text(char ***texts, const char *text)
{
	size_t n = 0;
	char **grown;

	while (*texts && (*texts)[n])
		n++;
	grown = reallocarray(*texts, n + 2, sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	*texts = grown;
	grown[n + 1] = NULL;
	grown[n] = strdup(text);
	return grown[n] ? 0 : -ENOMEM;
}

/* A key that may stand there often. */
static int add_links(struct manager_device *device, struct record record)
{
	static const char key[] = "BY_PATH=";
	int r = 0;

	for (size_t at = 0; at < record.n && r >= 0; at += strlen(record.text + at) + 1)
		if (strncmp(record.text + at, key, strlen(key)) == 0)
			r = add_text(&device->by_path, record.text + at + strlen(key));
	return r;
}

static int add_device(struct list *list, struct record record)
{
	struct manager_device *device =
		reallocarray(list->items, list->n_items + 1, sizeof(*device));
	uint64_t numa;

	if (!device)
		return -ENOMEM;
	list->items = device;
	device += list->n_items++;
	*device = (struct manager_device){.mode = mode_of(get(record, "MODE")), .numa = -1};
	COPY(record, "NAME", device->name);
	COPY(record, "NS_DEVICE", device->ns_device);
	COPY(record, "NAMESPACE", device->ns_name);
	COPY(record, "REGION", device->region);
	COPY(record, "BUS", device->bus);
	COPY(record, "DRIVER", device->driver);
	COPY(record, "UUID", device->uuid);
	if (dg_record_get_u64(record.text, record.n, "NUMA", &numa) >= 0 && numa <= INT32_MAX)
		device->numa = (int)numa;
	/* What a record does not say stays 0. */
	(void)!dg_record_get_u64(record.text, record.n, "SIZE", &device->size);
	(void)!dg_record_get_u64(record.text, record.n, "DISKSEQ", &device->diskseq);
	(void)!dg_record_get_dev(record.text, record.n, "DEV", &device->dev);
	return add_links(device, record);
}

static int add_mount(struct list *list, struct record record, const char *of)
{
	struct manager_device *device = find(list, of);
	struct manager_mount *mount;

	if (!device)
		return 0;
	mount = reallocarray(device->mounts, device->n_mounts + 1, sizeof(*mount));
	if (!mount)
		return -ENOMEM;
	device->mounts = mount;
	mount += device->n_mounts;
	*mount = (struct manager_mount){.path = strdup(get(record, "PATH") ?: "")};
	if (!mount->path)
		return -ENOMEM;
	device->n_mounts++;
	COPY(record, "TYPE", mount->type);
	(void)!dg_record_get_dev(record.text, record.n, "DEV", &mount->dev);
	return 0;
}

static int add_layer(struct list *list, struct record record, const char *of)
{
	struct manager_device *device = find(list, of);
	struct dg_layer *layer;

	if (!device)
		return 0;
	layer = reallocarray(device->layers, device->n_layers + 1, sizeof(*layer));
	if (!layer)
		return -ENOMEM;
	device->layers = layer;
	layer += device->n_layers++;
	*layer = (struct dg_layer){};
	COPY(record, "LAYER", layer->name);
	(void)!dg_record_get_dev(record.text, record.n, "DEV", &layer->dev);
	return 0;
}

static int add_reason(struct list *list, struct record record, const char *of)
{
	struct manager_device *device = find(list, of);
	const char *why = get(record, "WHY");

	return device && why ? add_text(&device->system, why) : 0;
}

static int read_devices(const char *output, size_t n_output, struct list *list)
{
	const char *cursor = output, *end = output + n_output, *of;
	struct record record;
	int r = 0;

	while (r >= 0 && (record.text = dg_record_next(&cursor, end, &record.n))) {
		if ((of = get(record, "MOUNT_OF")))
			r = add_mount(list, record, of);
		else if ((of = get(record, "LAYER_OF")))
			r = add_layer(list, record, of);
		else if ((of = get(record, "SYSTEM_OF")))
			r = add_reason(list, record, of);
		else if (get(record, "NAME"))
			r = add_device(list, record);
	}
	return r;
}

static void on_topology(void *userdata, const struct step_outcome *outcome)
{
	struct manager *m = userdata;
	struct list list = {}, old;
	int r;

	m->topology_step = NULL;
	if (outcome->end != STEP_OK) {
		log_message(m, LOG_WARNING, NULL, "The topology could not be read: %s %s",
			    step_end_name(outcome->end), outcome->error);
		returns_go_on(m);
		return;
	}
	r = read_devices(outcome->output, outcome->n_output, &list);
	if (r < 0) {
		devices_free(list.items, list.n_items);
		returns_go_on(m);
		return;
	}
	old = (struct list){m->devices, m->n_devices};
	m->devices = list.items;
	m->n_devices = list.n_items;
	OBSERVE(m, devices_changed, old.items, old.n_items);
	returns_devices(m, old.items, old.n_items);
	devices_free(old.items, old.n_items);
	checks_devices(m);
	repairs_devices(m);
}

int devices_set_protected(struct manager *m, const char *output, size_t n_output)
{
	const char *cursor = output, *end = output + n_output;
	struct manager_protected *items = NULL, *grown;
	struct record record;
	uint64_t pid, start_ns;
	size_t n = 0;

	while ((record.text = dg_record_next(&cursor, end, &record.n))) {
		if (dg_record_get_u64(record.text, record.n, "PID", &pid) < 0 ||
		    dg_record_get_u64(record.text, record.n, "START_NS", &start_ns) < 0 ||
		    pid == 0 || pid > INT32_MAX)
			continue;
		grown = reallocarray(items, n + 1, sizeof(*grown));
		if (!grown) {
			free(items);
			return -ENOMEM;
		}
		items = grown;
		items[n] = (struct manager_protected){
			.process = {(pid_t)pid, start_ns},
			.why = DG_EXEMPT_SERVICE,
		};
		COPY(record, "NAME", items[n].name);
		n++;
	}
	free(m->protected);
	m->protected = items;
	m->n_protected = n;
	m->knows_protected = true;
	m->n_protected_lists++;
	failures_go_on(m);
	return 0;
}

/* The one that a service began with; udevd has workers that come and go. */
static bool is_first_of_unit(const struct manager *m, const struct manager_protected *p)
{
	for (size_t i = 0; i < m->n_protected; i++)
		if (strcmp(m->protected[i].name, p->name) == 0 &&
		    m->protected[i].process.start_ns < p->process.start_ns)
			return false;
	return true;
}

bool devices_knows_protected(struct manager *m)
{
	for (size_t i = 0; i < m->n_protected; i++)
		if (is_first_of_unit(m, &m->protected[i]) &&
		    !manager_is_alive(m, m->protected[i].process))
			return false;
	return m->knows_protected;
}

static void on_protected(void *userdata, const struct step_outcome *outcome)
{
	struct manager *m = userdata;

	m->protected_step = NULL;
	if (outcome->end != STEP_OK ||
	    devices_set_protected(m, outcome->output, outcome->n_output) < 0)
		log_message(m, LOG_WARNING, NULL, "The protected services could not be listed: %s",
			    outcome->error);
}

uint64_t devices_ask_protected(struct manager *m)
{
	static const char *const argv[] = {"protected", NULL};

	/* One that runs may have seen who is gone by now. */
	if (m->protected_step)
		return m->n_protected_lists + 2;
	if (step_start(m->steps, argv, PROTECTED_US, on_protected, m, &m->protected_step) < 0)
		m->protected_step = NULL;
	return m->n_protected_lists + 1;
}

static int on_ready(sd_event_source *source, void *userdata)
{
	struct manager *m = userdata;

	if (!manager_is_holding(m) && steps_keep_ready(m->steps, DG_STEPS_READY))
		sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
	return 0;
}

/* Uevents may come for ever: what has begun to look is not stopped for them. */
static int on_timer(sd_event_source *source, uint64_t usec, void *userdata)
{
	static const char *const topology[] = {"topology", NULL};
	struct manager *m = userdata;

	if (manager_is_holding(m))
		return 0;
	/* One that runs has seen part of it only. */
	if (m->topology_step || m->protected_step) {
		devices_look_again(m);
		return 0;
	}
	if (step_start(m->steps, topology, TOPOLOGY_US, on_topology, m, &m->topology_step) < 0)
		m->topology_step = NULL;
	devices_ask_protected(m);
	sd_event_source_set_enabled(m->ready_source, SD_EVENT_ONESHOT);
	return 0;
}

void devices_look_again(struct manager *m)
{
	uint64_t now_us = manager_now(m), at_us = now_us + SETTLE_US;

	if (!m->topology_timer || manager_is_holding(m))
		return;
	/* Not after the last of them, which may never come. */
	if (sd_event_source_get_enabled(m->topology_timer, NULL) == 0)
		m->look_by_us = now_us + SETTLE_MOST_US;
	sd_event_source_set_time(m->topology_timer, at_us < m->look_by_us ? at_us : m->look_by_us);
	sd_event_source_set_enabled(m->topology_timer, SD_EVENT_ONESHOT);
}

void devices_hold(struct manager *m)
{
	if (m->topology_step)
		step_cancel(m->topology_step);
	if (m->protected_step)
		step_cancel(m->protected_step);
	m->topology_step = NULL;
	m->protected_step = NULL;
}

bool devices_are_fresh(const struct manager *m)
{
	return !m->topology_step && m->topology_timer &&
	       sd_event_source_get_enabled(m->topology_timer, NULL) == 0;
}

int devices_start(struct manager *m)
{
	int r;

	r = sd_event_add_defer(m->event, &m->ready_source, on_ready, m);
	if (r >= 0)
		r = sd_event_source_set_enabled(m->ready_source, SD_EVENT_OFF);
	if (r >= 0)
		r = sd_event_add_time(m->event, &m->topology_timer, CLOCK_MONOTONIC, 0, 0, on_timer,
				      m);
	return r < 0 ? r : 0;
}

void devices_done(struct manager *m)
{
	devices_hold(m);
	m->topology_timer = sd_event_source_disable_unref(m->topology_timer);
	m->ready_source = sd_event_source_disable_unref(m->ready_source);
	devices_free(m->devices, m->n_devices);
	free(m->protected);
	m->devices = NULL;
	m->n_devices = 0;
	m->protected = NULL;
	m->n_protected = 0;
}

const struct manager_device *devices_find(const struct manager *m, dg_dev_t dev, bool is_char)
{
	for (size_t i = 0; i < m->n_devices; i++)
		if (m->devices[i].dev == dev && (m->devices[i].mode == DG_MODE_DEVDAX) == is_char)
			return &m->devices[i];
	return NULL;
}

const struct manager_device *manager_devices(struct manager *m, size_t *ret_n)
{
	*ret_n = m->n_devices;
	return m->devices;
}

const struct manager_protected *manager_protected(struct manager *m, size_t *ret_n)
{
	*ret_n = m->n_protected;
	return m->protected;
}

uint64_t manager_device_incident(struct manager *m, const struct manager_device *device)
{
	for (size_t i = 0; i < m->n_open; i++) {
		const struct dg_request *request = &m->open[i]->core.request;

		for (size_t k = 0; k < request->n_targets; k++)
			if (strcmp(request->targets[k].name, device->name) == 0)
				return request->id;
	}
	return 0;
}
