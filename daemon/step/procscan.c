/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "step/proc.h"
#include "step/step.h"
#include "step/vmas.h"

/*
 * The holders as /proc shows them: for when the module cannot say, and to
 * check it by. What /proc does not show is missing: files seen through an
 * overlay, descriptors in flight, users within the kernel.
 */

/* Mappings of one process that get a record each; the rest share one. */
#define MAPPINGS_MAX 64

struct process {
	struct step *step;
	struct dg_usage facts;    /* of the process; its use is filled in for each record */
	char task[PROC_TASK_MAX]; /* a live thread */
	unsigned n_mappings;
	struct dg_usage rest; /* of mappings, or of open files */
	int result;
};

static int emit_usage(struct step *step, const struct dg_usage *usage)
{
	struct dg_record_writer *writer = &step->writer;
	char hex[3][24];

	snprintf(hex[0], sizeof(hex[0]), "%016" PRIx64, usage->sig_caught);
	snprintf(hex[1], sizeof(hex[1]), "%016" PRIx64, usage->sig_blocked);
	snprintf(hex[2], sizeof(hex[2]), "%016" PRIx64, usage->sig_ignored);
	dg_record_field_u64(writer, "PID", (uint64_t)usage->pid);
	dg_record_field_u64(writer, "TID", (uint64_t)usage->tid);
	dg_record_field_u64(writer, "START_NS", usage->start_ns);
	dg_record_field(writer, "COMM", usage->comm);
	dg_record_field_u64(writer, "UID", usage->uid);
	dg_record_field(writer, "SIG_CAUGHT", hex[0]);
	dg_record_field(writer, "SIG_BLOCKED", hex[1]);
	dg_record_field(writer, "SIG_IGNORED", hex[2]);
	dg_record_field(writer, "USE", dg_use_name(usage->use));
	dg_record_field_u64(writer, "FLAGS", usage->flags);
	dg_record_field_dev(writer, "FS_DEV", usage->fs_dev);
	dg_record_field_u64(writer, "INO", usage->ino);
	dg_record_field_u64(writer, "ADDR", usage->addr);
	dg_record_field_u64(writer, "LEN", usage->len);
	dg_record_field_u64(writer, "OFFSET", usage->offset);
	dg_record_field_u64(writer, "COUNT", usage->count);
	return step_emit(step);
}

/* Where path, below the task's directory, leads to a file on one of the devices. */
static bool on_devs(const struct process *process, const char *name, struct dg_usage *ret)
{
	char path[PROC_PATH_MAX];
	struct statx stx;
	dg_dev_t dev;

	snprintf(path, sizeof(path), "%s/%s", process->task, name);
	/* What is cached will do: some other file system may be past answering. */
	if (statx(process->step->proc_fd, path, AT_NO_AUTOMOUNT | AT_STATX_DONT_SYNC, STATX_INO,
		  &stx) < 0)
		return false;
	dev = DG_DEV(stx.stx_dev_major, stx.stx_dev_minor);
	if (!step_has_dev(process->step, dev))
		return false;
	*ret = process->facts;
	ret->fs_dev = dev;
	ret->ino = stx.stx_ino;
	ret->count = 1;
	return true;
}

static int scan_links(struct process *process)
{
	static const struct {
		const char *name;
		enum dg_use use;
	} links[] = {{"cwd", DG_USE_CWD}, {"root", DG_USE_ROOT}, {"exe", DG_USE_EXE}};
	struct dg_usage usage;
	int r = 0;

	for (size_t i = 0; i < sizeof(links) / sizeof(links[0]) && r >= 0; i++) {
		if (!on_devs(process, links[i].name, &usage))
			continue;
		usage.use = links[i].use;
		r = emit_usage(process->step, &usage);
	}
	return r;
}

static int each_fd(void *userdata, pid_t number)
{
	struct process *process = userdata;
	struct dg_usage usage;
	char name[24];

	snprintf(name, sizeof(name), "fd/%d", number);
	if (!on_devs(process, name, &usage))
		return 0;
	usage.use = DG_USE_OPEN;
	usage.count += process->rest.count;
	process->rest = usage;
	return 0;
}

static int scan_fds(struct process *process)
{
	char path[PROC_PATH_MAX];

	process->rest.count = 0;
	snprintf(path, sizeof(path), "%s/fd", process->task);
	(void)proc_foreach(process->step->proc_fd, path, each_fd, process);
	/* 0 is no number to proc_foreach(). */
	each_fd(process, 0);
	return process->rest.count > 0 ? emit_usage(process->step, &process->rest) : 0;
}

static int each_vma(void *userdata, const struct vma *vma)
{
	struct process *process = userdata;
	struct dg_usage usage = process->facts;

	if (!step_has_dev(process->step, vma->dev))
		return 0;
	usage.use = DG_USE_MAPPED;
	usage.flags |= vma->flags;
	usage.fs_dev = vma->dev;
	usage.ino = vma->ino;
	usage.addr = vma->start;
	usage.len = vma->end - vma->start;
	usage.offset = vma->offset;
	usage.count = 1;
	if (process->n_mappings++ < MAPPINGS_MAX)
		return emit_usage(process->step, &usage);
	usage.count += process->rest.count;
	process->rest = usage;
	return 0;
}

static int scan_mappings(struct process *process)
{
	int r;

	process->rest.count = 0;
	r = vmas_foreach(process->step->proc_fd, process->task, each_vma, process);
	if (r == -EPIPE || r == -ENOMEM)
		return r;
	/* Otherwise it ended meanwhile, or has no memory of its own. */
	return process->rest.count > 0 ? emit_usage(process->step, &process->rest) : 0;
}

/* One thread: the first that lives stands for the process, and a signal is blocked if all do. */
static int each_thread(void *userdata, pid_t tid)
{
	struct process *process = userdata;
	struct dg_usage *facts = &process->facts;
	char task[PROC_TASK_MAX], status[4096];
	struct dg_procstat stat;

	snprintf(task, sizeof(task), "%d/task/%d", facts->pid, tid);
	if (proc_stat(process->step->proc_fd, task, &stat) < 0 || stat.state == 'Z' ||
	    stat.state == 'X' ||
	    proc_read(process->step->proc_fd, task, "status", status, sizeof(status)) < 0)
		return 0;
	facts->sig_blocked &= proc_status_number(status, "\nSigBlk:", 16, 0);
	if (stat.state == 'D')
		facts->flags |= DG_HOLDER_BLOCKED;
	if (process->task[0])
		return 0;
	snprintf(process->task, sizeof(process->task), "%s", task);
	facts->tid = tid;
	/* Real, effective, saved, file system: the second. */
	facts->uid = (uid_t)proc_status_number(status, "\nUid:", 10, 1);
	facts->sig_caught = proc_status_number(status, "\nSigCgt:", 16, 0);
	facts->sig_ignored = proc_status_number(status, "\nSigIgn:", 16, 0);
	if (stat.state == 'T')
		facts->flags |= DG_HOLDER_STOPPED;
	if (proc_status_number(status, "\nTracerPid:", 10, 0) != 0)
		facts->flags |= DG_HOLDER_TRACED;
	return 0;
}

/* -ESRCH: no thread of it lives, or it is the kernel's. */
static int read_facts(struct process *process, pid_t pid)
{
	char task[PROC_TASK_MAX], comm[64];
	struct dg_procstat stat;
	int r;

	snprintf(task, sizeof(task), "%d", pid);
	r = proc_stat(process->step->proc_fd, task, &stat);
	if (r < 0)
		return r;
	if (stat.kernel_thread)
		return -ESRCH;
	process->facts = (struct dg_usage){
		.pid = pid,
		.start_ns = proc_start_ns(&stat),
		.sig_blocked = UINT64_MAX,
		.flags = stat.state == 'Z' ? DG_HOLDER_ZOMBIE_LEADER : 0,
	};
	if (proc_read(process->step->proc_fd, task, "comm", comm, sizeof(comm)) > 0)
		snprintf(process->facts.comm, sizeof(process->facts.comm), "%.*s",
			 (int)strcspn(comm, "\n"), comm);
	snprintf(task, sizeof(task), "%d/task", pid);
	r = proc_foreach(process->step->proc_fd, task, each_thread, process);
	return r < 0 ? r : process->task[0] ? 0 : -ESRCH;
}

struct scan {
	struct step *step;
	bool blocked; /* this round: those in uninterruptible sleep */
};

static int each_process(void *userdata, pid_t pid)
{
	const struct scan *scan = userdata;
	struct process process = {.step = scan->step};
	int r;

	if (pid == getpid() || read_facts(&process, pid) < 0)
		return 0;
	if (scan->blocked != !!(process.facts.flags & DG_HOLDER_BLOCKED))
		return 0;
	r = scan_links(&process);
	if (r >= 0)
		r = scan_fds(&process);
	return r < 0 ? r : scan_mappings(&process);
}

/* Not of a thread that is not the first: that is part of another. */
static bool is_process(const struct step *step, pid_t pid)
{
	char task[PROC_TASK_MAX], status[4096];

	snprintf(task, sizeof(task), "%d/task/%d", pid, pid);
	return proc_read(step->proc_fd, task, "status", status, sizeof(status)) >= 0 &&
	       proc_status_number(status, "\nTgid:", 10, 0) == (uint64_t)pid;
}

int verb_who(struct step *step)
{
	for (size_t i = 0; i < step->n_words; i++) {
		struct process process = {.step = step};
		unsigned long pid;
		char *end;
		int r;

		pid = strtoul(step->words[i], &end, 10);
		if (*end || pid == 0 || pid > INT32_MAX)
			return STEP_EXIT_USAGE;
		if (!is_process(step, (pid_t)pid) || read_facts(&process, (pid_t)pid) < 0)
			continue;
		process.facts.use = DG_USE_MAPPED;
		r = emit_usage(step, &process.facts);
		if (r < 0)
			return r;
	}
	return STEP_EXIT_OK;
}

int verb_procscan(struct step *step)
{
	struct scan scan = {.step = step};
	int r;

	r = proc_foreach(step->proc_fd, ".", each_process, &scan);
	/* Their maps may never be had: last, when all others have been told. */
	scan.blocked = true;
	if (r >= 0)
		r = proc_foreach(step->proc_fd, ".", each_process, &scan);
	return r < 0 ? r : STEP_EXIT_OK;
}
