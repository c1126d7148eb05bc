/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "checkpoint/dump.h"
#include "checkpoint/lock.h"
#include "checkpoint/room.h"
#include "checkpoint/uses.h"
#include "core/unit.h"
#include "step/checkpoint-store.h"
#include "step/criu.h"
#include "step/proc.h"

static int check_store(struct dump *dump)
{
	struct stat status;
	dg_dev_t dev;
	int r;

	r = store_open(dump->request->dir, true, &dump->store_fd);
	if (r >= 0 && fstat(dump->store_fd, &status) < 0)
		r = -errno;
	if (r < 0)
		return result_end_error(dump->result, dump->request->dir, r);
	dev = DG_DEV(major(status.st_dev), minor(status.st_dev));
	for (size_t i = 0; i < dump->request->n_guarded; i++)
		if (dump->request->guarded[i] == dev)
			return result_end(dump->result, "on-guarded-device",
					  "%s lies on a guarded device itself", dump->request->dir);
	return 0;
}

static bool is_service(const char *unit)
{
	const char *dot = strrchr(unit, '.');

	return dot && strcmp(dot, ".service") == 0;
}

/* It was restored before: its unit is the one that it was in the first time. */
static int find_restored_unit(struct dump *dump)
{
	struct request *request = dump->request;
	int r;

	if (!checkpoint_is_scope(request->unit))
		return 0;
	r = service_manager_instead_of(dump->manager, request->unit, &request->restored_unit);
	if (request->restored_unit)
		request->unit = request->restored_unit;
	return r;
}

/* Of a unit: what the service manager knows of it. */
static int ask_unit(struct dump *dump)
{
	const struct request *request = dump->request;
	char *error = NULL;
	int r;

	if (!request->unit)
		return 0;
	r = service_manager_open(request->address, &dump->manager, &error);
	if (r < 0)
		(void)result_end(dump->result, "failed", "the service manager: %s",
				 error ?: strerror(-r));
	free(error);
	if (r < 0)
		return -ECANCELED;
	r = find_restored_unit(dump);
	/* Others have no main process, and nothing starts them again. */
	if (r >= 0 && is_service(request->unit)) {
		r = service_manager_main_pid(dump->manager, request->unit, &dump->main_pid);
		if (r >= 0)
			r = service_manager_cgroup(dump->manager, request->unit, &dump->cgroup);
	}
	/* It might be started again beside its checkpoint. */
	if (r < 0)
		return result_end_error(dump->result, request->unit, r);
	if (request->scope == DG_SCOPE_UNIT && dump->main_pid == 0)
		return result_end(dump->result, "not-a-tree", "%s has no main process",
				  request->unit);
	return 0;
}

static int each_kept(void *userdata, const struct dg_checkpoint_id *id, bool part)
{
	struct dump *dump = userdata;
	const struct request *request = dump->request;
	struct dg_manifest manifest;
	int r = 0;

	if (part || id->incident != request->id.incident ||
	    strcmp(id->boot, request->id.boot) != 0 ||
	    store_read_manifest(dump->store_fd, id, &manifest) < 0)
		return 0;
	for (size_t i = 0; r == 0 && i < manifest.n_processes; i++)
		r = manifest.processes[i].pid == request->id.pid;
	dg_manifest_done(&manifest);
	if (r > 0)
		dg_checkpoint_id_format(id, dump->result->of);
	return r;
}

/* It has gone: with a tree that somebody else has dumped, or by itself. */
static int is_gone(struct dump *dump)
{
	if (store_foreach(dump->store_fd, each_kept, dump) > 0)
		return result_end(dump->result, "with", "it is in the checkpoint %s",
				  dump->result->of);
	/* Nobody waits for us any more: it was the next rung. */
	if (checkpoint_now_us() > dump->request->deadline_us)
		return result_end(dump->result, "timeout",
				  "its time was over before it was its turn");
	return result_end(dump->result, "gone", "process %d has ended", dump->request->id.pid);
}

static pid_t find_root(const struct dump *dump)
{
	const struct request *request = dump->request;

	if (request->scope == DG_SCOPE_UNIT)
		return dump->main_pid;
	return tree_find_root(dump->proc_fd, request->id.pid, request->holders, request->n_holders);
}

/* Who asks for another process of the same tree waits for the one who was first. */
static int lock_root(struct dump *dump, pid_t root)
{
	const struct request *request = dump->request;
	int r;

	snprintf(dump->root_lock, sizeof(dump->root_lock), "root-%d.lock", root);
	r = lock_file(request->run_fd, dump->root_lock, request->deadline_us, &dump->root_lock_fd);
	if (r == -ETIME)
		return result_end(dump->result, "timeout",
				  "another dump of the tree of %d is not over", root);
	return r < 0 ? result_end_error(dump->result, dump->root_lock, r) : 0;
}

static int read_tree(struct dump *dump)
{
	const struct request *request = dump->request;
	pid_t root;
	int r;

	if (tree_check(dump->proc_fd, request->id.pid, request->start_ns) < 0)
		return is_gone(dump);
	root = find_root(dump);
	r = lock_root(dump, root);
	if (r < 0)
		return r;
	/* He may have waited for it. */
	if (tree_check(dump->proc_fd, request->id.pid, request->start_ns) < 0)
		return is_gone(dump);
	r = tree_read(dump->proc_fd, root, &dump->tree);
	if (r == -ESRCH)
		return is_gone(dump);
	if (r >= 0 && !tree_find(&dump->tree, request->id.pid))
		return result_end(dump->result, "not-a-tree", "process %d is not below %d",
				  request->id.pid, root);
	/* Who cannot be continued is not stopped. */
	if (r >= 0)
		r = tree_open(&dump->tree, dump->proc_fd);
	return r < 0 ? result_end_error(dump->result, "the tree of processes", r) : 0;
}

/* By the real, the effective, the saved and the file system's. */
static bool is_root(int proc_fd, pid_t pid)
{
	char task[PROC_TASK_MAX], status[4096];

	snprintf(task, sizeof(task), "%d", pid);
	if (proc_read(proc_fd, task, "status", status, sizeof(status)) < 0 ||
	    !strstr(status, "\nUid:"))
		return false;
	for (unsigned i = 0; i < 4; i++)
		if (proc_status_number(status, "\nUid:", 10, i) != 0)
			return false;
	return true;
}

/* CRIU is root when it opens their files again, whatever has been put in the place of those. */
static int check_trusted(struct dump *dump)
{
	for (size_t i = 0; i < dump->tree.n_items && !dump->request->trusted; i++) {
		const struct tree_process *process = &dump->tree.items[i];

		if (!is_root(dump->proc_fd, process->pid))
			return result_end(
				dump->result, "not-trusted",
				"process %d (%s) is not root's, and the rule has no Unit= "
				"or User=",
				process->pid, process->comm);
	}
	return 0;
}

static int check_protected(struct dump *dump)
{
	const struct request *request = dump->request;

	for (size_t i = 0; i < dump->tree.n_items; i++) {
		const struct tree_process *process = &dump->tree.items[i];
		bool never =
			process->pid == 1 || process->pid == getpid() || process->kernel_thread;

		for (size_t k = 0; !never && k < request->n_protected; k++)
			never = request->protected[k] == process->pid;
		if (never)
			return result_end(dump->result, "protected",
					  "process %d (%s) is never touched, and is in the tree",
					  process->pid, process->comm);
	}
	return 0;
}

/*
 * Of a mount namespace CRIU would have to mount all anew. It does not where mounts come
 * from outside, as those of a service do, and says so in words of its own options. Of a
 * user namespace alone it makes a dump, and then may not do what a restore needs.
 */
static const struct namespace_kind {
	const char *name, *what, *key;
} kinds[] = {
	{"mnt", "mount", "PrivateTmp= or ProtectSystem="},
	{"user", "user", "PrivateUsers="},
};

static int check_namespace(struct dump *dump, const struct namespace_kind *kind)
{
	char task[PROC_TASK_MAX];
	uint64_t here, theirs;
	int r;

	/* Where CRIU runs, too. */
	r = proc_namespace(dump->proc_fd, "self", kind->name, &here);
	if (r < 0)
		return result_end_error(dump->result, "/proc/self/ns", r);
	for (size_t i = 0; i < dump->tree.n_items; i++) {
		const struct tree_process *process = &dump->tree.items[i];

		snprintf(task, sizeof(task), "%d", process->pid);
		/* Who has ended has none. */
		if (proc_namespace(dump->proc_fd, task, kind->name, &theirs) < 0 || theirs == here)
			continue;
		return result_end(dump->result, "namespace",
				  "process %d (%s) has a %s namespace of its own, as with %s: CRIU "
				  "would not have it go on",
				  process->pid, process->comm, kind->what, kind->key);
	}
	return 0;
}

static int check_namespaces(struct dump *dump)
{
	int r = 0;

	for (size_t i = 0; r >= 0 && i < sizeof(kinds) / sizeof(*kinds); i++)
		r = check_namespace(dump, &kinds[i]);
	return r;
}

struct strangers {
	struct dump *dump;
	pid_t pid;
};

static int each_process(void *userdata, pid_t pid)
{
	struct strangers *strangers = userdata;
	const struct dump *dump = strangers->dump;
	char task[PROC_TASK_MAX], lines[PROC_CGROUP_MAX];
	const char *path;

	snprintf(task, sizeof(task), "%d", pid);
	path = proc_cgroup(dump->proc_fd, task, lines);
	if (!path || !dg_cgroup_is_in(path, dump->cgroup, strlen(dump->cgroup)) ||
	    tree_find(&dump->tree, pid))
		return 0;
	strangers->pid = pid;
	return 1;
}

/* What stops the unit would end them, too, and nothing would bring them back. */
static int check_unit_is_tree(struct dump *dump)
{
	struct strangers strangers = {.dump = dump};

	dump->ends_unit = dump->main_pid > 0 && tree_find(&dump->tree, dump->main_pid);
	if (!dump->ends_unit || !dump->cgroup[0])
		return 0;
	if (proc_foreach(dump->proc_fd, ".", each_process, &strangers) > 0)
		return result_end(dump->result, "not-a-tree",
				  "process %d of %s is not below its main process %d",
				  strangers.pid, dump->request->unit, dump->main_pid);
	return 0;
}

static int each_use(void *userdata, const struct stat *status, int dir_fd, const char *link)
{
	return uses_is_device_dax(status);
}

static int check_uses(struct dump *dump)
{
	for (size_t i = 0; i < dump->tree.n_items; i++)
		if (uses_foreach(dump->proc_fd, dump->tree.items[i].pid, each_use, dump) > 0)
			return result_end(dump->result, "device-dax",
					  "process %d (%s) uses a device-dax, whose contents CRIU "
					  "does not keep",
					  dump->tree.items[i].pid, dump->tree.items[i].comm);
	return 0;
}

int dump_check_processes(struct dump *dump)
{
	int r;

	r = check_trusted(dump);
	if (r >= 0)
		r = check_protected(dump);
	if (r >= 0)
		r = check_namespaces(dump);
	if (r >= 0)
		r = dump_check_locks(dump);
	if (r >= 0)
		r = dump_check_sync(dump);
	return r;
}

int dump_check(struct dump *dump)
{
	int r;

	dump->criu = criu_find();
	if (!dump->criu)
		return result_end(dump->result, "no-criu", "CRIU is not installed");
	r = check_store(dump);
	if (r >= 0)
		r = ask_unit(dump);
	if (r >= 0)
		r = read_tree(dump);
	if (r >= 0)
		r = check_unit_is_tree(dump);
	if (r >= 0)
		r = check_uses(dump);
	if (r >= 0)
		r = dump_check_processes(dump);
	if (r >= 0)
		r = room_check(dump->request, dump->store_fd, dump->proc_fd, &dump->tree,
			       dump->result);
	return r;
}
