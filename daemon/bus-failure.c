/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bus-failure.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

#include "bus-device.h"
#include "bus-dict.h"
#include "names.h"

struct question {
	const char *device; /* NULL: any */
	const char *uuid;   /* of it, "" for none; NULL: it is no device that is there */
	const char *name;
	int history;
	uint32_t skip;
};

/* The device that has this namespace now; NULL: none. */
static const struct manager_device *find_device(struct manager *m, const char *ns)
{
	const struct manager_device *devices;
	size_t n;

	devices = manager_devices(m, &n);
	for (size_t i = 0; i < n; i++)
		if (strcasecmp(ns, devices[i].uuid[0] ? devices[i].uuid : devices[i].name) == 0)
			return &devices[i];
	return NULL;
}

/* Which file lies there is for root: others need not know that there is one. */
static void put_file(struct dict *d, const struct dg_failure *f)
{
	dict_bytes(d, "Path", f->path);
	dict_dev(d, "FileDevNum", f->fs_dev);
	dict_u64(d, "Inode", f->ino);
	dict_u64(d, "FileOffset", f->file_offset);
}

static void put_failure(struct dict *d, struct call *call, const struct dg_failure *f,
			uint64_t written)
{
	const char *sources[] = {dg_source_name(DG_SOURCE_MEMORY_FAILURE),
				 dg_source_name(DG_SOURCE_BADBLOCKS)};
	const struct manager_device *device = find_device(call_manager(call), f->ns);

	dict_begin(d);
	dict_word(d, "Namespace", f->ns);
	dict_word(d, "Device", device ? device->name : "");
	dict_u64(d, "Offset", f->offset);
	dict_u64(d, "Length", f->length);
	dict_flags(d, "Sources", f->sources, sources, sizeof(sources) / sizeof(sources[0]));
	dict_word(d, "Type", f->type);
	dict_word(d, "Result", f->result);
	dict_word(d, "Content", dg_content_name(f->content));
	dict_u64(d, "FirstSeenUsec", f->first_ns / 1000);
	dict_u64(d, "LastSeenUsec", f->last_ns / 1000);
	dict_u64(d, "Times", f->times);
	dict_u64(d, "Told", f->told);
	dict_word(d, "State", f->repaired ? "repaired" : "active");
	dict_u64(d, "RepairedUsec", f->repaired_ns / 1000);
	dict_bool(d, "Coarse", f->coarse);
	dict_bool(d, "Written", f->seq <= written);
	if (call_viewer(call).all && f->content != DG_CONTENT_UNKNOWN)
		put_file(d, f);
	dict_end(d);
}

static bool is_meant(const struct question *question, const struct dg_failure *f)
{
	if (!question->device || strcasecmp(f->ns, question->device) == 0)
		return true;
	return question->uuid &&
	       strcasecmp(f->ns, *question->uuid ? question->uuid : question->name) == 0;
}

static const struct dg_failure *next(const struct dg_ledger *ledger, bool repaired,
				     const struct dg_failure *after)
{
	return repaired ? dg_ledger_next_repaired(ledger, after) : dg_ledger_next(ledger, after);
}

/* A device that has gone is known by its name in the ledger. */
static bool is_known(const struct question *question, const struct dg_ledger *ledger)
{
	const struct dg_failure *f = NULL;

	if (!question->device || question->uuid)
		return true;
	for (int repaired = 0; repaired < 2; repaired++)
		while ((f = next(ledger, repaired, f)))
			if (is_meant(question, f))
				return true;
	return false;
}

/* The bad ones first. */
static void put_failures(struct dict *d, struct call *call, const struct question *question,
			 const struct dg_ledger *ledger, uint64_t written)
{
	const struct dg_failure *f = NULL;
	uint64_t n = 0, end = (uint64_t)question->skip + DG_BUS_FAILURES_MAX;

	dict_array_begin(d);
	for (int repaired = 0; repaired <= (question->history ? 1 : 0); repaired++)
		while (n < end && (f = next(ledger, repaired, f)))
			if (is_meant(question, f) && n++ >= question->skip)
				put_failure(d, call, f, written);
	dict_array_end(d);
}

static int read_option(sd_bus_message *m, struct question *question, sd_bus_error *error)
{
	const char *key;
	int r = sd_bus_message_read_basic(m, 's', &key);

	if (r < 0)
		return r;
	if (strcmp(key, "Device") == 0)
		return sd_bus_message_read(m, "v", "s", &question->device);
	if (strcmp(key, "History") == 0)
		return sd_bus_message_read(m, "v", "b", &question->history);
	if (strcmp(key, "Skip") == 0)
		return sd_bus_message_read(m, "v", "u", &question->skip);
	return sd_bus_error_set(error, SD_BUS_ERROR_INVALID_ARGS,
				"there is an option that is not known");
}

static int read_options(sd_bus_message *m, struct question *question, sd_bus_error *error)
{
	int r = sd_bus_message_enter_container(m, 'a', "{sv}");

	while (r >= 0 && (r = sd_bus_message_enter_container(m, 'e', "sv")) > 0) {
		r = read_option(m, question, error);
		if (r == -ENXIO)
			r = sd_bus_error_set(error, SD_BUS_ERROR_INVALID_ARGS,
					     "Device is of type s, History b, Skip u");
		if (r >= 0)
			r = sd_bus_message_exit_container(m);
	}
	return r < 0 ? r : sd_bus_message_exit_container(m);
}

static void look_up(struct manager *m, struct question *question)
{
	const struct manager_device *devices;
	dg_dev_t dev;
	size_t n;

	if (!question->device || bus_find_device(m, question->device, &dev) < 0)
		return;
	devices = manager_devices(m, &n);
	for (size_t i = 0; i < n; i++)
		if (devices[i].dev == dev) {
			question->uuid = devices[i].uuid;
			question->name = devices[i].name;
		}
}

int bus_list_failures(struct call *call, sd_bus_error *error)
{
	struct manager *m = call_manager(call);
	const struct dg_ledger *ledger;
	struct question question = {};
	struct dict d = {0};
	uint64_t written;
	int r = read_options(call_message(call), &question, error);

	if (r < 0)
		return r;
	/* It may be long, and what is held is in a hurry. */
	if (!call_viewer(call).all && manager_is_holding(m))
		return sd_bus_error_set(error, DG_BUS_ERROR_BUSY,
					"a removal is under way; try again when it is over");
	ledger = manager_ledger(m, &written);
	if (!ledger)
		return sd_bus_error_set(error, DG_BUS_ERROR_BUSY,
					"the ledger was not read as yet; try again");
	look_up(m, &question);
	if (!is_known(&question, ledger))
		return bus_explain_device(error, -ENODEV, question.device);
	r = sd_bus_message_new_method_return(call_message(call), &d.m);
	if (r < 0)
		return r;
	put_failures(&d, call, &question, ledger, written);
	return dict_reply(&d);
}
