/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "core/counted.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/grow.h"
#include "core/history.h"
#include "core/record.h"

void dg_counted_init(struct dg_counted *ret, const struct dg_failure_record *record, const char *ns)
{
	*ret = (struct dg_counted){
		.serial = record->serial,
		.offset = record->disk_offset,
		.len = record->range.len,
		.count = record->count,
		.told = record->n_told,
		.time_ns = record->time_ns,
		.widened = record->flags & DG_FAIL_WIDENED,
		.has_file = record->has_file,
	};
	snprintf(ret->ns, sizeof(ret->ns), "%s", ns);
	memcpy(ret->result, record->result, sizeof(ret->result));
	if (!record->has_file)
		return;
	ret->fs_dev = record->fs_dev;
	ret->ino = record->ino;
	ret->generation = record->generation;
	ret->file_begin = record->file_offset - record->disk_offset;
}

void dg_counted_done(struct dg_counted_list *list)
{
	for (size_t i = 0; i < list->n_items; i++)
		free(list->items[i]);
	free(list->items);
	*list = (struct dg_counted_list){};
}

static bool is_before(const struct dg_counted *item, const struct dg_counted *record)
{
	int order = strcmp(item->ns, record->ns);

	return order != 0 ? order < 0 : item->offset < record->offset;
}

/* The first that begins where the record does, or behind it. */
static size_t position(const struct dg_counted_list *list, const struct dg_counted *record)
{
	size_t low = 0, high = list->n_items;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (is_before(list->items[middle], record))
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* As the kernel decides whether they are one record; of one that is widened the place is gone. */
static bool is_alike(const struct dg_counted *item, const struct dg_counted *record)
{
	if (strcmp(item->result, record->result) != 0)
		return false;
	if (record->widened)
		return true;
	return item->has_file == record->has_file && item->fs_dev == record->fs_dev &&
	       item->ino == record->ino && item->generation == record->generation &&
	       item->file_begin == record->file_begin;
}

/* The next one from *at on that the record may have been made of; NULL: none. */
static struct dg_counted *next_within(const struct dg_counted_list *list,
				      const struct dg_counted *record, size_t *at)
{
	uint64_t end = record->offset + record->len;

	for (; *at < list->n_items; ++*at) {
		struct dg_counted *item = list->items[*at];

		if (strcmp(item->ns, record->ns) != 0 || item->offset >= end)
			return NULL;
		if (item->offset + item->len <= end && is_alike(item, record)) {
			++*at;
			return item;
		}
	}
	return NULL;
}

struct dg_counted *dg_counted_next_unsure(const struct dg_counted_list *list,
					  const struct dg_counted *record, size_t *at)
{
	struct dg_counted *item;

	if (*at == 0)
		*at = position(list, record);
	while ((item = next_within(list, record, at)))
		if (item->unsure)
			return item;
	return NULL;
}

void dg_counted_compare(const struct dg_counted_list *list, const struct dg_counted *record,
			struct dg_counted_news *ret)
{
	uint64_t count = 0, told = 0, end = record->offset + record->len;
	uint64_t covered = record->offset, from = end, to = record->offset;
	size_t at = position(list, record);
	const struct dg_counted *item;

	*ret = (struct dg_counted_news){record->offset, record->len, record->count, record->told};
	while ((item = next_within(list, record, &at))) {
		if (item->serial == record->serial) {
			ret->count = ret->told = 0;
			return;
		}
		count += item->count;
		told += item->told;
		if (item->offset > covered) {
			from = covered < from ? covered : from;
			to = item->offset;
		}
		if (item->offset + item->len > covered)
			covered = item->offset + item->len;
	}
	if (record->count <= count)
		return;
	ret->count = record->count - count;
	ret->told = record->told > told ? record->told - told : 0;
	if (covered < end) {
		from = covered < from ? covered : from;
		to = end;
	}
	if (from < to) {
		ret->offset = from;
		ret->len = to - from;
	}
}

static void take_out(struct dg_counted_list *list, size_t at)
{
	free(list->items[at]);
	list->n_items--;
	memmove(&list->items[at], &list->items[at + 1],
		(list->n_items - at) * sizeof(*list->items));
}

void dg_counted_drop(struct dg_counted_list *list, size_t *at)
{
	take_out(list, --*at);
}

int dg_counted_add(struct dg_counted_list *list, const struct dg_counted *record)
{
	struct dg_counted *item = malloc(sizeof(*item));
	size_t at = position(list, record), next = at;

	if (!item)
		return -ENOMEM;
	*item = *record;
	while (next_within(list, record, &next))
		take_out(list, --next);
	if (DG_GROW(list->items, list->n_items) < 0) {
		free(item);
		return -ENOMEM;
	}
	memmove(&list->items[at + 1], &list->items[at],
		(list->n_items++ - at) * sizeof(*list->items));
	list->items[at] = item;
	return 0;
}

void dg_counted_forget(struct dg_counted_list *list, uint64_t serial)
{
	size_t n = 0;

	for (size_t i = 0; i < list->n_items; i++)
		if (list->items[i]->serial > serial)
			list->items[n++] = list->items[i];
		else
			free(list->items[i]);
	list->n_items = n;
	if (n > 0)
		return;
	free(list->items);
	list->items = NULL;
}

static uint64_t number(const struct dg_history_event *event, const char *key)
{
	return dg_history_number(event, key, 10, 0);
}

static bool read_failure(const struct dg_history_event *event, const char *ns,
			 struct dg_counted *ret)
{
	struct dg_failure_record record = {
		.serial = number(event, "serial"),
		.flags = (uint32_t)number(event, "flags"),
		.range = {.len = number(event, "len")},
		.disk_offset = number(event, "disk_offset"),
		.count = (uint32_t)number(event, "count"),
		.n_told = number(event, "told"),
		.time_ns = number(event, "time_ns"),
		.has_file = dg_history_get(event, "ino") != NULL,
		.ino = number(event, "ino"),
		.file_offset = number(event, "file_offset"),
		.generation = (uint32_t)number(event, "generation"),
	};
	const char *source = dg_history_get(event, "source") ?: "";

	if (strcmp(source, dg_failure_source_name(DG_FAILURE_HANDLED)) != 0 ||
	    !dg_history_get(event, "disk_offset") || record.count == 0 || record.range.len == 0 ||
	    record.range.len > UINT64_MAX - record.disk_offset)
		return false;
	(void)!dg_dev_parse(dg_history_get(event, "fs_dev") ?: "", &record.fs_dev);
	snprintf(record.result, sizeof(record.result), "%s", dg_history_get(event, "result") ?: "");
	dg_counted_init(ret, &record, ns);
	ret->unsure = true;
	return true;
}

static int on_line(struct dg_counted_list *list, const struct dg_history_event *event,
		   char ns[static DG_NAME_MAX])
{
	struct dg_counted item;

	if (strcmp(event->kind, "target") == 0) {
		const char *uuid = dg_history_get(event, "uuid") ?: "";
		const char *name = dg_history_get(event, "name") ?: "";

		snprintf(ns, DG_NAME_MAX, "%s", *uuid ? uuid : name);
		return 0;
	}
	if (strcmp(event->kind, "failure") != 0 || !read_failure(event, ns, &item))
		return 0;
	return dg_counted_add(list, &item);
}

int dg_counted_read(struct dg_counted_list *list, const char *text, size_t n)
{
	char line[DG_HISTORY_LINE_MAX], ns[DG_NAME_MAX] = "";
	const char *end = text + n;
	struct dg_history_event event;
	int r = 0;

	while (r >= 0 && dg_history_next(&text, end, line, &event))
		r = on_line(list, &event, ns);
	return r;
}
