// SPDX-License-Identifier: GPL-2.0-only
/*
 * Holders: who uses a target, in one pass.
 *
 * Mappings are found from the files (mapping.c). Then one walk over all
 * processes serves every mm, and looks at open files, working and root
 * directories and executables on the same file systems.
 */
#include <linux/cred.h>
#include <linux/dax.h>
#include <linux/fdtable.h>
#include <linux/fs_struct.h>
#include <linux/mm.h>
#include <linux/pid_namespace.h>
#include <linux/sched/signal.h>
#include <linux/sched/task.h>
#include <linux/slab.h>

#include "compat.h"
#include "scan.h"

/* Nobody wants the answer any more. */
static bool dg_scan_stopped(const struct dg_scan *scan)
{
	return scan->req && READ_ONCE(scan->req->result) != DAXGUARD_RESULT_NONE;
}

/*
 * Every mapped file of the file system counts, also one without an entry in the
 * target: it may fault there any moment, or keeps the file system by its pages.
 */
static bool dg_scan_inode(struct inode *inode, void *ctx)
{
	struct dg_scan *scan = ctx;
	struct dg_entries entries = {};

	if (dax_mapping(inode->i_mapping))
		dg_entries_count(inode->i_mapping, scan->target, &entries);
	if (scan->fs && entries.in_range) {
		scan->fs->inodes++;
		scan->fs->entries += entries.in_range;
	}
	dg_scan_mappings(scan, inode, 0, ULONG_MAX);
	if (IS_SWAPFILE(inode))
		dg_report_kernel(scan, NULL, inode->i_sb->s_dev, inode->i_ino);
	return dg_scan_stopped(scan);
}

static u32 dg_fs_flags(struct super_block *sb)
{
	return DAXGUARD_FS_LIVE |
	       (dg_super_has_mounts(sb) ? DAXGUARD_FS_MOUNTED : 0) |
	       (sb->s_writers.frozen != SB_UNFROZEN ? DAXGUARD_FS_FROZEN : 0) |
	       (sb_rdonly(sb) ? DAXGUARD_FS_RDONLY : 0);
}

static void dg_scan_super(struct dg_scan *scan, const struct dg_super *super)
{
	struct super_block *sb = super->sb;

	scan->fs = dg_snapshot_fs(scan->snap);
	if (scan->fs) {
		scan->fs->fs_dev = sb->s_dev;
		scan->fs->dev = super->dev;
		scan->fs->flags = dg_fs_flags(sb);
		strscpy(scan->fs->type, sb->s_type->name, sizeof(scan->fs->type));
	}
	if (dg_super_walk_inodes(sb, dg_inode_is_used, dg_scan_inode, scan))
		scan->snap->truncated = true;
	if (scan->fs && scan->fs->inodes)
		scan->fs->flags |= DAXGUARD_FS_DAX;
	scan->fs = NULL;
}

/* Claims without a superblock to look at, so that nobody takes them for none. */
static void dg_scan_claims(struct dg_scan *scan)
{
	const struct dg_claims *claims = &scan->supers.claims;
	unsigned int i, unknown = claims->type + claims->kernel;

	if (claims->dax_held && !scan->supers.nr && !claims->dying)
		unknown = max(unknown, 1U);
	for (i = 0; i < claims->dying + unknown; i++) {
		struct dg_fs *fs = dg_snapshot_fs(scan->snap);

		if (!fs)
			return;
		fs->dev = scan->target->dev->devt;
		fs->flags = i < claims->dying ? DAXGUARD_FS_DYING : DAXGUARD_FS_UNKNOWN;
	}
}

#define DG_MMS_PER_PROCESS 4	/* more than one only with unusual clone() flags */

/* Uses of one process, gathered under its locks. */
struct dg_paths {
	struct dg_scan *scan;
	struct dg_mm *mms[DG_MMS_PER_PROCESS];
	unsigned int nr_mms;
	unsigned int nr_files;		/* looked at under the lock that is held */
	u32 count[DAXGUARD_USE_KERNEL];
	dev_t fs_dev[DAXGUARD_USE_KERNEL];
	u64 ino[DAXGUARD_USE_KERNEL];
};

/* The device itself, or a file on it. */
static bool dg_paths_want(const struct dg_scan *scan, const struct inode *inode)
{
	if (!scan->target->disk)
		return S_ISCHR(inode->i_mode) && inode->i_rdev == scan->target->dev->devt;
	return dg_supers_has(&scan->supers, READ_ONCE(inode->i_sb));
}

static void dg_paths_add(struct dg_paths *paths, u8 use, const struct inode *inode)
{
	if (!inode || !dg_paths_want(paths->scan, inode))
		return;
	if (!paths->count[use]++) {
		paths->fs_dev[use] = dg_inode_dev(inode);
		paths->ino[use] = inode->i_ino;
	}
}

#define DG_FILES_BATCH 4096	/* looked at under a table's spinlock */

/* Stops after a batch: where to go on. */
static int dg_paths_add_file(const void *data, struct file *file, unsigned int fd)
{
	struct dg_paths *paths = (struct dg_paths *)data;

	dg_paths_add(paths, DAXGUARD_USE_OPEN, file_inode(file));
	return ++paths->nr_files < DG_FILES_BATCH ? 0 : fd + 1;
}

/* However many they are: a table that is too long to look at would hide its owner. */
static void dg_paths_of_files(struct dg_paths *paths, struct task_struct *task)
{
	int next = 0;

	do {
		paths->nr_files = 0;
		task_lock(task);
		next = iterate_fd(task->files, next, dg_paths_add_file, paths);
		task_unlock(task);
		cond_resched();
	} while (next && !dg_scan_stopped(paths->scan));
}

static void dg_paths_of_fs(struct dg_paths *paths, struct task_struct *task)
{
	struct path root, pwd;

	rcu_read_lock();
	task_lock(task);
	if (task->fs) {
		dg_fs_roots(task->fs, &root, &pwd);
		/* The lock is dropped; dentries and inodes go through RCU. */
		dg_paths_add(paths, DAXGUARD_USE_CWD, d_inode_rcu(pwd.dentry));
		dg_paths_add(paths, DAXGUARD_USE_ROOT, d_inode_rcu(root.dentry));
	}
	task_unlock(task);
	rcu_read_unlock();
}

static void dg_paths_add_mm(struct dg_paths *paths, struct mm_struct *mm)
{
	struct dg_mm *found = dg_mm_find(paths->scan, mm);
	unsigned int i;

	for (i = 0; i < paths->nr_mms; i++)
		if (paths->mms[i] == found)
			return;
	if (found && paths->nr_mms < DG_MMS_PER_PROCESS)
		paths->mms[paths->nr_mms++] = found;
}

static void dg_paths_of_mm(struct dg_paths *paths, struct task_struct *task)
{
	struct file *exe;

	rcu_read_lock();
	task_lock(task);
	if (task->mm) {
		dg_paths_add_mm(paths, task->mm);
		exe = paths->scan->range ? NULL : rcu_dereference(task->mm->exe_file);
		if (exe)
			dg_paths_add(paths, DAXGUARD_USE_EXE, READ_ONCE(exe->f_inode));
	}
	task_unlock(task);
	rcu_read_unlock();
}

/*
 * What a thread has of its own; most share all of it with the one @before
 * (NULL: there is none). Equal now means the same: none joins another's later.
 */
static void dg_paths_of_thread(struct dg_paths *paths, struct task_struct *task,
			       const struct task_struct *before)
{
	bool all = !paths->scan->range;

	if (all && (!before || READ_ONCE(task->files) != READ_ONCE(before->files)))
		dg_paths_of_files(paths, task);
	if (all && (!before || READ_ONCE(task->fs) != READ_ONCE(before->fs)))
		dg_paths_of_fs(paths, task);
	if (!before || READ_ONCE(task->mm) != READ_ONCE(before->mm))
		dg_paths_of_mm(paths, task);
}

/* What the signals of a thread group look like; task->sighand under RCU. */
static void dg_fill_signals(struct task_struct *leader, struct dg_usage *info)
{
	struct sighand_struct *sighand;
	struct task_struct *t;
	unsigned int sig;

	info->blocked = ~0ULL;
	sighand = rcu_dereference(leader->sighand);
	if (!sighand)
		return;
	spin_lock_irq(&sighand->siglock);
	if (rcu_access_pointer(leader->sighand) != sighand) {
		/* exited, and its memory is somebody else's by now */
		spin_unlock_irq(&sighand->siglock);
		return;
	}
	for (sig = 1; sig <= _NSIG; sig++) {
		__sighandler_t handler = sighand->action[sig - 1].sa.sa_handler;

		if (handler == SIG_IGN)
			info->ignored |= BIT_ULL(sig - 1);
		else if (handler != SIG_DFL)
			info->caught |= BIT_ULL(sig - 1);
	}
	for_each_thread(leader, t)
		if (!(t->flags & PF_EXITING))
			info->blocked &= t->blocked.sig[0];
	spin_unlock_irq(&sighand->siglock);
}

/* The thread that stands for the process: the leader, or one that outlives it. */
static struct task_struct *dg_live_thread(struct task_struct *leader)
{
	struct task_struct *t;

	for_each_thread(leader, t)
		if (!(t->flags & PF_EXITING) && !t->exit_state)
			return t;
	return NULL;
}

/* @live: one of its threads, under RCU. */
static void dg_fill_process(const struct dg_scan *scan, struct task_struct *leader,
			    struct task_struct *live, struct dg_usage *info)
{
	unsigned int state = READ_ONCE(live->__state);

	info->pid = task_tgid_nr(leader);
	info->tid = task_pid_nr(live);
	info->start_ns = leader->start_boottime;
	info->uid = from_kuid_munged(&init_user_ns, __task_cred(live)->euid);
	strscpy(info->comm, live->comm, sizeof(info->comm));
	if (leader->exit_state)
		info->flags |= DAXGUARD_H_ZOMBIE_LEADER;
	if (leader->signal->flags & SIGNAL_STOP_STOPPED)
		info->flags |= DAXGUARD_H_STOPPED;
	if (live->ptrace)
		info->flags |= DAXGUARD_H_TRACED;
	if (state & TASK_UNINTERRUPTIBLE && !(state & (TASK_NOLOAD | TASK_WAKEKILL)))
		info->flags |= DAXGUARD_H_BLOCKED;
	if (scan->req && scan->req->unbinder_pid == info->pid)
		info->flags |= DAXGUARD_H_UNBINDER;
	dg_fill_signals(leader, info);
}

static void dg_report_mappings(struct dg_scan *scan, const struct dg_usage *info,
			       struct dg_mm *mm)
{
	u32 shared_with = mm->owner;	/* by clone(2) with CLONE_VM */
	struct dg_vma *vma;

	if (!mm->owner)
		mm->owner = info->pid;
	list_for_each_entry(vma, &mm->vmas, node) {
		struct dg_usage *usage = dg_snapshot_usage(scan->snap);

		if (!usage)
			return;
		*usage = *info;
		usage->use = DAXGUARD_USE_MAPPED;
		usage->shared_with = shared_with;
		usage->flags |= vma->flags;
		usage->fs_dev = vma->fs_dev;
		usage->ino = vma->ino;
		usage->addr = vma->addr;
		usage->len = vma->len;
		usage->offset = vma->offset;
		usage->count = 1;
	}
}

static void dg_report_paths(struct dg_scan *scan, const struct dg_usage *info,
			    const struct dg_paths *paths)
{
	u8 use;

	for (use = DAXGUARD_USE_OPEN; use < DAXGUARD_USE_KERNEL; use++) {
		struct dg_usage *usage;

		if (!paths->count[use])
			continue;
		usage = dg_snapshot_usage(scan->snap);
		if (!usage)
			return;
		*usage = *info;
		usage->use = use;
		usage->fs_dev = paths->fs_dev[use];
		usage->ino = paths->ino[use];
		usage->count = paths->count[use];
	}
}

static void dg_report_process(struct dg_scan *scan, struct task_struct *leader,
			      const struct dg_paths *paths)
{
	struct dg_usage info = {};
	struct task_struct *live;
	unsigned int i;

	if (!paths->nr_mms && !memchr_inv(paths->count, 0, sizeof(paths->count)))
		return;
	rcu_read_lock();
	live = dg_live_thread(leader);
	if (live)
		dg_fill_process(scan, leader, live, &info);
	rcu_read_unlock();
	if (!live)
		return;
	for (i = 0; i < paths->nr_mms; i++)
		dg_report_mappings(scan, &info, paths->mms[i]);
	dg_report_paths(scan, &info, paths);
}

/*
 * Processes and threads are gathered first, referenced, so that the walk can
 * sleep between two of them. They are listed in the order of their births: where
 * the room that there was for those counted is used up, what is left out was
 * born since, and is the next round's.
 */
static struct task_struct **dg_all_threads(struct task_struct *leader, unsigned int *ret_nr)
{
	unsigned int nr = 0, max = get_nr_threads(leader);
	struct task_struct **tasks, *t;

	/* The leader, also of those that are all gone: nothing is not a failure. */
	tasks = kvmalloc_array(max + 1, sizeof(*tasks), GFP_KERNEL);
	if (!tasks)
		return NULL;
	rcu_read_lock();
	for_each_thread(leader, t) {
		if (nr == max)
			break;
		get_task_struct(t);
		tasks[nr++] = t;
	}
	rcu_read_unlock();
	*ret_nr = nr;
	return tasks;
}

static struct task_struct **dg_all_processes(unsigned int *ret_nr)
{
	struct task_struct **tasks, *p;
	unsigned int nr = 0, max = 0;

	rcu_read_lock();
	for_each_process(p)
		max++;
	rcu_read_unlock();
	tasks = kvmalloc_array(max, sizeof(*tasks), GFP_KERNEL);
	if (!tasks)
		return NULL;
	rcu_read_lock();
	for_each_process(p) {
		if (nr == max)
			break;
		if (p->flags & PF_KTHREAD)
			continue;
		get_task_struct(p);
		tasks[nr++] = p;
	}
	rcu_read_unlock();
	*ret_nr = nr;
	return tasks;
}

static void dg_scan_process(struct dg_scan *scan, struct task_struct *leader)
{
	struct dg_paths paths = { .scan = scan };
	struct task_struct **threads;
	unsigned int nr, i;

	threads = dg_all_threads(leader, &nr);
	if (!threads) {
		scan->snap->truncated = true;
		return;
	}
	for (i = 0; i < nr && !dg_scan_stopped(scan); i++)
		dg_paths_of_thread(&paths, threads[i], i ? threads[i - 1] : NULL);
	dg_report_process(scan, leader, &paths);
	while (nr)
		put_task_struct(threads[--nr]);
	kvfree(threads);
}

static void dg_scan_processes(struct dg_scan *scan)
{
	struct task_struct **tasks;
	unsigned int nr, i;

	tasks = dg_all_processes(&nr);
	if (!tasks) {
		scan->snap->truncated = true;
		return;
	}
	for (i = 0; i < nr; i++) {
		if (!dg_scan_stopped(scan))
			dg_scan_process(scan, tasks[i]);
		put_task_struct(tasks[i]);
		cond_resched();
	}
	kvfree(tasks);
}

static bool dg_scan_run(struct inode *inode, pgoff_t index, unsigned long nr, void *ctx)
{
	struct dg_scan *scan = ctx;

	dg_scan_mappings(scan, inode, index, nr);
	return false;
}

static void dg_scan_whole(struct dg_scan *scan)
{
	unsigned int i;

	dg_supers_collect(scan->target, &scan->supers, scan->snap->locks_end);
	scan->snap->truncated |= scan->supers.truncated;
	for (i = 0; i < scan->supers.nr; i++)
		dg_scan_super(scan, &scan->supers.at[i]);
	if (dg_target_mapping(scan->target))
		dg_scan_mappings(scan, dg_target_mapping(scan->target)->host, 0, ULONG_MAX);
	dg_scan_claims(scan);
}

void dg_scan_target(struct dg_snapshot *snap, struct dg_target *target, struct dg_request *req,
		    const struct dg_range *range)
{
	struct dg_scan *scan = kvzalloc(sizeof(*scan), GFP_KERNEL);

	if (!scan) {
		snap->error = ENOMEM;
		return;
	}
	scan->snap = snap;
	scan->target = target;
	scan->req = req;
	scan->range = range;
	hash_init(scan->mms);
	if (!range)
		dg_scan_whole(scan);
	else if (!dg_range_walk(target, range, snap->locks_end, dg_scan_run, scan))
		snap->truncated = true;
	if (!range || scan->nr_vmas)
		dg_scan_processes(scan);
	dg_scan_free_mms(scan);
	dg_supers_put(&scan->supers);
	kvfree(scan);
}
