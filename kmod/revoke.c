// SPDX-License-Identifier: GPL-2.0-only
/*
 * Revoke: after this no process maps the device and no file system has a DAX
 * entry for it. Runs in the removing task, whatever ended the hold.
 *
 * The order matters:
 *
 *   thaw         frozen faults sleep uninterruptibly and hold mmap locks
 *   wait         for an umount in flight: fs_put_dax() does not wait for the
 *                failure notification that kill_dax() sends, and would free
 *                what it uses
 *   sync, shut   what is still live; on 6.13 and later kill_dax() walks 2^32
 *   down         pages of a live XFS with rmapbt
 *   kill_dax     stops every new fault; an ext4 shutdown alone does not
 *   per inode    unmap, look for pins, write back, drop the entries: dropping
 *                does not write back, and a pinned page must keep its entry
 *   look again   until a walk over the device's own pages finds none
 */
#include <linux/dax.h>
#include <linux/delay.h>
#include <linux/mm.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/writeback.h>

#include "compat.h"
#include "daxguard.h"
#include "trace.h"

#define DG_PASSES_MAX	8
#define DG_PIN_MS	200	/* direct I/O under way ends by itself */
#define DG_POLL_MS	20

/* One target's revoke. Its waits end at these times, in jiffies, however many inodes. */
struct dg_revoke_ctx {
	struct dg_target *target;
	bool surprise;
	unsigned long umounts_end;
	unsigned long locks_end;
	unsigned long pins_end;
	struct dg_revoked *done;
};

/* A statistic: not worth waiting for the lock. */
static u64 dg_count_vmas(struct address_space *mapping)
{
	struct rb_node *rb;
	u64 nr = 0;

	if (!i_mmap_trylock_read(mapping))
		return 0;
	for (rb = rb_first_cached(&mapping->i_mmap); rb; rb = rb_next(rb))
		nr++;
	i_mmap_unlock_read(mapping);
	return nr;
}

/*
 * Unmap, and wait for short pins to go. Private copies stay: they are not the
 * device's memory. Returns whether no page of the inode is held.
 */
static bool dg_unmap_idle(struct dg_revoke_ctx *ctx, struct address_space *mapping)
{
	struct dg_entries entries;

	unmap_mapping_range(mapping, 0, 0, 0);
	for (;;) {
		dg_entries_count(mapping, ctx->target, &entries);
		if (!entries.busy)
			return true;
		if (time_after_eq(jiffies, ctx->pins_end) || fatal_signal_pending(current))
			return false;
		msleep(DG_POLL_MS);
	}
}

static void dg_write_back(struct address_space *mapping, struct dax_device *dax)
{
	struct writeback_control wbc = {
		.sync_mode = WB_SYNC_ALL,
		.nr_to_write = LONG_MAX,
		.range_end = LLONG_MAX,
	};

	if (mapping->host->i_blkbits == PAGE_SHIFT)
		dax_writeback_mapping_range(mapping, dax, &wbc);
}

static bool dg_revoke_inode(struct inode *inode, void *data)
{
	struct address_space *mapping = inode->i_mapping;
	struct dg_revoke_ctx *ctx = data;
	struct dg_entries entries;
	bool locked, idle;
	u64 vmas;

	dg_entries_count(mapping, ctx->target, &entries);
	if (!entries.in_range)
		return false;
	vmas = dg_count_vmas(mapping);
	locked = dg_trylock_until(dg_try_write, &mapping->invalidate_lock, ctx->locks_end);
	idle = dg_unmap_idle(ctx, mapping);
	if (!locked) {
		ctx->done->busy = true;
		return false;
	}
	if (idle && !ctx->surprise)
		dg_write_back(mapping, ctx->target->dax);
	idle = idle && dg_drop_entries(inode);
	if (idle) {
		ctx->done->inodes++;
		ctx->done->entries += entries.in_range;
		ctx->done->vmas += vmas;
	}
	up_write(&mapping->invalidate_lock);
	trace_daxguard_revoke_inode(inode, entries.in_range, vmas, idle);
	return false;
}

static void dg_revoke_phase(const struct dg_target *target, const char *phase, ktime_t *since)
{
	ktime_t now = ktime_get();

	trace_daxguard_revoke_phase(dg_target_name(target), phase, ktime_us_delta(now, *since));
	*since = now;
}

/* Until no umount is in flight; some claims look like one and are not, see claim.c. */
static void dg_wait_umounts(struct dg_revoke_ctx *ctx)
{
	struct dg_claims claims;

	for (;;) {
		dg_claims_look(ctx->target, jiffies, NULL, &claims, NULL);
		if (!claims.dying && !claims.type && !(claims.kernel && claims.dax_held))
			return;
		if (time_after_eq(jiffies, ctx->umounts_end))
			return;
		msleep(DG_POLL_MS);
	}
}

/* All of them but those in @known. */
static void dg_shut_down_supers(const struct dg_supers *supers, const struct dg_supers *known,
				struct dg_revoke_ctx *ctx)
{
	unsigned int i;

	for (i = 0; i < supers->nr; i++) {
		if (known && dg_supers_has(known, supers->at[i].sb))
			continue;
		dg_super_thaw(supers->at[i].sb);
		switch (dg_super_shutdown(supers->at[i].sb, ctx->surprise)) {
		case 0:
			ctx->done->shutdowns++;
			break;
		case -EBUSY:
			ctx->done->busy = true;
			break;
		}
	}
}

static void dg_revoke_inodes(struct dg_revoke_ctx *ctx, const struct dg_supers *supers)
{
	struct dg_pages pages = {};
	unsigned int pass, i;

	for (pass = 0; pass < DG_PASSES_MAX; pass++) {
		for (i = 0; i < supers->nr; i++)
			dg_super_walk_inodes(supers->at[i].sb, dg_inode_is_dax,
					     dg_revoke_inode, ctx);
		dg_target_walk_pages(ctx->target, dg_revoke_inode, ctx, &pages);
		if (!pages.referred)
			break;
		/* The walk has just revoked what it found; see whether that was all. */
		dg_target_walk_pages(ctx->target, NULL, NULL, &pages);
		if (!pages.referred || pages.pinned)
			break;
		msleep(DG_POLL_MS);
	}
	ctx->done->left += pages.referred;
	ctx->done->pinned += pages.pinned;
}

/*
 * Of a device-dax; nothing in the page cache, no entries. Its pins are waited
 * for by memunmap_pages(), which is the kernel's own time.
 */
static void dg_revoke_chardev(struct dg_revoke_ctx *ctx)
{
	struct address_space *mapping = dg_target_mapping(ctx->target);

	ctx->done->inodes++;
	ctx->done->vmas += dg_count_vmas(mapping);
	unmap_mapping_range(mapping, 0, 0, 1);
}

/* Somebody may have mounted between the shutdown and kill_dax(). */
static void dg_second_look(struct dg_revoke_ctx *ctx, const struct dg_supers *known,
			   struct dg_supers *supers)
{
	unsigned int i;

	dg_supers_collect(ctx->target, supers, dg_locks_end());
	ctx->done->busy |= supers->truncated;
	dg_shut_down_supers(supers, known, ctx);
	for (i = 0; i < supers->nr; i++) {
		if (dg_supers_has(known, supers->at[i].sb))
			continue;
		dg_revoke_inodes(ctx, supers);
		break;
	}
	dg_supers_put(supers);
}

/* Both sets of superblocks are empty at the end as at the begin. */
static void dg_revoke_with(struct dg_revoke_ctx *ctx, struct dg_supers *supers,
			   struct dg_supers *again)
{
	struct dg_target *target = ctx->target;
	ktime_t since = ktime_get();
	bool used;

	dg_wait_umounts(ctx);
	dg_revoke_phase(target, "umount-wait", &since);
	dg_supers_collect(target, supers, dg_locks_end());
	used = target->in_use || supers->nr || supers->claims.dying || supers->claims.type ||
	       supers->claims.kernel || supers->claims.dax_held;
	dg_shut_down_supers(supers, NULL, ctx);
	dg_revoke_phase(target, "shutdown", &since);
	if (target->dax) {
		kill_dax(target->dax);
		dg_revoke_phase(target, "kill-dax", &since);
	}
	/* Entries need a file system; an idle device's pages need no look. */
	if (!target->disk) {
		dg_revoke_chardev(ctx);
		dg_revoke_phase(target, "inodes", &since);
	} else if (target->dax && used) {
		dg_revoke_inodes(ctx, supers);
		dg_revoke_phase(target, "inodes", &since);
	}
	dg_second_look(ctx, supers, again);
	dg_supers_put(supers);
	dg_revoke_phase(target, "second-look", &since);
}

static void dg_revoke_target(struct dg_target *target, u32 flags, unsigned long umounts_end,
			     struct dg_revoked *done)
{
	struct dg_revoke_ctx ctx = {
		.target = target,
		.surprise = flags & DAXGUARD_F_SURPRISE,
		.umounts_end = umounts_end,
		.locks_end = jiffies + msecs_to_jiffies(dg_umount_ms + dg_lock_ms),
		.pins_end = jiffies + msecs_to_jiffies(dg_pinned_wait ? dg_cap_ms : DG_PIN_MS),
		.done = done,
	};
	struct dg_supers *supers = kcalloc(2, sizeof(*supers), GFP_KERNEL);

	if (supers)
		dg_revoke_with(&ctx, &supers[0], &supers[1]);
	else
		done->busy = true;
	kfree(supers);
}

/* Of a target that a request has revoked before: somebody may have come since. */
void dg_revoke_again(struct dg_target *target, u32 flags)
{
	struct dg_revoked done = {};

	if (dg_target_in_use(target))
		dg_revoke_target(target, flags, jiffies, &done);
	if (done.busy || done.left)
		pr_warn("%s: in use again, and not all of it could be revoked\n",
			dg_target_name(target));
}

static u8 dg_revoke_verdict(const struct dg_revoked *done)
{
	if (done->pinned)
		return DAXGUARD_REVOKE_PINNED;
	if (done->busy || done->left)
		return DAXGUARD_REVOKE_BUSY;
	return DAXGUARD_REVOKE_CLEAN;
}

void dg_revoke(struct dg_request *req)
{
	unsigned long umounts_end = jiffies + msecs_to_jiffies(dg_umount_ms);
	ktime_t begin = ktime_get();
	struct dg_target *target;

	list_for_each_entry(target, &req->targets, node)
		dg_revoke_target(target, req->flags, umounts_end, &req->revoked);

	mutex_lock(&dg_lock);
	req->revoke = dg_revoke_verdict(&req->revoked);
	req->revoke_us = ktime_us_delta(ktime_get(), begin);
	mutex_unlock(&dg_lock);
	atomic64_inc(&dg_counters.revokes[req->revoke]);
	atomic64_add(req->revoked.inodes, &dg_counters.inodes);
	atomic64_add(req->revoked.entries, &dg_counters.entries);
	atomic64_add(req->revoked.shutdowns, &dg_counters.shutdowns);
}

/* Why an ACK is not good yet, as a constant text; NULL if nothing lives there. */
const char *dg_request_live_fs(struct dg_request *req)
{
	struct dg_target *target;
	struct dg_claims claims;

	list_for_each_entry(target, &req->targets, node) {
		dg_claims_look(target, jiffies, NULL, &claims, NULL);
		if (claims.fs)
			return "a file system on it is still mounted or pinned";
		if (claims.dying)
			return "an umount on it is under way";
		if (claims.type || claims.dax_held)
			return "a file system still claims it";
		if (claims.mapped)
			return "a process still maps it";
		if (claims.kernel)
			return "the kernel itself claims it";
		if (claims.unseen)
			return "a claim on it could not be looked at, try again";
	}
	return NULL;
}
