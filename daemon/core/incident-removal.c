/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The end of a removal that is asked for in user space. Nobody holds it, and nobody
 * would go on without us: what is in use is not taken away, and its file system goes
 * on. So the kernel finds nothing to hold when the driver is taken away; if somebody
 * has come meanwhile, it holds that like any removal.
 */
#include "core/incident-private.h"

/* Marks who uses it still, as far as anybody can tell. */
static bool is_used(struct dg_incident *i, struct dg_effects *fx)
{
	const struct dg_findings *found = &i->findings;
	bool tried = i->has_block && !found->has_fs;
	bool named = dg_has_mark(i, DG_MARK_DETACHED) || dg_has_mark(i, DG_MARK_MOUNT_LOCKED) ||
		     dg_has_mark(i, DG_MARK_COVERED) || dg_has_mark(i, DG_MARK_KERNEL);
	bool mounted = found->live_mounted || found->live_pathless || found->dying ||
		       found->unknown || (tried && i->ends[DG_JOB_UNMOUNT] != DG_JOB_OK);

	if (!found->scanned || i->blind)
		dg_mark(i, DG_MARK_SCAN_FAILED, fx);
	if (found->n_mapped > 0)
		dg_mark(i, DG_MARK_STILL_MAPPED, fx);
	if (found->n_kernel > 0)
		dg_mark(i, DG_MARK_KERNEL, fx);
	if (mounted && i->kept && i->on_busy == DG_ON_BUSY_KEEP)
		dg_mark(i, DG_MARK_KEPT, fx);
	else if (mounted && !named)
		dg_mark(i, DG_MARK_BUSY, fx);
	return !found->scanned || i->blind || found->n_mapped > 0 || found->n_kernel > 0 || mounted;
}

enum dg_state dg_unbind_or_stay(struct dg_incident *i, struct dg_effects *fx)
{
	/* To force it is no leave to pass over what a rule says. */
	bool may_force = i->request.forced && !i->kept;

	if (!is_used(i, fx) || may_force)
		return DG_STATE_UNBINDING;
	dg_finish(i, DG_STATE_STAYED, fx);
	return i->state;
}

enum dg_state dg_next_unbinding(struct dg_incident *i, uint64_t now_us, struct dg_effects *fx)
{
	if (dg_is_waiting(i))
		return DG_STATE_UNBINDING;
	if (i->ends[DG_JOB_UNBIND] == DG_JOB_OK) {
		dg_finish(i, DG_STATE_DONE, fx);
	} else {
		dg_mark(i, DG_MARK_UNBIND_FAILED, fx);
		dg_finish(i, DG_STATE_STAYED, fx);
	}
	return i->state;
}
