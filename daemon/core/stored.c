/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "core/stored.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/grow.h"
#include "core/manifest.h"
#include "core/record.h"

struct record {
	const char *text;
	size_t n;
};

bool dg_stored_is_whole(const struct dg_stored *stored)
{
	return strcmp(stored->state, "whole") == 0;
}

static const char *get(struct record record, const char *key)
{
	return dg_record_get(record.text, record.n, key) ?: "";
}

static uint64_t number(struct record record, const char *key)
{
	uint64_t value = 0;

	(void)!dg_record_get_u64(record.text, record.n, key, &value);
	return value;
}

static const char *value_of(const char *field, const char *key)
{
	size_t n = strlen(key);

	return strncmp(field, key, n) == 0 && field[n] == '=' ? field + n + 1 : NULL;
}

/* Keys that repeat: each path, and behind it what it is of. */
static int add_mounts(struct dg_stored *stored, struct record record)
{
	for (size_t at = 0; at < record.n; at += strlen(record.text + at) + 1) {
		const char *path = value_of(record.text + at, "MOUNT");
		const char *uuid = value_of(record.text + at, "NS_UUID");

		if (uuid && stored->n_mounts > 0)
			stored->mounts[stored->n_mounts - 1].uuid = uuid;
		if (!path)
			continue;
		if (DG_GROW(stored->mounts, stored->n_mounts) < 0)
			return -ENOMEM;
		stored->mounts[stored->n_mounts++] =
			(struct dg_stored_mount){.path = path, .uuid = ""};
	}
	return 0;
}

/* Which, and its state: what is listed says so, of others the key does. */
static void identify(struct record record, struct dg_stored *stored)
{
	static const struct {
		const char *key, *state;
	} ends[] = {{"REMOVED", "removed"}, {"BUSY", "busy"}, {"FAILED", "failed"}};

	stored->id = get(record, "ID");
	stored->state = get(record, "STATE");
	for (size_t i = 0; i < sizeof(ends) / sizeof(*ends); i++)
		if (*get(record, ends[i].key)) {
			stored->id = get(record, ends[i].key);
			stored->state = ends[i].state;
		}
}

static int add(struct dg_stored_list *list, struct record record)
{
	struct dg_checkpoint_id id;
	struct dg_stored stored = {
		.result = get(record, "RESULT"),
		.comm = get(record, "COMM"),
		.unit = get(record, "UNIT"),
		.scope = get(record, "SCOPE"),
		.rule = get(record, "RULE"),
		.criu = get(record, "CRIU"),
		.incident = number(record, "INCIDENT"),
		.time_us = number(record, "TIME_USEC"),
		.bytes = number(record, "BYTES"),
		.dump_us = number(record, "DUMP_USEC"),
		.pid = (pid_t)number(record, "PID"),
		.uid = (uid_t)number(record, "UID"),
		.has_uid = *get(record, "UID"),
		.restore = number(record, "RESTORE") > 0,
	};

	identify(record, &stored);
	if (dg_checkpoint_id_parse(stored.id, &id) < 0)
		return 0;
	if (DG_GROW(list->items, list->n_items) < 0)
		return -ENOMEM;
	list->items[list->n_items] = stored;
	return add_mounts(&list->items[list->n_items++], record);
}

static int compare(const void *a, const void *b)
{
	const struct dg_stored *x = a, *y = b;

	if (x->time_us != y->time_us)
		return x->time_us < y->time_us ? -1 : 1;
	return strcmp(x->id, y->id);
}

int dg_stored_list_read(const char *output, size_t n_output, struct dg_stored_list *ret)
{
	const char *cursor = output, *end = output + n_output;
	struct dg_stored_list list = {};
	struct record record;
	int r = 0;

	while (r >= 0 && (record.text = dg_record_next(&cursor, end, &record.n)))
		r = add(&list, record);
	/* Half a record: whoever wrote it died, and what it would have said is not known. */
	if (r >= 0 && cursor != end)
		r = -EBADMSG;
	if (r < 0) {
		dg_stored_list_done(&list);
		return r;
	}
	if (list.n_items > 0)
		qsort(list.items, list.n_items, sizeof(*list.items), compare);
	*ret = list;
	return 0;
}

void dg_stored_list_done(struct dg_stored_list *list)
{
	for (size_t i = 0; i < list->n_items; i++)
		free(list->items[i].mounts);
	free(list->items);
	*list = (struct dg_stored_list){};
}
