/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Scans, and what else the module's worker does one after the other for a
 * socket: it keeps one snapshot, and the next scan replaces it. Removals come
 * before failures, and both before clients' questions.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/record.h"
#include "manager-internal.h"

/* The module is still making one that was given up here: ask again soon. */
#define BUSY_RETRY_US 20000ULL

struct scan {
	struct manager *m;
	struct scan *next;
	struct scan_what what;
	scan_func func;
	void *userdata;
	bool started;
	uint32_t token;
	sd_event_source *deadline, *retry;
};

static void start_first(struct manager *m);

static void unlink_scan(struct scan *scan)
{
	struct scan **at = &scan->m->scans;

	while (*at && *at != scan)
		at = &(*at)->next;
	if (*at)
		*at = scan->next;
}

struct scan *scan_cancel(struct scan *scan)
{
	struct manager *m;

	if (!scan)
		return NULL;
	m = scan->m;
	unlink_scan(scan);
	sd_event_source_disable_unref(scan->deadline);
	sd_event_source_disable_unref(scan->retry);
	free(scan);
	start_first(m);
	return NULL;
}

/* The scan is gone before its owner hears of it: he may start the next at once. */
static void answer(struct scan *scan, int error, const struct dg_usage_list *rows,
		   const struct dg_fs_list *fs)
{
	scan_func func = scan->func;
	void *userdata = scan->userdata;

	scan_cancel(scan);
	func(userdata, error, rows, fs);
}

static int on_deadline(sd_event_source *source, uint64_t usec, void *userdata)
{
	answer(userdata, -ETIME, NULL, NULL);
	return 0;
}

static int say(struct scan *scan)
{
	const struct scan_what *what = &scan->what;
	struct klink *link = scan->m->link;

	switch (what->kind) {
	case SCAN_REQUEST:
		return klink_scan_request(link, what->id, &scan->token);
	case SCAN_RANGE:
		return klink_scan_range(link, what->dev, &what->range, &scan->token);
	case SCAN_UNMAP:
		return klink_unmap(link, what->dev, &what->range, what->badblocks, &scan->token);
	case SCAN_CHECK:
		return klink_check(link, what->dev, &scan->token);
	case SCAN_DEVICE:
		return klink_scan_device(link, what->dev, &scan->token);
	}
	return -EINVAL;
}

/* Also for what failed at once: the caller is never answered from within scan_start(). */
static int on_retry(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct scan *scan = userdata;
	int r;

	if (scan->started || scan->m->scans != scan)
		return 0;
	r = say(scan);
	if (r == -EBUSY) {
		if (sd_event_source_set_time_relative(source, BUSY_RETRY_US) >= 0)
			sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
		return 0;
	}
	if (r < 0)
		answer(scan, r, NULL, NULL);
	else
		scan->started = true;
	return 0;
}

static void start_first(struct manager *m)
{
	struct scan *scan = m->scans;

	if (!scan || scan->started)
		return;
	if (sd_event_source_set_time(scan->retry, 0) >= 0)
		sd_event_source_set_enabled(scan->retry, SD_EVENT_ONESHOT);
}

/* In the order of enum scan_kind, but never before one that is at work. */
static void enqueue(struct scan *scan)
{
	struct scan **at = &scan->m->scans;

	while (*at && ((*at)->started || (*at)->what.kind <= scan->what.kind))
		at = &(*at)->next;
	scan->next = *at;
	*at = scan;
}

int scan_start(struct manager *m, const struct scan_what *what, uint64_t timeout_us, scan_func func,
	       void *userdata, struct scan **ret)
{
	struct scan *scan;
	int r;

	scan = calloc(1, sizeof(*scan));
	if (!scan)
		return -ENOMEM;
	*scan = (struct scan){.m = m, .what = *what, .func = func, .userdata = userdata};
	r = sd_event_add_time_relative(m->event, &scan->deadline, CLOCK_MONOTONIC, timeout_us, 0,
				       on_deadline, scan);
	if (r >= 0)
		r = sd_event_add_time(m->event, &scan->retry, CLOCK_MONOTONIC, 0, 0, on_retry,
				      scan);
	if (r >= 0)
		r = sd_event_source_set_enabled(scan->retry, SD_EVENT_OFF);
	if (r < 0) {
		sd_event_source_disable_unref(scan->deadline);
		sd_event_source_disable_unref(scan->retry);
		free(scan);
		return r;
	}
	enqueue(scan);
	start_first(m);
	*ret = scan;
	return 0;
}

bool scan_completed(struct manager *m, uint32_t token, int error, bool truncated)
{
	struct scan *scan = m->scans;
	struct dg_usage_list rows = {};
	struct dg_fs_list fs = {};
	int r = -error;

	if (!scan || !scan->started || scan->token != token)
		return false;
	if (r >= 0 && scan->what.kind != SCAN_UNMAP && scan->what.kind != SCAN_CHECK)
		r = klink_get_holders(m->link, token, &rows);
	if (r >= 0 && (scan->what.kind == SCAN_REQUEST || scan->what.kind == SCAN_DEVICE))
		r = klink_get_fs(m->link, token, &fs);
	rows.truncated = rows.truncated || truncated;
	if (r < 0)
		answer(scan, r, NULL, NULL);
	else
		answer(scan, 0, &rows, &fs);
	dg_usage_list_done(&rows);
	dg_fs_list_done(&fs);
	return true;
}

/* The step `procscan`: a record for each use, keys as in struct dg_usage. */
struct record {
	const char *text;
	size_t n;
};

static uint64_t number(struct record record, const char *key, int base)
{
	const char *value = dg_record_get(record.text, record.n, key);

	return value ? strtoull(value, NULL, base) : 0;
}

static bool read_usage(struct record record, struct dg_usage *ret)
{
	const char *use = dg_record_get(record.text, record.n, "USE");
	const char *comm = dg_record_get(record.text, record.n, "COMM");
	struct dg_usage usage = {
		.pid = (pid_t)number(record, "PID", 10),
		.tid = (pid_t)number(record, "TID", 10),
		.start_ns = number(record, "START_NS", 10),
		.uid = (uid_t)number(record, "UID", 10),
		.sig_caught = number(record, "SIG_CAUGHT", 16),
		.sig_blocked = number(record, "SIG_BLOCKED", 16),
		.sig_ignored = number(record, "SIG_IGNORED", 16),
		.flags = (uint32_t)number(record, "FLAGS", 10),
		.ino = number(record, "INO", 10),
		.addr = number(record, "ADDR", 10),
		.len = number(record, "LEN", 10),
		.offset = number(record, "OFFSET", 10),
		.count = (uint32_t)number(record, "COUNT", 10),
	};

	if (!use || usage.pid <= 0)
		return false;
	while (usage.use < _DG_USE_MAX && strcmp(use, dg_use_name(usage.use)) != 0)
		usage.use++;
	if (usage.use == _DG_USE_MAX)
		return false;
	dg_record_get_dev(record.text, record.n, "FS_DEV", &usage.fs_dev);
	if (comm)
		strncpy(usage.comm, comm, sizeof(usage.comm) - 1);
	*ret = usage;
	return true;
}

int procscan_read(const char *output, size_t n_output, struct dg_usage_list *ret)
{
	const char *cursor = output, *end = output + n_output;
	struct dg_usage_list list = {};
	struct record record;

	while ((record.text = dg_record_next(&cursor, end, &record.n))) {
		struct dg_usage *grown, usage;

		if (!read_usage(record, &usage))
			continue;
		grown = reallocarray(list.items, list.n_items + 1, sizeof(*grown));
		if (!grown) {
			dg_usage_list_done(&list);
			return -ENOMEM;
		}
		grown[list.n_items++] = usage;
		list.items = grown;
	}
	list.truncated = cursor != end;
	*ret = list;
	return 0;
}
