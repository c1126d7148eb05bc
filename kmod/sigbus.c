// SPDX-License-Identifier: GPL-2.0-only
/*
 * SIGBUS with an address: the one signal user space cannot forge, and so not
 * one that may name an address which is not a mapping of the device.
 */
#include <linux/dax.h>
#include <linux/mm.h>
#include <linux/pid_namespace.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/sched/task.h>
#include <linux/slab.h>

#include "compat.h"
#include "daxguard.h"

#define DG_MMAP_LOCK_MS 50

static bool dg_try_mmap_read(void *mm)
{
	return mmap_read_trylock(mm);
}

static bool dg_request_has_super(struct dg_request *req, const struct super_block *sb)
{
	struct dg_supers *supers = kzalloc(sizeof(*supers), GFP_KERNEL);
	struct dg_target *target;
	bool found = false;
	unsigned int i;

	if (!supers)
		return false;
	list_for_each_entry(target, &req->targets, node) {
		dg_supers_collect(target, supers);
		for (i = 0; i < supers->nr; i++)
			found |= supers->at[i].sb == sb;
		dg_supers_put(supers);
	}
	kfree(supers);
	return found;
}

/*
 * Is @addr in a mapping of a DAX file on one of the request's devices? The
 * lock is only tried: a process that is stuck with it is not waited for.
 */
static int dg_check_address(struct dg_request *req, struct mm_struct *mm, unsigned long addr,
			    const char **why)
{
	struct super_block *sb = NULL;
	struct vm_area_struct *vma;

	if (!dg_trylock_until(dg_try_mmap_read, mm, DG_MMAP_LOCK_MS)) {
		*why = "the process is busy with its mappings";
		return -EBUSY;
	}
	vma = find_vma(mm, addr);
	if (vma && vma->vm_start <= addr && vma->vm_file && dax_mapping(vma->vm_file->f_mapping))
		sb = file_inode(vma->vm_file)->i_sb;
	mmap_read_unlock(mm);
	/* Compared only; a superblock of the request's is active meanwhile. */
	if (!sb || !dg_request_has_super(req, sb)) {
		*why = "the address is not in a mapping of the device";
		return -EFAULT;
	}
	return 0;
}

static struct task_struct *dg_find_process(pid_t pid, u64 start_ns)
{
	struct task_struct *task;

	rcu_read_lock();
	task = pid_task(find_pid_ns(pid, &init_pid_ns), PIDTYPE_TGID);
	if (task && task->start_boottime == start_ns)
		get_task_struct(task);
	else
		task = NULL;
	rcu_read_unlock();
	return task;
}

/* A live thread of that mm, rather one that does not block the signal; referenced. */
static struct task_struct *dg_receiver(struct task_struct *leader, struct mm_struct *mm)
{
	struct task_struct *t, *best = NULL;

	rcu_read_lock();
	for_each_thread(leader, t) {
		if (t->flags & PF_EXITING || READ_ONCE(t->mm) != mm)
			continue;
		if (!best)
			best = t;
		if (!sigismember(&t->blocked, SIGBUS)) {
			best = t;
			break;
		}
	}
	if (best)
		get_task_struct(best);
	rcu_read_unlock();
	return best;
}

static struct mm_struct *dg_process_mm(struct task_struct *leader)
{
	struct mm_struct *mm = NULL;
	struct task_struct *t;

	rcu_read_lock();
	for_each_thread(leader, t) {
		mm = get_task_mm(t);
		if (mm)
			break;
	}
	rcu_read_unlock();
	return mm;
}

int dg_sigbus(struct dg_request *req, pid_t pid, u64 start_ns, unsigned long addr, u8 lsb,
	      int code, const char **why)
{
	struct task_struct *leader, *task = NULL;
	struct mm_struct *mm = NULL;
	int ret = -ESRCH;

	*why = "no such process";
	leader = dg_find_process(pid, start_ns);
	if (!leader)
		return ret;
	mm = dg_process_mm(leader);
	if (mm) {
		ret = dg_check_address(req, mm, addr, why);
		if (!ret)
			task = dg_receiver(leader, mm);
		/* Not the last reference in a netlink handler: that unmaps. */
		mmput_async(mm);
	}
	if (task) {
		ret = send_sig_mceerr(code, (void __user *)addr, lsb, task);
		atomic64_inc(&dg_counters.signals);
		put_task_struct(task);
	} else if (!ret) {
		ret = -ESRCH;
	}
	put_task_struct(leader);
	return ret;
}
