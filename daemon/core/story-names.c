/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "core/story.h"

#include <errno.h>
#include <string.h>

static const char *const state_names[_DG_STATE_MAX] = {
	[DG_STATE_ANNOUNCED] = "announced", [DG_STATE_SYNCING] = "syncing",
	[DG_STATE_SCANNING] = "scanning",   [DG_STATE_ACTING] = "acting",
	[DG_STATE_SETTLING] = "settling",   [DG_STATE_UNMOUNTING] = "unmounting",
	[DG_STATE_VERIFYING] = "verifying", [DG_STATE_ACKED] = "acked",
	[DG_STATE_REVOKING] = "revoking",   [DG_STATE_UNBINDING] = "unbinding",
	[DG_STATE_DONE] = "done",           [DG_STATE_EXPIRED] = "expired",
	[DG_STATE_ABANDONED] = "abandoned", [DG_STATE_STAYED] = "stayed",
};

static const char *const mark_names[_DG_MARK_MAX] = {
	[DG_MARK_SYSTEM] = "system-device",
	[DG_MARK_MOUNTS_UNKNOWN] = "mounts-unknown",
	[DG_MARK_PROTECTED_UNKNOWN] = "protected-unknown",
	[DG_MARK_SYNC_FAILED] = "sync-failed",
	[DG_MARK_MOUNT_LOCKED] = "mount-locked",
	[DG_MARK_COVERED] = "overmounted",
	[DG_MARK_KERNEL] = "pinned-by-kernel",
	[DG_MARK_DETACHED] = "detached-pinned",
	[DG_MARK_KEPT] = "kept",
	[DG_MARK_SHUT_DOWN] = "shut-down",
	[DG_MARK_STILL_MAPPED] = "still-mapped",
	[DG_MARK_BUSY] = "busy",
	[DG_MARK_SCAN_FAILED] = "scan-failed",
	[DG_MARK_RELEASED] = "released",
	[DG_MARK_ACKED] = "acked",
	[DG_MARK_UNBIND_FAILED] = "unbind-failed",
};

static int index_of(const char *const *names, size_t n_names, const char *name)
{
	for (size_t i = 0; i < n_names; i++)
		if (strcmp(names[i], name) == 0)
			return (int)i;
	return -EINVAL;
}

const char *dg_state_name(enum dg_state state)
{
	return (unsigned)state < _DG_STATE_MAX ? state_names[state] : "unknown";
}

int dg_state_from_name(const char *name, enum dg_state *ret)
{
	int r = index_of(state_names, _DG_STATE_MAX, name);

	if (r < 0)
		return r;
	*ret = (enum dg_state)r;
	return 0;
}

bool dg_state_is_final(enum dg_state state)
{
	return state >= DG_STATE_DONE;
}

const char *dg_mark_name(enum dg_mark mark)
{
	return (unsigned)mark < _DG_MARK_MAX ? mark_names[mark] : "unknown";
}

int dg_mark_from_name(const char *name, enum dg_mark *ret)
{
	int r = index_of(mark_names, _DG_MARK_MAX, name);

	if (r < 0)
		return r;
	*ret = (enum dg_mark)r;
	return 0;
}
