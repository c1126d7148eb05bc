/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What scans and steps have found out, as far as the table asks for it. */
#include "core/incident-private.h"

#include <string.h>

static bool is_ours(const struct dg_holder *holder)
{
	return holder->exempt == DG_EXEMPT_SELF || holder->exempt == DG_EXEMPT_STEP;
}

static void count_holders(struct dg_findings *found, const struct dg_holder_list *holders)
{
	found->truncated = holders->truncated;
	for (size_t n = 0; n < holders->n_items; n++) {
		const struct dg_holder *holder = &holders->items[n];

		if (holder->process.pid <= 0) {
			found->n_kernel++;
		} else if (!is_ours(holder)) {
			found->n_processes++;
			found->n_mapped += dg_holder_uses(holder, DG_USE_MAPPED);
		}
	}
}

/*
 * A mount counts for the kernel also after a lazy umount, as long as somebody
 * keeps it; whether a path leads there is for those to say who looked.
 */
static void judge_fs(const struct dg_incident *i, struct dg_findings *found,
		     const struct dg_fs_list *list)
{
	found->has_fs = true;
	for (size_t n = 0; n < list->n_items; n++) {
		uint32_t flags = list->items[n].flags;

		if (flags & DG_FS_UNKNOWN)
			found->unknown = true;
		if (flags & DG_FS_DYING)
			found->dying = true;
		else if (flags & DG_FS_LIVE && flags & DG_FS_MOUNTED && !i->pathless)
			found->live_mounted = true;
		else if (flags & DG_FS_LIVE)
			found->live_pathless = true;
	}
}

/* The root file system is on it, or what somebody who forces it may do without. */
static bool is_of_system(struct dg_incident *i, const struct dg_mount_list *mounts)
{
	for (size_t n = 0; mounts->system && n < mounts->n_system; n++)
		i->carries_root = i->carries_root || strcmp(mounts->system[n], "/") == 0;
	return mounts->n_system > 0 && (!i->request.forced || i->carries_root);
}

int dg_incident_scanned(struct dg_incident *i, enum dg_job job,
			const struct dg_holder_list *holders, const struct dg_fs_list *fs,
			uint64_t now_us, struct dg_effects *fx)
{
	struct dg_findings found = {.scanned = true};
	int r;

	if ((job != DG_JOB_SCAN && job != DG_JOB_PROCSCAN) || !(i->running & (1U << job)))
		return 0;
	r = dg_plan_scanned(&i->plan, holders, i->scan_began_us);
	if (r < 0) {
		dg_incident_job_ended(i, job, DG_JOB_FAILED, now_us, fx);
		return r;
	}
	count_holders(&found, holders);
	if (fs)
		judge_fs(i, &found, fs);
	i->findings = found;
	/* Looking takes no more than half of the time. */
	if (i->scan_due_us < 2 * now_us - i->scan_began_us)
		i->scan_due_us = 2 * now_us - i->scan_began_us;
	dg_incident_job_ended(i, job, DG_JOB_OK, now_us, fx);
	return 0;
}

void dg_incident_mounts(struct dg_incident *i, enum dg_job job, const struct dg_mount_list *mounts,
			struct dg_effects *fx)
{
	if (!(i->running & (1U << job)))
		return;
	if (job != DG_JOB_DETACH)
		i->pathless = mounts->n_items == 0;
	if (job == DG_JOB_MOUNTS) {
		i->knows_mounts = true;
		if (is_of_system(i, mounts))
			dg_mark(i, DG_MARK_SYSTEM, fx);
		return;
	}
	i->stuck = mounts->n_failed > 0 && mounts->n_failed == mounts->n_locked + mounts->n_covered;
	i->locked = mounts->n_locked > 0;
	if (job == DG_JOB_UNMOUNT)
		i->by_kernel = mounts->n_kernel > 0;
	else if (mounts->n_covered > 0)
		dg_mark(i, DG_MARK_COVERED, fx);
}
