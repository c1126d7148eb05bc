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

#include "compat.h"
#include "daxguard.h"

/* Whose mappings an address may be in: a request's, or one target's. */
struct dg_of {
	struct dg_request *req;
	struct dg_target *target;
};

/* Both are compared only. */
static bool dg_target_has(struct dg_target *target, const struct address_space *mapping,
			  const struct super_block *sb)
{
	struct dg_claims claims;
	bool found = false;

	if (!target->disk)
		return dg_target_mapping(target) == mapping;
	dg_claims_look(target, jiffies, sb, &claims, &found);
	return found;
}

static bool dg_of_has(const struct dg_of *of, const struct address_space *mapping,
		      const struct super_block *sb)
{
	struct dg_target *target;

	if (!of->req)
		return dg_target_has(of->target, mapping, sb);
	list_for_each_entry(target, &of->req->targets, node)
		if (dg_target_has(target, mapping, sb))
			return true;
	return false;
}

/*
 * Is @addr in a mapping of one of the devices, or of a DAX file on it? The
 * lock is tried once: this is a netlink handler, the daemon stands still meanwhile,
 * and the next process may be as busy. It asks again.
 */
static int dg_check_address(const struct dg_of *of, struct mm_struct *mm, unsigned long addr,
			    const char **why)
{
	struct address_space *mapping = NULL;
	struct super_block *sb = NULL;
	struct vm_area_struct *vma;

	if (!mmap_read_trylock(mm)) {
		*why = "the process is busy with its mappings";
		return -EBUSY;
	}
	vma = find_vma(mm, addr);
	if (vma && vma->vm_start <= addr && vma->vm_file && dax_mapping(vma->vm_file->f_mapping)) {
		mapping = vma->vm_file->f_mapping;
		sb = file_inode(vma->vm_file)->i_sb;
	}
	mmap_read_unlock(mm);
	if (!mapping || !dg_of_has(of, mapping, sb)) {
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

/* How well a thread would do: PR_MCE_KILL's choice, else who does not block it. */
static int dg_receiver_rank(const struct task_struct *t)
{
	int rank = 1;

	if (!sigismember((sigset_t *)&t->blocked, SIGBUS))
		rank += 1;
	if (t->flags & PF_MCE_PROCESS && t->flags & PF_MCE_EARLY)
		rank += 2;
	return rank;
}

/*
 * The thread of that mm to tell, referenced. Where all block it, the first: the
 * signal stays pending there. It may exec meanwhile, and would then get a
 * signal that was meant for what it was; nothing exported can tell.
 */
static struct task_struct *dg_receiver(struct task_struct *leader, struct mm_struct *mm)
{
	struct task_struct *t, *best = NULL;
	int rank = 0;

	rcu_read_lock();
	for_each_thread(leader, t) {
		if (t->flags & (PF_EXITING | PF_KTHREAD | DG_PF_WORKER) || READ_ONCE(t->mm) != mm)
			continue;
		if (dg_receiver_rank(t) > rank) {
			rank = dg_receiver_rank(t);
			best = t;
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

/* Who sends one of ours; it is not one of the kernel's own. */
const struct task_struct *dg_telling;

static int dg_send(struct task_struct *task, unsigned long addr, u8 lsb)
{
	int ret;

	mutex_lock(&dg_lock);
	WRITE_ONCE(dg_telling, current);
	ret = send_sig_mceerr(BUS_MCEERR_AO, (void __user *)addr, lsb, task);
	WRITE_ONCE(dg_telling, NULL);
	mutex_unlock(&dg_lock);
	return ret;
}

/*
 * One that is pending has its own address, and the kernel drops a second one. Read
 * without a lock: nothing exported takes it.
 */
static bool dg_has_one(struct task_struct *t)
{
	return sigismember(&t->pending.signal, SIGBUS);
}

static int dg_tell(struct task_struct *leader, struct mm_struct *mm, unsigned long addr, u8 lsb,
		   bool each, const char **why)
{
	struct task_struct *task = dg_receiver(leader, mm);
	int ret = -ESRCH;

	*why = "no thread of it is alive";
	if (task && each && dg_has_one(task)) {
		*why = "it has not taken its last SIGBUS yet";
		ret = -EBUSY;
	} else if (task) {
		*why = "the signal could not be sent";
		ret = dg_send(task, addr, lsb);
	}
	if (task)
		put_task_struct(task);
	if (!ret)
		atomic64_inc(&dg_counters.signals);
	return ret;
}

int dg_sigbus(struct dg_request *req, struct dg_target *target, pid_t pid, u64 start_ns,
	      unsigned long addr, u8 lsb, const char **why)
{
	const struct dg_of of = { .req = req, .target = target };
	struct task_struct *leader = dg_find_process(pid, start_ns);
	struct mm_struct *mm;
	int ret = -ESRCH;

	*why = "no such process";
	if (!leader)
		return ret;
	mm = dg_process_mm(leader);
	if (mm && READ_ONCE(leader->vfork_done)) {
		/* Its handlers would run on its parent's memory. */
		*why = "the process is between vfork and exec";
		ret = -EBUSY;
	} else if (mm) {
		/* A removal says one thing to a process, a failure one for each page. */
		ret = dg_check_address(&of, mm, addr, why) ?:
			      dg_tell(leader, mm, addr, lsb, !req, why);
	}
	/* Not the last reference in a netlink handler: that unmaps. */
	if (mm)
		mmput_async(mm);
	put_task_struct(leader);
	return ret;
}
