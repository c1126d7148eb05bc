/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bus-manager.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "bus-checkpoint.h"
#include "bus-device.h"
#include "bus-dict.h"
#include "bus-failed.h"
#include "bus-failure.h"
#include "bus-forecast.h"
#include "bus-incident.h"
#include "bus-policy.h"
#include "bus-register.h"
#include "bus-reload.h"
#include "bus-remove.h"
#include "names.h"

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

/* Files, their errors and processes are not for everybody. */
static void put_status_of_root(struct dict *d, struct manager *m,
			       const struct manager_status *status)
{
	dict_texts(d, "ConfigFiles", status->config_files, SIZE_MAX);
	dict_texts(d, "ConfigErrors", status->config_errors, SIZE_MAX);
	dict_texts(d, "Refused", status->refused, SIZE_MAX);
	dict_texts(d, "PolicyWarnings", status->policy_warnings, SIZE_MAX);
	put_protected(d, m);
	dict_list_begin(d, "Pinned");
	manager_foreach_pinned(m, put_pinned, d);
	dict_list_end(d);
	bus_put_registrations(d, m);
}

static void put_status(struct dict *d, struct viewer viewer, struct manager *m)
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
	dict_bool(d, "PolicyBuiltin", status.policy_builtin);
	dict_u64(d, "Rules", status.n_rules);
	dict_u64(d, "DeviceRules", status.n_device_rules);
	dict_bool(d, "LedgerRead", status.ledger_read);
	dict_u64(d, "BadRanges", status.n_bad);
	dict_u64(d, "LedgerUnwritten", status.n_ledger_unwritten);
	dict_u64(d, "LedgerSkipped", status.n_ledger_skipped);
	dict_word(d, "LedgerError", status.ledger_error);
	if (viewer.all)
		put_status_of_root(d, m, &status);
	dict_end(d);
}

static int get_status(struct call *call, sd_bus_error *error)
{
	struct dict d = {0};
	int r = sd_bus_message_new_method_return(call_message(call), &d.m);

	if (r < 0)
		return r;
	put_status(&d, call_viewer(call), call_manager(call));
	return dict_reply(&d);
}

/* Files, like those of the configuration, are not for everybody. */
static int get_policy(struct call *call, sd_bus_error *error)
{
	struct dict d = {0};
	int r;

	if (!call_viewer(call).all)
		return sd_bus_error_set(error, SD_BUS_ERROR_ACCESS_DENIED,
					"only root may read the rules");
	r = sd_bus_message_new_method_return(call_message(call), &d.m);
	if (r < 0)
		return r;
	dict_begin(&d);
	bus_put_policy(&d, call_manager(call));
	dict_end(&d);
	return dict_reply(&d);
}

static int list_devices(struct call *call, sd_bus_error *error)
{
	struct manager *m = call_manager(call);
	const struct manager_device *devices;
	struct dict d = {0};
	size_t n;
	int r = sd_bus_message_new_method_return(call_message(call), &d.m);

	if (r < 0)
		return r;
	devices = manager_devices(m, &n);
	dict_array_begin(&d);
	for (size_t i = 0; i < n; i++) {
		dict_begin(&d);
		bus_put_device(&d, m, &devices[i]);
		dict_end(&d);
	}
	dict_array_end(&d);
	return dict_reply(&d);
}

static int list_incidents(struct call *call, sd_bus_error *error)
{
	const struct dg_story *story;
	struct dict d = {0};
	int r = sd_bus_message_new_method_return(call_message(call), &d.m);

	if (r < 0)
		return r;
	dict_array_begin(&d);
	for (size_t i = 0; (story = manager_incident_at(call_manager(call), i)); i++) {
		dict_begin(&d);
		bus_put_summary(&d, story);
		dict_end(&d);
	}
	dict_array_end(&d);
	return dict_reply(&d);
}

static int get_incident(struct call *call, sd_bus_error *error)
{
	const struct dg_story *story;
	struct dict d = {0};
	uint64_t id;
	int r = sd_bus_message_read(call_message(call), "t", &id);

	if (r < 0)
		return r;
	story = manager_incident_find(call_manager(call), id);
	if (!story)
		return sd_bus_error_setf(error, DG_BUS_ERROR_NO_SUCH_INCIDENT,
					 "no incident %" PRIu64 " is known", id);
	r = sd_bus_message_new_method_return(call_message(call), &d.m);
	if (r < 0)
		return r;
	dict_begin(&d);
	bus_put_story(&d, call_viewer(call), story);
	dict_end(&d);
	return dict_reply(&d);
}

static int answer_holders(struct call *call, int result, const struct dg_holder_list *holders,
			  const struct dg_fs_list *fs, sd_bus_error *error)
{
	struct dict d = {0};
	const char *device;
	int r = sd_bus_message_rewind(call_message(call), true);

	if (r >= 0)
		r = sd_bus_message_read(call_message(call), "s", &device);
	if (r < 0)
		return r;
	if (result < 0)
		return bus_explain_device(error, result, device);
	r = sd_bus_message_new_method_return(call_message(call), &d.m);
	if (r < 0)
		return r;
	bus_put_holders(&d, device, call_viewer(call), holders, fs);
	return dict_reply(&d);
}

static void on_holders(void *userdata, int result, const struct dg_holder_list *holders,
		       const struct dg_fs_list *fs)
{
	sd_bus_error error = SD_BUS_ERROR_NULL;
	int r = answer_holders(userdata, result, holders, fs, &error);

	call_finish(userdata, r, &error);
	sd_bus_error_free(&error);
}

static void cancel_holders(void *pending)
{
	manager_query_cancel(pending);
}

static int list_holders(struct call *call, sd_bus_error *error)
{
	struct manager_query *query;
	const char *device;
	dg_dev_t dev;
	int r = sd_bus_message_read(call_message(call), "s", &device);

	if (r < 0)
		return r;
	r = bus_find_device(call_manager(call), device, &dev);
	if (r >= 0)
		r = call_may_wait(call);
	/* The module looks for one at a time, and what is held is in a hurry. */
	if (r >= 0 && !call_viewer(call).all && manager_is_holding(call_manager(call)))
		r = -EBUSY;
	if (r >= 0)
		r = manager_query_holders(call_manager(call), dev, on_holders, call, &query);
	if (r < 0)
		return bus_explain_device(error, r, device);
	return call_wait(call, cancel_holders, query);
}

#define HANDLER(func)                                                                              \
	static int method_##func(sd_bus_message *m, void *userdata, sd_bus_error *error)           \
	{                                                                                          \
		return call_start(userdata, m, func, error);                                       \
	}
HANDLER(get_status)
HANDLER(list_devices)
HANDLER(list_holders)
HANDLER(list_incidents)
HANDLER(get_incident)
HANDLER(get_policy)
HANDLER(bus_simulate)
HANDLER(bus_query_policy)
HANDLER(bus_list_failures)
HANDLER(bus_list_checkpoints)
HANDLER(bus_restore)
HANDLER(bus_delete_checkpoint)
HANDLER(bus_prune_checkpoints)
HANDLER(bus_reload)
HANDLER(bus_remove)
HANDLER(bus_register)
HANDLER(bus_list_registrations)

/*
 * All of them: otherwise sd-bus itself asks the bus for the capabilities of the
 * sender, and waits for the answer. Who may change something is asked in the method.
 */
#define ANYBODY SD_BUS_VTABLE_UNPRIVILEGED

static const sd_bus_vtable vtable[] = {
	SD_BUS_VTABLE_START(0),
	SD_BUS_METHOD_WITH_ARGS("GetStatus", SD_BUS_NO_ARGS, SD_BUS_RESULT("a{sv}", status),
				method_get_status, ANYBODY),
	SD_BUS_METHOD_WITH_ARGS("ListDevices", SD_BUS_NO_ARGS, SD_BUS_RESULT("aa{sv}", devices),
				method_list_devices, ANYBODY),
	SD_BUS_METHOD_WITH_ARGS("ListHolders", SD_BUS_ARGS("s", device),
				SD_BUS_RESULT("a{sv}", users), method_list_holders, ANYBODY),
	SD_BUS_METHOD_WITH_ARGS("ListIncidents", SD_BUS_NO_ARGS, SD_BUS_RESULT("aa{sv}", incidents),
				method_list_incidents, ANYBODY),
	SD_BUS_METHOD_WITH_ARGS("GetIncident", SD_BUS_ARGS("t", id), SD_BUS_RESULT("a{sv}", story),
				method_get_incident, ANYBODY),
	SD_BUS_METHOD_WITH_ARGS("GetPolicy", SD_BUS_NO_ARGS, SD_BUS_RESULT("a{sv}", policy),
				method_get_policy, ANYBODY),
	SD_BUS_METHOD_WITH_ARGS("Simulate", SD_BUS_ARGS("s", device, "a{sv}", options),
				SD_BUS_RESULT("a{sv}", simulation), method_bus_simulate, ANYBODY),
	SD_BUS_METHOD_WITH_ARGS("QueryPolicy", SD_BUS_ARGS("s", device, "u", pid, "a{sv}", options),
				SD_BUS_RESULT("a{sv}", process), method_bus_query_policy, ANYBODY),
	SD_BUS_METHOD_WITH_ARGS("ListFailures", SD_BUS_ARGS("a{sv}", options),
				SD_BUS_RESULT("aa{sv}", failures), method_bus_list_failures,
				ANYBODY),
	SD_BUS_METHOD_WITH_ARGS("Remove", SD_BUS_ARGS("s", device, "a{sv}", options),
				SD_BUS_RESULT("t", id), method_bus_remove, ANYBODY),
	SD_BUS_METHOD_WITH_ARGS("ListCheckpoints", SD_BUS_ARGS("a{sv}", options),
				SD_BUS_RESULT("aa{sv}", checkpoints), method_bus_list_checkpoints,
				ANYBODY),
	SD_BUS_METHOD_WITH_ARGS("Restore", SD_BUS_ARGS("s", id, "a{sv}", options),
				SD_BUS_RESULT("au", pids), method_bus_restore, ANYBODY),
	SD_BUS_METHOD_WITH_ARGS("DeleteCheckpoint", SD_BUS_ARGS("s", id), SD_BUS_NO_RESULT,
				method_bus_delete_checkpoint, ANYBODY),
	SD_BUS_METHOD_WITH_ARGS("PruneCheckpoints", SD_BUS_NO_ARGS, SD_BUS_RESULT("as", ids),
				method_bus_prune_checkpoints, ANYBODY),
	SD_BUS_METHOD_WITH_ARGS("Register", SD_BUS_ARGS("s", device, "a{sv}", options),
				SD_BUS_RESULT("h", socket, "t", id), method_bus_register, ANYBODY),
	SD_BUS_METHOD_WITH_ARGS("ListRegistrations", SD_BUS_ARGS("a{sv}", options),
				SD_BUS_RESULT("aa{sv}", registrations),
				method_bus_list_registrations, ANYBODY),
	SD_BUS_METHOD_WITH_ARGS("Reload", SD_BUS_NO_ARGS, SD_BUS_NO_RESULT, method_bus_reload,
				ANYBODY),
	SD_BUS_SIGNAL_WITH_ARGS("IncidentBegan", SD_BUS_ARGS("t", id, "a{sv}", details), 0),
	SD_BUS_SIGNAL_WITH_ARGS("StateChanged", SD_BUS_ARGS("t", id, "a{sv}", details), 0),
	SD_BUS_SIGNAL_WITH_ARGS("HolderActed", SD_BUS_ARGS("t", id, "a{sv}", details), 0),
	SD_BUS_SIGNAL_WITH_ARGS("FailureSeen", SD_BUS_ARGS("t", id, "a{sv}", details), 0),
	SD_BUS_SIGNAL_WITH_ARGS("FailuresRepaired", SD_BUS_ARGS("t", id, "a{sv}", details), 0),
	SD_BUS_SIGNAL_WITH_ARGS("CheckpointRestored", SD_BUS_ARGS("s", id, "a{sv}", details), 0),
	SD_BUS_SIGNAL_WITH_ARGS("IncidentEnded", SD_BUS_ARGS("t", id, "a{sv}", details), 0),
	SD_BUS_VTABLE_END,
};

int bus_manager_add(struct bus_link *link)
{
	return sd_bus_add_object_vtable(link->conn, NULL, DG_BUS_PATH, DG_BUS_MANAGER_INTERFACE,
					vtable, link);
}

/* A signal that has its number written; the details are to follow. */
static int begin_signal(struct bus_link *link, const char *name, uint64_t id, struct dict *d)
{
	int r = sd_bus_message_new_signal(link->conn, &d->m, DG_BUS_PATH, DG_BUS_MANAGER_INTERFACE,
					  name);

	if (r < 0)
		return r;
	r = sd_bus_message_append(d->m, "t", id);
	if (r < 0)
		d->m = sd_bus_message_unref(d->m);
	else
		dict_begin(d);
	return r;
}

static int send_signal(struct bus_link *link, struct dict *d)
{
	int r;

	dict_end(d);
	r = dict_error(d);
	if (r >= 0)
		r = sd_bus_send(link->conn, d->m, NULL);
	sd_bus_message_unref(d->m);
	return r;
}

int bus_send_began(struct bus_link *link, const struct dg_story *story)
{
	struct dict d = {0};
	int r = begin_signal(link, "IncidentBegan", story->id, &d);

	if (r < 0)
		return r;
	bus_put_summary(&d, story);
	return send_signal(link, &d);
}

int bus_send_changed(struct bus_link *link, const struct dg_story *story, enum dg_state old)
{
	struct dict d = {0};
	int r = begin_signal(link, "StateChanged", story->id, &d);

	if (r < 0)
		return r;
	dict_word(&d, "Device", story->device);
	dict_word(&d, "OldState", dg_state_name(old));
	dict_word(&d, "State", dg_state_name(story->state));
	return send_signal(link, &d);
}

int bus_send_acted(struct bus_link *link, const struct dg_story *story,
		   const struct dg_story_holder *holder, const struct dg_story_action *action)
{
	const struct viewer viewer = {.all = !link->callers, .uid = BUS_NOBODY};
	struct dict d = {0};
	int r = begin_signal(link, "HolderActed", story->id, &d);

	if (r < 0)
		return r;
	bus_put_action(&d, viewer, story, holder, action);
	return send_signal(link, &d);
}

int bus_send_failure(struct bus_link *link, const struct dg_story *story)
{
	struct dict d = {0};
	int r = begin_signal(link, "FailureSeen", story->id, &d);

	if (r < 0)
		return r;
	dict_word(&d, "Device", story->device);
	bus_put_failed(&d, story);
	dict_u32(&d, "HolderCount", (uint32_t)story->n_holders);
	return send_signal(link, &d);
}

/* Of no incident. */
int bus_send_repaired(struct bus_link *link, const char *device, uint64_t n_ranges,
		      uint64_t n_bytes)
{
	struct dict d = {0};
	int r = begin_signal(link, "FailuresRepaired", 0, &d);

	if (r < 0)
		return r;
	dict_word(&d, "Device", device);
	dict_u64(&d, "RepairedRanges", n_ranges);
	dict_u64(&d, "RepairedBytes", n_bytes);
	return send_signal(link, &d);
}

int bus_send_ended(struct bus_link *link, const struct dg_story *story)
{
	struct dict d = {0};
	int r = begin_signal(link, "IncidentEnded", story->id, &d);

	if (r < 0)
		return r;
	bus_put_summary(&d, story);
	return send_signal(link, &d);
}

/* Of none either: the checkpoint has an id of its own. */
int bus_send_restored(struct bus_link *link, const struct manager_restored *restored)
{
	struct dict d = {0};
	int r = sd_bus_message_new_signal(link->conn, &d.m, DG_BUS_PATH, DG_BUS_MANAGER_INTERFACE,
					  "CheckpointRestored");

	if (r < 0)
		return r;
	r = sd_bus_message_append(d.m, "s", restored->id);
	if (r < 0) {
		sd_bus_message_unref(d.m);
		return r;
	}
	dict_begin(&d);
	bus_put_restored(&d, restored);
	return send_signal(link, &d);
}
