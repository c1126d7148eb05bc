/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "core/event.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NAME(table, value)                                                                         \
	((size_t)(value) < sizeof(table) / sizeof(*(table)) ? (table)[(size_t)(value)] : "unknown")

const char *dg_result_name(enum dg_result result)
{
	static const char *const names[_DG_RESULT_MAX] = {
		[DG_RESULT_NONE] = "none",           [DG_RESULT_ACKED] = "acked",
		[DG_RESULT_RELEASED] = "released",   [DG_RESULT_TIMEOUT] = "timeout",
		[DG_RESULT_NO_DAEMON] = "no-daemon", [DG_RESULT_KILLED] = "killed",
		[DG_RESULT_STOPPING] = "stopping",
	};

	return NAME(names, result);
}

const char *dg_revoke_name(enum dg_revoke revoke)
{
	static const char *const names[_DG_REVOKE_MAX] = {
		[DG_REVOKE_NONE] = "none",
		[DG_REVOKE_CLEAN] = "clean",
		[DG_REVOKE_PINNED] = "pinned",
		[DG_REVOKE_BUSY] = "busy",
	};

	return NAME(names, revoke);
}

const char *dg_mode_name(enum dg_mode mode)
{
	static const char *const names[_DG_MODE_MAX] = {
		[DG_MODE_UNKNOWN] = "unknown", [DG_MODE_RAW] = "raw",
		[DG_MODE_SECTOR] = "sector",   [DG_MODE_FSDAX] = "fsdax",
		[DG_MODE_DEVDAX] = "devdax",
	};

	return NAME(names, mode);
}

const char *dg_kstate_name(enum dg_kstate state)
{
	static const char *const names[_DG_KSTATE_MAX] = {
		[DG_KSTATE_ANNOUNCED] = "announced", [DG_KSTATE_TAKEN] = "taken",
		[DG_KSTATE_ORPHANED] = "orphaned",   [DG_KSTATE_REVOKING] = "revoking",
		[DG_KSTATE_CLOSING] = "closing",
	};

	return NAME(names, state);
}

const char *dg_use_name(enum dg_use use)
{
	static const char *const names[_DG_USE_MAX] = {
		[DG_USE_MAPPED] = "mapped", [DG_USE_OPEN] = "open", [DG_USE_CWD] = "cwd",
		[DG_USE_ROOT] = "root",     [DG_USE_EXE] = "exe",   [DG_USE_KERNEL] = "kernel",
	};

	return NAME(names, use);
}

void dg_uuid_text(const uint8_t u[static DG_UUID_LEN], char ret[static DG_BOOT_ID_LEN])
{
	snprintf(ret, DG_BOOT_ID_LEN,
		 "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", u[0], u[1],
		 u[2], u[3], u[4], u[5], u[6], u[7], u[8], u[9], u[10], u[11], u[12], u[13], u[14],
		 u[15]);
}

void dg_request_done(struct dg_request *request)
{
	for (size_t i = 0; i < request->n_targets; i++) {
		free(request->targets[i].ranges);
		free(request->targets[i].layers);
	}
	free(request->targets);
	*request = (struct dg_request){};
}

/* An empty array is NULL on both sides: nothing to copy is no failure. */
static int array_copy(const void *from, size_t n, size_t size, void **ret)
{
	void *copy = NULL;

	if (n > 0) {
		copy = calloc(n, size);
		if (!copy)
			return -ENOMEM;
		memcpy(copy, from, n * size);
	}
	*ret = copy;
	return 0;
}

static int target_copy(const struct dg_target *from, struct dg_target *ret)
{
	void *ranges, *layers;
	int r;

	r = array_copy(from->ranges, from->n_ranges, sizeof(*from->ranges), &ranges);
	if (r < 0)
		return r;
	r = array_copy(from->layers, from->n_layers, sizeof(*from->layers), &layers);
	if (r < 0) {
		free(ranges);
		return r;
	}
	*ret = *from;
	ret->ranges = ranges;
	ret->layers = layers;
	return 0;
}

int dg_request_copy(const struct dg_request *from, struct dg_request *ret)
{
	struct dg_request copy = *from;

	copy.n_targets = 0;
	copy.targets = NULL;
	if (from->n_targets > 0) {
		copy.targets = calloc(from->n_targets, sizeof(*copy.targets));
		if (!copy.targets)
			return -ENOMEM;
	}
	for (size_t i = 0; i < from->n_targets; i++) {
		int r = target_copy(&from->targets[i], &copy.targets[i]);

		if (r < 0) {
			dg_request_done(&copy);
			return r;
		}
		copy.n_targets++;
	}
	*ret = copy;
	return 0;
}

void dg_usage_list_done(struct dg_usage_list *list)
{
	free(list->items);
	*list = (struct dg_usage_list){};
}

void dg_fs_list_done(struct dg_fs_list *list)
{
	free(list->items);
	*list = (struct dg_fs_list){};
}
