/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bus-manager.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "bus-device.h"
#include "bus-dict.h"
#include "bus-incident.h"
#include "names.h"

/* A ListHolders that waits for its answer. */
struct call {
	struct bus_api *api;
	sd_bus_message *m; /* keeps the connection */
	struct manager_query *query;
	struct call *next;
};

struct bus_api {
	struct manager *manager;
	struct call *calls;
	size_t n_calls;
};

/* Queue what was written, if all of it could be. Frees it. */
static int reply(const struct dict *d)
{
	int r = dict_error(d);

	if (r >= 0)
		r = sd_bus_send(NULL, d->m, NULL);
	sd_bus_message_unref(d->m);
	return r;
}

static void put_protected(struct dict *d, struct manager *m)
{
	const struct manager_protected *processes;
	size_t n;

	processes = manager_protected(m, &n);
	dict_list_begin(d, "Protected");
	for (size_t i = 0; i < n; i++) {
		dict_begin(d);
		dict_u32(d, "Pid", (uint32_t)processes[i].process.pid);
		dict_bytes(d, "Name", processes[i].name);
		dict_word(d, "Why", dg_exempt_name(processes[i].why));
		dict_end(d);
	}
	dict_list_end(d);
}

static void put_pinned(void *userdata, const struct manager_pinned *pinned)
{
	struct dict *d = userdata;

	dict_begin(d);
	dict_u64(d, "Incident", pinned->incident);
	dict_bytes(d, "Device", pinned->device);
	dict_u32(d, "Pid", (uint32_t)pinned->pid);
	dict_bytes(d, "Comm", pinned->comm);
	dict_bytes(d, "Path", pinned->path);
	dict_end(d);
}

static void put_status(struct dict *d, struct manager *m)
{
	struct manager_status status;

	manager_get_status(m, &status);
	dict_begin(d);
	dict_word(d, "Version", DAXGUARD_VERSION);
	dict_u64(d, "StartedUsec", status.started_wall_us);
	dict_bool(d, "ModuleLoaded", status.module_present);
	dict_bool(d, "Registered", status.registered);
	dict_bytes(d, "WhyNot", status.why_not);
	dict_word(d, "ModuleVersion", status.module_version);
	dict_u32(d, "HoldMsec", status.hold_ms);
	dict_u32(d, "CapMsec", status.cap_ms);
	dict_u32(d, "ActivationMsec", status.activation_ms);
	dict_u64(d, "OpenIncidents", status.n_open);
	dict_u64(d, "KeptIncidents", status.n_kept);
	dict_u64(d, "TotalIncidents", status.n_total);
	dict_u64(d, "LogDropped", status.n_log_dropped);
	dict_u64(d, "Unrecorded", status.n_unrecorded);
	dict_u64(d, "TakenOver", status.n_taken_over);
	dict_u64(d, "LostSteps", status.n_lost_steps);
	dict_u64(d, "StuckSteps", status.n_stuck_steps);
	dict_bool(d, "ConfigBuiltin", status.config_builtin);
	dict_texts(d, "ConfigFiles", status.config_files, SIZE_MAX);
	dict_texts(d, "ConfigErrors", status.config_errors, SIZE_MAX);
	put_protected(d, m);
	dict_list_begin(d, "Pinned");
	manager_foreach_pinned(m, put_pinned, d);
	dict_list_end(d);
	dict_end(d);
}

static int method_get_status(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	struct bus_api *api = userdata;
	struct dict d = {0};
	int r = sd_bus_message_new_method_return(m, &d.m);

	if (r < 0)
		return r;
	put_status(&d, api->manager);
	return reply(&d);
}

static int method_list_devices(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	struct bus_api *api = userdata;
	const struct manager_device *devices;
	struct dict d = {0};
	size_t n;
	int r = sd_bus_message_new_method_return(m, &d.m);

	if (r < 0)
		return r;
	devices = manager_devices(api->manager, &n);
	dict_array_begin(&d);
	for (size_t i = 0; i < n; i++)
		bus_put_device(&d, api->manager, &devices[i]);
	dict_array_end(&d);
	return reply(&d);
}

static int method_list_incidents(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	struct bus_api *api = userdata;
	const struct dg_story *story;
	struct dict d = {0};
	int r = sd_bus_message_new_method_return(m, &d.m);

	if (r < 0)
		return r;
	dict_array_begin(&d);
	for (size_t i = 0; (story = manager_incident_at(api->manager, i)); i++)
		bus_put_summary(&d, story);
	dict_array_end(&d);
	return reply(&d);
}

static int method_get_incident(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	struct bus_api *api = userdata;
	const struct dg_story *story;
	struct dict d = {0};
	uint64_t id;
	int r = sd_bus_message_read(m, "t", &id);

	if (r < 0)
		return r;
	story = manager_incident_find(api->manager, id);
	if (!story)
		return sd_bus_error_setf(error, DG_BUS_ERROR_NO_SUCH_INCIDENT,
					 "no incident %" PRIu64 " is known", id);
	r = sd_bus_message_new_method_return(m, &d.m);
	if (r < 0)
		return r;
	bus_put_story(&d, story);
	return reply(&d);
}

static struct call *call_free(struct call *call)
{
	struct call **link = &call->api->calls;

	while (*link != call)
		link = &(*link)->next;
	*link = call->next;
	call->api->n_calls--;
	manager_query_cancel(call->query);
	sd_bus_message_unref(call->m);
	free(call);
	return NULL;
}

static int explain(sd_bus_error *error, int r, const char *device)
{
	switch (r) {
	case -ENODEV:
		return sd_bus_error_setf(error, DG_BUS_ERROR_NO_SUCH_DEVICE,
					 "\"%s\" is no device that is guarded", device);
	case -EOPNOTSUPP:
		return sd_bus_error_setf(error, DG_BUS_ERROR_NO_MODULE,
					 "only the module can tell who uses %s, and it is not "
					 "loaded: " DG_MODULE_HINT,
					 device);
	case -EBUSY:
	case -ENOSPC:
		return sd_bus_error_set(error, DG_BUS_ERROR_BUSY,
					"too many ask at once; try again");
	case -ETIME:
		return sd_bus_error_setf(error, DG_BUS_ERROR_TIMED_OUT,
					 "no answer in time: who uses %s is not known", device);
	default:
		return sd_bus_error_setf(error, DG_BUS_ERROR_FAILED,
					 "cannot find out who uses %s: %s", device, strerror(-r));
	}
}

static void on_holders(void *userdata, int result, const struct dg_holder_list *holders,
		       const struct dg_fs_list *fs)
{
	sd_bus_error error = SD_BUS_ERROR_NULL;
	struct call *call = userdata;
	struct dict d = {0};
	const char *device = "";
	int r;

	call->query = NULL; /* it is over */
	sd_bus_message_rewind(call->m, true);
	sd_bus_message_read(call->m, "s", &device);

	if (result < 0) {
		explain(&error, result, device);
		sd_bus_reply_method_error(call->m, &error);
		sd_bus_error_free(&error);
	} else {
		r = sd_bus_message_new_method_return(call->m, &d.m);
		if (r >= 0) {
			bus_put_holders(&d, device, holders, fs);
			r = reply(&d);
		}
		if (r < 0)
			sd_bus_reply_method_errno(call->m, r, NULL);
	}
	call_free(call);
}

static int method_list_holders(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	struct bus_api *api = userdata;
	struct call *call;
	const char *device;
	dg_dev_t dev;
	int r = sd_bus_message_read(m, "s", &device);

	if (r < 0)
		return r;
	r = bus_find_device(api->manager, device, &dev);
	if (r < 0)
		return explain(error, r, device);
	if (api->n_calls >= DG_CONTROL_CALLS_MAX)
		return explain(error, -EBUSY, device);

	call = calloc(1, sizeof(*call));
	if (!call)
		return -ENOMEM;
	*call = (struct call){api, sd_bus_message_ref(m), NULL, api->calls};
	api->calls = call;
	api->n_calls++;

	r = manager_query_holders(api->manager, dev, on_holders, call, &call->query);
	if (r < 0) {
		call_free(call);
		return explain(error, r, device);
	}
	return 1;
}

#define READ SD_BUS_VTABLE_UNPRIVILEGED

static const sd_bus_vtable vtable[] = {
	SD_BUS_VTABLE_START(0),
	SD_BUS_METHOD_WITH_ARGS("GetStatus", SD_BUS_NO_ARGS, SD_BUS_RESULT("a{sv}", status),
				method_get_status, READ),
	SD_BUS_METHOD_WITH_ARGS("ListDevices", SD_BUS_NO_ARGS, SD_BUS_RESULT("aa{sv}", devices),
				method_list_devices, READ),
	SD_BUS_METHOD_WITH_ARGS("ListHolders", SD_BUS_ARGS("s", device),
				SD_BUS_RESULT("a{sv}", users), method_list_holders, READ),
	SD_BUS_METHOD_WITH_ARGS("ListIncidents", SD_BUS_NO_ARGS, SD_BUS_RESULT("aa{sv}", incidents),
				method_list_incidents, READ),
	SD_BUS_METHOD_WITH_ARGS("GetIncident", SD_BUS_ARGS("t", id), SD_BUS_RESULT("a{sv}", story),
				method_get_incident, READ),
	SD_BUS_SIGNAL_WITH_ARGS("IncidentBegan", SD_BUS_ARGS("t", id, "a{sv}", details), 0),
	SD_BUS_SIGNAL_WITH_ARGS("StateChanged", SD_BUS_ARGS("t", id, "a{sv}", details), 0),
	SD_BUS_SIGNAL_WITH_ARGS("HolderActed", SD_BUS_ARGS("t", id, "a{sv}", details), 0),
	SD_BUS_SIGNAL_WITH_ARGS("IncidentEnded", SD_BUS_ARGS("t", id, "a{sv}", details), 0),
	SD_BUS_VTABLE_END,
};

int bus_api_new(struct manager *m, struct bus_api **ret)
{
	struct bus_api *api = calloc(1, sizeof(*api));

	if (!api)
		return -ENOMEM;
	api->manager = m;
	*ret = api;
	return 0;
}

struct bus_api *bus_api_free(struct bus_api *api)
{
	if (!api)
		return NULL;
	while (api->calls)
		call_free(api->calls);
	free(api);
	return NULL;
}

int bus_api_add(struct bus_api *api, sd_bus *conn)
{
	return sd_bus_add_object_vtable(conn, NULL, DG_BUS_PATH, DG_BUS_MANAGER_INTERFACE, vtable,
					api);
}

void bus_api_forget(struct bus_api *api, sd_bus *conn)
{
	struct call *next;

	for (struct call *call = api->calls; call; call = next) {
		next = call->next;
		if (sd_bus_message_get_bus(call->m) == conn)
			call_free(call);
	}
}

/* A signal that has its number written; the details are to follow. */
static int begin_signal(sd_bus *conn, const char *name, uint64_t id, struct dict *d)
{
	int r = sd_bus_message_new_signal(conn, &d->m, DG_BUS_PATH, DG_BUS_MANAGER_INTERFACE, name);

	if (r < 0)
		return r;
	r = sd_bus_message_append(d->m, "t", id);
	if (r < 0)
		d->m = sd_bus_message_unref(d->m);
	return r;
}

static int send_signal(sd_bus *conn, struct dict *d)
{
	int r = dict_error(d);

	if (r >= 0)
		r = sd_bus_send(conn, d->m, NULL);
	sd_bus_message_unref(d->m);
	return r;
}

int bus_send_began(sd_bus *conn, const struct dg_story *story)
{
	struct dict d = {0};
	int r = begin_signal(conn, "IncidentBegan", story->id, &d);

	if (r < 0)
		return r;
	bus_put_summary(&d, story);
	return send_signal(conn, &d);
}

int bus_send_changed(sd_bus *conn, const struct dg_story *story, enum dg_state old)
{
	struct dict d = {0};
	int r = begin_signal(conn, "StateChanged", story->id, &d);

	if (r < 0)
		return r;
	dict_begin(&d);
	dict_word(&d, "Device", story->device);
	dict_word(&d, "OldState", dg_state_name(old));
	dict_word(&d, "State", dg_state_name(story->state));
	dict_end(&d);
	return send_signal(conn, &d);
}

int bus_send_acted(sd_bus *conn, const struct dg_story *story, const struct dg_story_holder *holder,
		   const struct dg_story_action *action)
{
	struct dict d = {0};
	int r = begin_signal(conn, "HolderActed", story->id, &d);

	if (r < 0)
		return r;
	bus_put_action(&d, story, holder, action);
	return send_signal(conn, &d);
}

int bus_send_ended(sd_bus *conn, const struct dg_story *story)
{
	struct dict d = {0};
	int r = begin_signal(conn, "IncidentEnded", story->id, &d);

	if (r < 0)
		return r;
	bus_put_summary(&d, story);
	return send_signal(conn, &d);
}
