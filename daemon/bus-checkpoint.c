/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bus-checkpoint.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "bus-device.h"
#include "bus-dict.h"
#include "bus-remove.h"
#include "names.h"

static int explain(sd_bus_error *error, int r)
{
	switch (r) {
	case -EBUSY:
		return sd_bus_error_set(
			error, DG_BUS_ERROR_BUSY,
			"a removal is under way, or too many ask at once; try again");
	case -EALREADY:
		return sd_bus_error_set(error, DG_BUS_ERROR_UNDER_WAY,
					"it is being made or restored");
	case -ENOENT:
		return sd_bus_error_set(error, DG_BUS_ERROR_NO_SUCH_CHECKPOINT,
					"there is no such checkpoint");
	case -ETIME:
		return sd_bus_error_set(error, DG_BUS_ERROR_TIMED_OUT,
					"the store of checkpoints did not answer in time");
	case -EIO:
	case -EBADMSG:
		return sd_bus_error_set(error, DG_BUS_ERROR_FAILED,
					"the store of checkpoints could not be read or changed; "
					"the journal says why");
	default:
		return r;
	}
}

/* Nobody has one that is not known, which may say "do not". */
static int no_option(sd_bus_message *m, const char *key, void *userdata, sd_bus_error *error)
{
	return sd_bus_error_setf(error, SD_BUS_ERROR_INVALID_ARGS, "no option \"%s\"", key);
}

static void cancel_visit(void *pending)
{
	manager_visit_cancel(pending);
}

static void finish(struct call *call, int r, sd_bus_error *error)
{
	call_finish(call, r, error);
	sd_bus_error_free(error);
}

static const char *device_of(struct manager *m, const char *uuid)
{
	const struct manager_device *devices;
	size_t n;

	devices = manager_devices(m, &n);
	for (size_t i = 0; *uuid && i < n; i++)
		if (strcasecmp(devices[i].uuid, uuid) == 0)
			return devices[i].name;
	return "";
}

static void put_mounts(struct dict *d, struct manager *m, const struct dg_stored *stored)
{
	dict_list_begin(d, "Mounts");
	for (size_t i = 0; i < stored->n_mounts; i++) {
		dict_begin(d);
		dict_bytes(d, "Path", stored->mounts[i].path);
		dict_word(d, "Namespace", stored->mounts[i].uuid);
		dict_word(d, "Device", device_of(m, stored->mounts[i].uuid));
		dict_end(d);
	}
	dict_list_end(d);
}

static void put_checkpoint(struct dict *d, struct manager *m, const struct dg_stored *stored)
{
	dict_begin(d);
	dict_word(d, "Id", stored->id);
	dict_word(d, "State", stored->state);
	dict_u64(d, "Incident", stored->incident);
	dict_u64(d, "TimeUsec", stored->time_us);
	dict_u32(d, "Pid", (uint32_t)stored->pid);
	dict_bytes(d, "Comm", stored->comm);
	if (stored->has_uid)
		dict_u32(d, "Uid", stored->uid);
	dict_bytes(d, "Unit", stored->unit);
	dict_word(d, "Scope", stored->scope);
	dict_bytes(d, "Rule", stored->rule);
	dict_bool(d, "RestoreOnReturn", stored->restore);
	dict_u64(d, "Bytes", stored->bytes);
	dict_u64(d, "DumpUsec", stored->dump_us);
	dict_bytes(d, "Criu", stored->criu);
	put_mounts(d, m, stored);
	dict_end(d);
}

static bool is_his(struct viewer viewer, const struct dg_stored *stored)
{
	return viewer.all || (stored->has_uid && viewer_sees(viewer, stored->uid));
}

static int reply_list(struct call *call, const struct dg_stored_list *list)
{
	struct dict d = {0};
	int r = sd_bus_message_new_method_return(call_message(call), &d.m);

	if (r < 0)
		return r;
	dict_array_begin(&d);
	for (size_t i = 0; i < list->n_items; i++)
		if (is_his(call_viewer(call), &list->items[i]))
			put_checkpoint(&d, call_manager(call), &list->items[i]);
	dict_array_end(&d);
	return dict_reply(&d);
}

static void on_list(void *userdata, int result, const struct dg_stored_list *list)
{
	sd_bus_error error = SD_BUS_ERROR_NULL;
	int r = result < 0 ? explain(&error, result) : reply_list(userdata, list);

	finish(userdata, r, &error);
}

int bus_list_checkpoints(struct call *call, sd_bus_error *error)
{
	struct manager_visit *visit;
	int r = bus_read_options(call_message(call), no_option, NULL, error);

	if (r < 0)
		return r;
	r = call_may_wait(call);
	/* The disk is for the dumps then. */
	if (r >= 0 && !call_viewer(call).all && manager_is_holding(call_manager(call)))
		r = -EBUSY;
	if (r >= 0)
		r = manager_list_checkpoints(call_manager(call), on_list, call, &visit);
	return r < 0 ? explain(error, r) : call_wait(call, cancel_visit, visit);
}

/* The IDs of what was removed. */
static int reply_removed(struct call *call, const struct dg_stored_list *list)
{
	sd_bus_message *m = NULL;
	int r = sd_bus_message_new_method_return(call_message(call), &m);

	if (r >= 0)
		r = sd_bus_message_open_container(m, 'a', "s");
	for (size_t i = 0; r >= 0 && i < list->n_items; i++)
		if (strcmp(list->items[i].state, "removed") == 0)
			r = sd_bus_message_append_basic(m, 's', list->items[i].id);
	if (r >= 0)
		r = sd_bus_message_close_container(m);
	if (r >= 0)
		r = sd_bus_send(NULL, m, NULL);
	sd_bus_message_unref(m);
	return r;
}

static void on_pruned(void *userdata, int result, const struct dg_stored_list *list)
{
	sd_bus_error error = SD_BUS_ERROR_NULL;
	int r = result < 0 ? explain(&error, result) : reply_removed(userdata, list);

	finish(userdata, r, &error);
}

static int prune(struct call *call, sd_bus_error *error)
{
	struct manager_visit *visit;
	int r = call_may_wait(call);

	if (r >= 0)
		r = manager_prune_checkpoints(call_manager(call), on_pruned, call, &visit);
	return r < 0 ? explain(error, r) : call_wait(call, cancel_visit, visit);
}

int bus_prune_checkpoints(struct call *call, sd_bus_error *error)
{
	return call_authorize(call, DG_ACTION_DELETE_CHECKPOINT, prune, error);
}

static void on_deleted(void *userdata, int result, const struct dg_stored_list *list)
{
	sd_bus_error error = SD_BUS_ERROR_NULL;
	int r = result < 0 ? explain(&error, result)
			   : sd_bus_reply_method_return(call_message(userdata), NULL);

	finish(userdata, r, &error);
}

static int forget(struct call *call, sd_bus_error *error)
{
	struct manager_visit *visit;
	const char *id;
	int r = sd_bus_message_rewind(call_message(call), true);

	if (r >= 0)
		r = sd_bus_message_read(call_message(call), "s", &id);
	if (r >= 0)
		r = call_may_wait(call);
	if (r >= 0)
		r = manager_forget_checkpoint(call_manager(call), id, on_deleted, call, &visit);
	return r < 0 ? explain(error, r) : call_wait(call, cancel_visit, visit);
}

int bus_delete_checkpoint(struct call *call, sd_bus_error *error)
{
	return call_authorize(call, DG_ACTION_DELETE_CHECKPOINT, forget, error);
}

void bus_put_restored(struct dict *d, const struct manager_restored *restored)
{
	dict_word(d, "Result", restored->result);
	dict_bool(d, "OnReturn", restored->by_return);
}

/* "101 102"; what is no number ends it. */
static void put_pids(sd_bus_message *m, const char *text, int *r)
{
	char *end;

	*r = sd_bus_message_open_container(m, 'a', "u");
	for (; *r >= 0 && *text >= '1' && *text <= '9'; text = end + (*end == ' '))
		*r = sd_bus_message_append(m, "u", (uint32_t)strtoul(text, &end, 10));
	if (*r >= 0)
		*r = sd_bus_message_close_container(m);
}

static int reply_restored(struct call *call, const struct manager_restored *restored)
{
	sd_bus_message *m = NULL;
	int r = sd_bus_message_new_method_return(call_message(call), &m);

	if (r < 0)
		return r;
	put_pids(m, restored->pids, &r);
	if (r >= 0)
		r = sd_bus_send(NULL, m, NULL);
	sd_bus_message_unref(m);
	return r;
}

/* "file-changed: /mnt/a is larger now": first the word, which is the same in all languages. */
static int refuse(const struct manager_restored *restored, sd_bus_error *error)
{
	char *text;
	int r;

	if (strcmp(restored->result, "unknown") == 0)
		return explain(error, -ENOENT);
	text = strdup(restored->text);
	if (!text)
		return -ENOMEM;
	bus_make_printable(text);
	r = sd_bus_error_setf(error, DG_BUS_ERROR_NOT_RESTORED, "%s%s%s", restored->result,
			      *text ? ": " : "", text);
	free(text);
	return r;
}

static void on_restored(void *userdata, const struct manager_restored *restored)
{
	sd_bus_error error = SD_BUS_ERROR_NULL;
	int r = strcmp(restored->result, "ok") == 0 ? reply_restored(userdata, restored)
						    : refuse(restored, &error);

	finish(userdata, r, &error);
}

static void cancel_restore(void *pending)
{
	manager_restore_cancel(pending);
}

static int read_option(sd_bus_message *m, const char *key, void *force, sd_bus_error *error)
{
	return strcmp(key, "Force") == 0 ? bus_read_force(m, force, error)
					 : no_option(m, key, NULL, error);
}

/* From the begin, as often as it is asked for. */
static int read_arguments(struct call *call, const char **ret_id, bool *ret_force,
			  sd_bus_error *error)
{
	sd_bus_message *m = call_message(call);
	int r = sd_bus_message_rewind(m, true);

	*ret_force = false;
	if (r >= 0)
		r = sd_bus_message_read(m, "s", ret_id);
	return r < 0 ? r : bus_read_options(m, read_option, ret_force, error);
}

static int restore(struct call *call, sd_bus_error *error)
{
	struct manager_restore *pending;
	const char *id;
	bool force;
	int r = read_arguments(call, &id, &force, error);

	if (r < 0)
		return r;
	r = call_may_wait(call);
	if (r >= 0)
		r = manager_restore(call_manager(call), id, force, on_restored, call, &pending);
	if (r == -EALREADY)
		return sd_bus_error_set(error, DG_BUS_ERROR_NOT_RESTORED,
					"running: it is being restored or removed already");
	return r < 0 ? explain(error, r) : call_wait(call, cancel_restore, pending);
}

int bus_restore(struct call *call, sd_bus_error *error)
{
	const char *id;
	bool force;
	int r = read_arguments(call, &id, &force, error);

	return r < 0 ? r : call_authorize(call, DG_ACTION_RESTORE, restore, error);
}
