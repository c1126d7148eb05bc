/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "checkpoint/dump.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#include "checkpoint/journal.h"
#include "checkpoint/lock.h"
#include "checkpoint/room.h"
#include "step/checkpoint-store.h"
#include "step/proc.h"

#define VERSION_US 2000000U /* for CRIU to say it */

static int end_of_criu(struct dump *dump, const struct criu_run *run, int r)
{
	char reason[RESULT_TEXT_MAX];

	if (r == -ETIME)
		return result_end(dump->result, "timeout", "CRIU was not done in time");
	if (r == -EIO) {
		criu_reason(run, reason, sizeof(reason));
		return result_end(dump->result,
				  strstr(reason, strerror(ENOSPC)) ? "no-space" : "failed", "%s",
				  reason);
	}
	return result_end_error(dump->result, dump->criu, r);
}

static int run_criu(struct dump *dump, bool shell_job)
{
	const struct request *request = dump->request;
	char images[PATH_MAX], pid[16], stream[32];
	const char *argv[CRIU_WORDS_MAX] = {
		dump->criu,
		"dump",
		"--tree",
		pid,
		"--images-dir",
		images,
		"--leave-stopped",
		"--file-locks",
		"--manage-cgroups=ignore",
	};
	struct criu_run run;
	int r;

	snprintf(pid, sizeof(pid), "%d", dump->tree.items[0].pid);
	snprintf(stream, sizeof(stream), "unix[%" PRIu64 "]", dump->journal);
	if (shell_job)
		criu_add(argv, "--shell-job");
	if (dump->journal > 0) {
		criu_add(argv, "--external");
		criu_add(argv, stream);
	}
	if (snprintf(images, sizeof(images), "%s/%.8s-%llu/.%d.part/" STORE_IMAGES, request->dir,
		     request->id.boot, (unsigned long long)request->id.incident,
		     request->id.pid) >= (int)sizeof(images))
		return result_end_error(dump->result, request->dir, -ENAMETOOLONG);
	r = criu_start(argv, &run);
	if (r < 0)
		return result_end_error(dump->result, dump->criu, r);
	r = criu_go(&run);
	if (r >= 0)
		r = criu_wait(&run, request->deadline_us);
	if (r < 0)
		r = end_of_criu(dump, &run, r);
	criu_done(&run);
	return r;
}

/* They are stopped now: nobody comes or goes any more. */
static int read_tree_again(struct dump *dump)
{
	struct tree before = dump->tree;
	int r;

	r = tree_read(dump->proc_fd, before.items[0].pid, &dump->tree);
	if (r < 0) {
		dump->tree = before;
		return result_end_error(dump->result, "the tree of processes", r);
	}
	for (size_t i = 0; i < dump->tree.n_items; i++) {
		struct tree_process *process = &dump->tree.items[i];
		const struct tree_process *was = tree_find(&before, process->pid);

		process->stopped = was && was->start_ns == process->start_ns && was->stopped;
	}
	tree_done(&before);
	r = tree_open(&dump->tree, dump->proc_fd);
	/* Whoever has ended before has nothing to do with us. */
	if (r >= 0)
		r = dump_write_tree(dump, false);
	return r < 0 ? result_end_error(dump->result, "the tree of processes", r) : 0;
}

static uint64_t realtime_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static void list_processes(const struct dump *dump, struct dg_manifest_process *processes)
{
	for (size_t i = 0; i < dump->tree.n_items; i++) {
		const struct tree_process *process = &dump->tree.items[i];

		processes[i] = (struct dg_manifest_process){
			.pid = process->pid,
			.ppid = process->ppid,
			.start_ns = process->start_ns,
			.comm = process->comm,
			.stopped = process->stopped,
		};
	}
}

/* manifest: what is not to be looked up. */
static int write_manifest(struct dump *dump, struct dg_manifest manifest)
{
	char boot_id[64], task[PROC_TASK_MAX], lines[PROC_CGROUP_MAX];
	int r;

	if (proc_read(dump->proc_fd, "sys/kernel/random", "boot_id", boot_id, sizeof(boot_id)) < 0)
		return -EIO;
	boot_id[strcspn(boot_id, "\n")] = '\0';
	snprintf(task, sizeof(task), "%d", dump->tree.items[0].pid);
	manifest.boot_id = boot_id;
	manifest.cgroup = proc_cgroup(dump->proc_fd, task, lines) ?: "";
	manifest.processes = calloc(dump->tree.n_items, sizeof(*manifest.processes));
	if (!manifest.processes)
		return -ENOMEM;
	list_processes(dump, manifest.processes);
	r = store_write_manifest(dump->part_fd, &manifest);
	free(manifest.processes);
	return r;
}

/* In turn: each counts those that have got their names before. */
static int commit(struct dump *dump, uint64_t bytes)
{
	const struct request *request = dump->request;
	int r;

	r = lock_wait(dump->store_fd, request->deadline_us);
	if (r == -ETIME)
		return result_end(dump->result, "timeout", "another one is not done with %s",
				  request->dir);
	if (r < 0)
		return r;
	r = room_check_written(request, dump->store_fd, bytes, dump->result);
	if (r >= 0)
		r = store_commit(dump->store_fd, &request->id);
	(void)flock(dump->store_fd, LOCK_UN);
	return r;
}

static int finish_checkpoint(struct dump *dump, bool shell_job)
{
	const struct request *request = dump->request;
	struct dg_manifest manifest = {
		.id = request->id_text,
		.incident = request->id.incident,
		.comm = dump->tree.items[0].comm,
		.unit = request->unit,
		.rule = request->rule,
		.criu = dump->result->criu,
		.time_us = realtime_us(),
		.start_ns = dump->tree.items[0].start_ns,
		.pid = dump->tree.items[0].pid,
		.uid = request->uid,
		.scope = request->scope,
		.restore = request->restore,
		.shell_job = shell_job,
		.journal = dump->journal,
		.mounts = request->mounts,
		.n_mounts = request->n_mounts,
		.files = dump->files,
		.n_files = dump->n_files,
		.n_processes = dump->tree.n_items,
	};
	int r;

	r = store_sync_images(dump->part_fd, &manifest.bytes);
	manifest.dump_us = checkpoint_now_us() - dump->began_us;
	if (r >= 0)
		r = write_manifest(dump, manifest);
	if (r >= 0 && checkpoint_now_us() > request->deadline_us)
		return result_end(dump->result, "timeout", "the medium was not done in time");
	if (r >= 0)
		r = commit(dump, manifest.bytes);
	if (r < 0)
		return result_end_error(dump->result, "the checkpoint", r);
	dump->result->bytes = manifest.bytes;
	dump->result->dump_us = manifest.dump_us;
	room_learn(dump->store_fd, manifest.bytes, manifest.dump_us);
	return 0;
}

static int find_files(struct dump *dump)
{
	int r = dump_find_files(dump);

	return r < 0 ? result_end_error(dump->result, "the files of the device", r) : 0;
}

/* Leaves a checkpoint that is whole, or everything as it was. */
static int make(struct dump *dump)
{
	bool shell_job = tree_is_shell_job(&dump->tree);
	int r;

	r = dump_write_tree(dump, false);
	if (r >= 0)
		r = store_begin(dump->store_fd, &dump->request->id, &dump->part_fd);
	if (r < 0)
		return result_end_error(dump->result, dump->request->dir, r);
	criu_version(dump->criu, dump->request->run_fd, dump->result->criu,
		     sizeof(dump->result->criu), checkpoint_now_us() + VERSION_US);
	dump->journal = journal_find(dump->proc_fd, &dump->tree);
	dump->began_us = checkpoint_now_us();
	r = run_criu(dump, shell_job);
	if (r >= 0)
		r = read_tree_again(dump);
	if (r >= 0)
		r = find_files(dump);
	/* Who they are by now, and what they have locked and mapped meanwhile. */
	if (r >= 0)
		r = dump_check_processes(dump);
	if (r >= 0)
		r = finish_checkpoint(dump, shell_job);
	return r;
}

/* Nobody waits, stopped, until gigabytes are removed; but none of it is whole by then. */
static void undo(struct dump *dump)
{
	if (dump->part_fd < 0)
		return;
	if (store_has(dump->store_fd, &dump->request->id))
		(void)store_unname(dump->store_fd, &dump->request->id);
	(void)tree_open(&dump->tree, dump->proc_fd);
	tree_continue(&dump->tree);
	(void)store_remove(dump->store_fd, &dump->request->id, true);
}

static void done(struct dump *dump)
{
	const int fds[] = {dump->part_fd, dump->store_fd, dump->proc_fd};

	for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++)
		if (fds[i] >= 0)
			close(fds[i]);
	if (dump->root_lock_fd >= 0)
		lock_file_done(dump->request->run_fd, dump->root_lock, dump->root_lock_fd);
	service_manager_free(dump->manager);
	free(dump->cgroup);
	dump_files_done(dump);
	tree_done(&dump->tree);
}

void dump_run(struct request *request, struct result *result)
{
	struct dump dump = {
		.request = request,
		.result = result,
		.proc_fd = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC),
		.store_fd = -1,
		.part_fd = -1,
		.root_lock_fd = -1,
	};
	int r;

	r = dump_check(&dump);
	if (r >= 0)
		r = make(&dump);
	if (r >= 0)
		r = dump_end_tree(&dump);
	if (r >= 0) {
		result->word = "ok";
		for (size_t i = 0; i < dump.tree.n_items; i++)
			result_add_pid(result, dump.tree.items[i].pid);
	} else {
		result->bytes = result->dump_us = 0;
		undo(&dump);
	}
	/* Before the lock of the tree goes: who waits for it looks for what it says. */
	(void)result_write(result, request);
	done(&dump);
}
