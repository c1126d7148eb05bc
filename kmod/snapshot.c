// SPDX-License-Identifier: GPL-2.0-only
/*
 * The worker, and what it makes: snapshots of a device's users, one per
 * socket, and the syncs, shutdowns and so on that a daemon asks for. Netlink handlers run
 * under locks that all of generic netlink shares, so nothing that may block
 * runs in one: it is queued here and answered with COMPLETED.
 */
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/workqueue.h>

#include "failure.h"

#define DG_SNAPSHOTS_MAX	16
#define DG_FS_MAX		256

enum dg_job_kind { DG_JOB_SCAN, DG_JOB_SYNC, DG_JOB_SHUTDOWN, DG_JOB_UNMAP, DG_JOB_CHECK };

struct dg_job {
	struct work_struct work;
	enum dg_job_kind kind;
	u32 port;
	u32 token;
	struct dg_request *req;		/* reference, or NULL with target */
	struct dg_target *target;	/* owned */
	struct dg_snapshot *snap;	/* reference; of DG_JOB_SCAN */
	struct dg_range range;		/* of the target */
	bool badblocks;			/* of DG_JOB_UNMAP */
};

static struct workqueue_struct *dg_workqueue;
/* Of its own: an umount waits for workers that are not there to free memory. */
static struct workqueue_struct *dg_umount_workqueue;
static LIST_HEAD(dg_snapshots);
static unsigned int dg_nr_snapshots;
static u32 dg_last_token;

static void dg_snapshot_free(struct kref *kref)
{
	struct dg_snapshot *snap = container_of(kref, struct dg_snapshot, kref);

	kvfree(snap->usages);
	kvfree(snap->fs);
	kfree(snap);
}

void dg_snapshot_put(struct dg_snapshot *snap)
{
	kref_put(&snap->kref, dg_snapshot_free);
}

/* Room for one more of @size; false: the bound is reached, or no memory. */
static bool dg_grow(void **array, unsigned int *max, unsigned int bound, size_t size)
{
	unsigned int new_max = min(*max ? *max * 2 : 64, bound);
	void *new;

	if (*max == bound)
		return false;
	new = kvcalloc(new_max, size, GFP_KERNEL);
	if (!new)
		return false;
	if (*max)
		memcpy(new, *array, *max * size);
	kvfree(*array);
	*array = new;
	*max = new_max;
	return true;
}

struct dg_usage *dg_snapshot_usage(struct dg_snapshot *snap)
{
	if (snap->nr_usages == snap->max_usages &&
	    !dg_grow((void **)&snap->usages, &snap->max_usages, DG_USAGES_MAX,
		     sizeof(*snap->usages))) {
		snap->truncated = true;
		return NULL;
	}
	return &snap->usages[snap->nr_usages++];
}

struct dg_fs *dg_snapshot_fs(struct dg_snapshot *snap)
{
	if (snap->nr_fs == snap->max_fs &&
	    !dg_grow((void **)&snap->fs, &snap->max_fs, DG_FS_MAX, sizeof(*snap->fs))) {
		snap->truncated = true;
		return NULL;
	}
	return &snap->fs[snap->nr_fs++];
}

static struct dg_snapshot *dg_snapshot_of_port(u32 port)
{
	struct dg_snapshot *snap;

	lockdep_assert_held(&dg_lock);
	list_for_each_entry(snap, &dg_snapshots, node)
		if (snap->port == port)
			return snap;
	return NULL;
}

static void dg_snapshot_unlink(struct dg_snapshot *snap)
{
	lockdep_assert_held(&dg_lock);
	list_del_init(&snap->node);
	dg_nr_snapshots--;
	dg_snapshot_put(snap);
}

struct dg_snapshot *dg_snapshot_get(u32 port, u32 token)
{
	struct dg_snapshot *snap;

	mutex_lock(&dg_lock);
	snap = dg_snapshot_of_port(port);
	if (!snap || snap->token != token)
		snap = ERR_PTR(-ENOENT);
	else if (!snap->ready)
		snap = ERR_PTR(-EAGAIN);
	else
		kref_get(&snap->kref);
	mutex_unlock(&dg_lock);
	return snap;
}

void dg_snapshot_drop_port(u32 port)
{
	struct dg_snapshot *snap;

	mutex_lock(&dg_lock);
	snap = dg_snapshot_of_port(port);
	if (snap)
		dg_snapshot_unlink(snap);
	mutex_unlock(&dg_lock);
}

/* The hold has ended, and the device may be gone. */
static bool dg_job_is_late(const struct dg_job *job)
{
	return job->req && READ_ONCE(job->req->result) != DAXGUARD_RESULT_NONE;
}

static void dg_run_scan(struct dg_job *job)
{
	struct dg_target *target;

	atomic64_inc(&dg_counters.scans);
	job->snap->locks_end = dg_locks_end();
	if (job->target) {
		dg_scan_target(job->snap, job->target, NULL, job->range.nr ? &job->range : NULL);
		return;
	}
	list_for_each_entry(target, &job->req->targets, node)
		dg_scan_target(job->snap, target, job->req, NULL);
	if (dg_job_is_late(job))
		job->snap->error = ENOENT;
}

/* Sync, or sync and shut down, every live superblock; the first error wins. */
static int dg_run_save(struct dg_job *job)
{
	struct dg_supers *supers = kzalloc(sizeof(*supers), GFP_KERNEL);
	struct dg_target *target;
	int ret = 0, error;
	unsigned int i;

	if (!supers)
		return -ENOMEM;
	list_for_each_entry(target, &job->req->targets, node) {
		if (dg_job_is_late(job)) {
			ret = -ENOENT;
			break;
		}
		dg_supers_collect(target, supers, dg_locks_end());
		for (i = 0; i < supers->nr; i++) {
			error = job->kind == DG_JOB_SYNC ?
				dg_super_sync(supers->at[i].sb) :
				dg_super_shutdown(supers->at[i].sb,
						  job->req->flags & DAXGUARD_F_SURPRISE);
			ret = ret ?: error;
		}
		dg_supers_put(supers);
	}
	kfree(supers);
	return ret;
}

static void dg_job_free(struct dg_job *job)
{
	dg_target_free(job->target);
	if (job->req)
		dg_request_put(job->req);
	if (job->snap)
		dg_snapshot_put(job->snap);
	kfree(job);
}

static int dg_job_do(struct dg_job *job, bool *truncated)
{
	int error;

	switch (job->kind) {
	case DG_JOB_SCAN:
		dg_run_scan(job);
		*truncated = job->snap->truncated;
		mutex_lock(&dg_lock);
		job->snap->ready = true;
		mutex_unlock(&dg_lock);
		return job->snap->error;
	case DG_JOB_UNMAP:
		return -dg_range_unmap(job->target, &job->range, job->badblocks, truncated);
	case DG_JOB_CHECK:
		error = -dg_check_badblocks(job->target);
		dg_failures_wake();
		return error;
	default:
		error = -dg_run_save(job);
		mutex_lock(&dg_lock);
		job->req->syncing = false;
		mutex_unlock(&dg_lock);
		return error;
	}
}

static void dg_job_run(struct work_struct *work)
{
	struct dg_job *job = container_of(work, struct dg_job, work);
	bool truncated = false;
	int error = dg_job_do(job, &truncated);

	dg_genl_completed(job->port, job->token, error, truncated);
	dg_job_free(job);
	module_put(THIS_MODULE);
}

/* The family keeps the module while a command runs; from here on the job does. */
static void dg_job_start(struct dg_job *job)
{
	__module_get(THIS_MODULE);
	queue_work(dg_workqueue, &job->work);
}

/* A superblock whose last reference was ours: its umount is the worker's. */
struct dg_last_put {
	struct work_struct work;
	struct super_block *sb;
};

static void dg_last_put_run(struct work_struct *work)
{
	struct dg_last_put *last = container_of(work, struct dg_last_put, work);

	deactivate_super(last->sb);
	kfree(last);
	module_put(THIS_MODULE);
}

/*
 * Drop an active reference. The last one is an umount, which waits for whatever
 * it waits for (a pinned page, on 7.x, for ever): not in the removing task.
 */
void dg_drop_super(struct super_block *sb)
{
	struct dg_last_put *last;

	if (atomic_add_unless(&sb->s_active, -1, 1))
		return;
	last = kmalloc(sizeof(*last), GFP_KERNEL | __GFP_NOFAIL);
	INIT_WORK(&last->work, dg_last_put_run);
	last->sb = sb;
	__module_get(THIS_MODULE);
	queue_work(dg_umount_workqueue, &last->work);
}

static struct dg_job *dg_job_new(enum dg_job_kind kind, u32 port)
{
	struct dg_job *job = kzalloc(sizeof(*job), GFP_KERNEL);

	if (!job)
		return NULL;
	INIT_WORK(&job->work, dg_job_run);
	job->kind = kind;
	job->port = port;
	return job;
}

static u32 dg_next_token(void)
{
	lockdep_assert_held(&dg_lock);
	if (!++dg_last_token)
		dg_last_token++;
	return dg_last_token;
}

/* The new snapshot takes the place of the socket's old one, if that is ready. */
static int dg_snapshot_link(struct dg_snapshot *snap)
{
	struct dg_snapshot *old;

	lockdep_assert_held(&dg_lock);
	old = dg_snapshot_of_port(snap->port);
	if (old && !old->ready)
		return -EBUSY;
	if (!old && dg_nr_snapshots == DG_SNAPSHOTS_MAX)
		return -ENOSPC;
	if (old)
		dg_snapshot_unlink(old);
	snap->token = dg_next_token();
	kref_get(&snap->kref);
	list_add_tail(&snap->node, &dg_snapshots);
	dg_nr_snapshots++;
	return 0;
}

/*
 * Queue a scan of a request's targets or of one target. Takes over the
 * reference of either, also on failure.
 */
int dg_snapshot_queue(u32 port, struct dg_request *req, struct dg_target *target,
		      const struct dg_range *range, u32 *ret_token)
{
	struct dg_job *job = dg_job_new(DG_JOB_SCAN, port);
	int ret;

	if (!job) {
		dg_target_free(target);
		if (req)
			dg_request_put(req);
		return -ENOMEM;
	}
	job->req = req;
	job->target = target;
	if (range)
		job->range = *range;
	job->snap = kzalloc(sizeof(*job->snap), GFP_KERNEL);
	if (!job->snap) {
		dg_job_free(job);
		return -ENOMEM;
	}
	kref_init(&job->snap->kref);
	job->snap->port = port;
	mutex_lock(&dg_lock);
	ret = dg_snapshot_link(job->snap);
	*ret_token = job->token = job->snap->token;
	mutex_unlock(&dg_lock);
	if (ret)
		dg_job_free(job);
	else
		dg_job_start(job);
	return ret;
}

/* Queue a sync or shutdown. Takes over the reference, also on failure. */
int dg_save_queue(u32 port, struct dg_request *req, bool shutdown, u32 *ret_token)
{
	struct dg_job *job = dg_job_new(shutdown ? DG_JOB_SHUTDOWN : DG_JOB_SYNC, port);
	int ret = 0;

	if (!job) {
		dg_request_put(req);
		return -ENOMEM;
	}
	job->req = req;
	mutex_lock(&dg_lock);
	if (req->syncing)
		ret = -EINPROGRESS;
	else
		req->syncing = true;
	*ret_token = job->token = dg_next_token();
	mutex_unlock(&dg_lock);
	if (ret)
		dg_job_free(job);
	else
		dg_job_start(job);
	return ret;
}

static int dg_target_queue(enum dg_job_kind kind, u32 port, struct dg_target *target,
			   const struct dg_range *range, bool badblocks, u32 *ret_token)
{
	struct dg_job *job = dg_job_new(kind, port);

	if (!job) {
		dg_target_free(target);
		return -ENOMEM;
	}
	job->target = target;
	if (range)
		job->range = *range;
	job->badblocks = badblocks;
	mutex_lock(&dg_lock);
	*ret_token = job->token = dg_next_token();
	mutex_unlock(&dg_lock);
	dg_job_start(job);
	return 0;
}

int dg_unmap_queue(u32 port, struct dg_target *target, const struct dg_range *range,
		   bool badblocks, u32 *ret_token)
{
	return dg_target_queue(DG_JOB_UNMAP, port, target, range, badblocks, ret_token);
}

int dg_check_queue(u32 port, struct dg_target *target, u32 *ret_token)
{
	return dg_target_queue(DG_JOB_CHECK, port, target, NULL, false, ret_token);
}

/* In any context. */
bool dg_worker_queue(struct work_struct *work)
{
	return queue_work(dg_workqueue, work);
}

int dg_worker_init(void)
{
	dg_workqueue = alloc_workqueue("daxguard", WQ_UNBOUND | WQ_MEM_RECLAIM, 0);
	if (!dg_workqueue)
		return -ENOMEM;
	dg_umount_workqueue = alloc_workqueue("daxguard-umount", WQ_UNBOUND, 0);
	if (!dg_umount_workqueue) {
		destroy_workqueue(dg_workqueue);
		return -ENOMEM;
	}
	return 0;
}

void dg_worker_exit(void)
{
	struct dg_snapshot *snap, *next;

	/* Jobs drop superblocks, so the other queue is the last. */
	destroy_workqueue(dg_workqueue);
	destroy_workqueue(dg_umount_workqueue);
	mutex_lock(&dg_lock);
	list_for_each_entry_safe(snap, next, &dg_snapshots, node)
		dg_snapshot_unlink(snap);
	mutex_unlock(&dg_lock);
}
