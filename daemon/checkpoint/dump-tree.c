/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What is put right by who comes after us, if we die (ExecStopPost=): nobody stays
 * stopped, and no checkpoint is kept of processes that go on.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "checkpoint/dump.h"
#include "step/checkpoint-store.h"

#define ASKED_US 1000000U /* for the service manager to have read what it was asked */
#define LOOK_MS 5

int dump_write_tree(const struct dump *dump, bool ending)
{
	struct dg_record_writer writer = DG_RECORD_WRITER_INIT;
	char name[CHECKPOINT_NAME_MAX];
	int r = 0;

	dg_record_field(&writer, "CGROUP", dump->ends_unit && dump->cgroup ? dump->cgroup : "");
	dg_record_field_u64(&writer, "ENDS_UNIT", dump->ends_unit);
	dg_record_field_u64(&writer, "ENDING", ending);
	r = dg_record_end(&writer);
	for (size_t i = 0; r >= 0 && i < dump->tree.n_items; i++) {
		/* It is gone already, and says nothing of the others. */
		if (dump->tree.items[i].zombie)
			continue;
		dg_record_field_u64(&writer, "PID", (uint64_t)dump->tree.items[i].pid);
		dg_record_field_u64(&writer, "START_NS", dump->tree.items[i].start_ns);
		dg_record_field_u64(&writer, "STOPPED", dump->tree.items[i].stopped);
		r = dg_record_end(&writer);
	}
	checkpoint_file(CHECKPOINT_DUMP, &dump->request->id, "tree", name);
	if (r >= 0)
		r = store_replace_file(dump->request->run_fd, name, writer.data, writer.n);
	dg_record_writer_done(&writer);
	return r;
}

struct left {
	int proc_fd;
	struct tree tree; /* who is still there, and all below them */
	bool known;
	bool gone;   /* somebody is */
	bool ending; /* they were to be killed, or are already */
	bool ends_unit;
	char *cgroup;
};

/* Also of whose parent is dead: he is somebody else's child now. */
static int add_with_descendants(struct left *left, pid_t pid)
{
	struct tree tree;
	int r;

	if (tree_find(&left->tree, pid))
		return 0;
	r = tree_read(left->proc_fd, pid, &tree);
	if (r < 0)
		return r;
	/* They are stopped by us, unless it is said. */
	for (size_t i = 0; i < tree.n_items; i++)
		tree.items[i].stopped = false;
	return tree_join(&left->tree, &tree);
}

static void read_process(struct left *left, const char *record, size_t n)
{
	uint64_t pid, start_ns;

	if (dg_record_get_u64(record, n, "PID", &pid) < 0 || pid > INT32_MAX ||
	    dg_record_get_u64(record, n, "START_NS", &start_ns) < 0)
		return;
	if (tree_check(left->proc_fd, (pid_t)pid, start_ns) < 0 ||
	    add_with_descendants(left, (pid_t)pid) == -ESRCH) {
		left->gone = true;
		return;
	}
	for (size_t i = 0; i < left->tree.n_items; i++)
		if (left->tree.items[i].pid == (pid_t)pid)
			left->tree.items[i].stopped = dg_record_is_set(record, n, "STOPPED");
}

static int read_left(const struct request *request, struct left *left)
{
	const char *cursor, *record, *cgroup;
	char name[CHECKPOINT_NAME_MAX], *text;
	size_t n, len;
	int r;

	checkpoint_file(CHECKPOINT_DUMP, &request->id, "tree", name);
	r = store_read_file(request->run_fd, name, &text, &n);
	if (r < 0)
		return r;
	cursor = text;
	record = dg_record_next(&cursor, text + n, &len);
	cgroup = record ? dg_record_get(record, len, "CGROUP") : NULL;
	left->cgroup = cgroup && cgroup[0] ? strdup(cgroup) : NULL;
	left->ends_unit = record && dg_record_is_set(record, len, "ENDS_UNIT");
	left->ending = record && dg_record_is_set(record, len, "ENDING");
	while ((record = dg_record_next(&cursor, text + n, &len)))
		read_process(left, record, len);
	free(text);
	(void)tree_open(&left->tree, left->proc_fd);
	return 0;
}

/*
 * What stops the unit ends them: not yet, if they are frozen, but there is no way back.
 * The dead one may have asked for it a moment ago, over a connection of its own: that
 * can be read behind ours.
 */
static bool unit_is_stopping(const struct request *request)
{
	uint64_t deadline_us = checkpoint_now_us() + ASKED_US;
	struct service_manager *manager;
	bool stopping;

	if (service_manager_open(request->address, &manager, NULL) < 0)
		return false;
	while (!(stopping = dump_unit_is_stopping(manager, request->unit)) &&
	       checkpoint_now_us() < deadline_us)
		(void)poll(NULL, 0, LOOK_MS);
	service_manager_free(manager);
	return stopping;
}

static bool is_over(const struct request *request, const struct left *left)
{
	return left->gone || left->ending || (left->ends_unit && unit_is_stopping(request));
}

/* It is whole, and they cannot all go on: so nobody does. */
static int finish(const struct request *request, int store_fd, const struct left *left,
		  struct result *result)
{
	struct dg_manifest manifest;
	int r;

	r = store_read_manifest(store_fd, &request->id, &manifest);
	if (r < 0)
		return r;
	tree_kill(&left->tree);
	result->bytes = manifest.bytes;
	result->dump_us = manifest.dump_us;
	snprintf(result->criu, sizeof(result->criu), "%s", manifest.criu);
	result_add_processes(result, &manifest);
	dg_manifest_done(&manifest);
	result->word = "ok";
	result->text[0] = '\0';
	return 0;
}

/* False: they are to go on. What there is of a checkpoint is none any more then; *ret_fd locks it.
 */
static bool finish_or_unname(const struct request *request, int store_fd, const struct left *left,
			     struct result *result, int *ret_fd)
{
	if (!store_has(store_fd, &request->id)) {
		(void)store_lock(store_fd, &request->id, true, ret_fd);
		return false;
	}
	/* Of whom nothing is known may be dead. */
	if (!left->known)
		return false;
	if (is_over(request, left) && finish(request, store_fd, left, result) >= 0)
		return true;
	if (!left->gone && store_lock(store_fd, &request->id, false, ret_fd) >= 0)
		(void)store_unname(store_fd, &request->id);
	return false;
}

static void put_right(const struct request *request, struct result *result)
{
	struct left left = {.proc_fd = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC)};
	int store_fd = -1, part_fd = -1;
	bool finished = false;

	left.known = read_left(request, &left) >= 0;
	if (store_open(request->dir, false, &store_fd) >= 0)
		finished = finish_or_unname(request, store_fd, &left, result, &part_fd);
	if (!finished)
		tree_continue(&left.tree);
	if (left.cgroup)
		dump_thaw(left.cgroup);
	if (finished)
		dump_wait_gone(&left.tree, result);
	/* It may be large: nobody waits for that, stopped. */
	if (part_fd >= 0) {
		(void)store_remove(store_fd, &request->id, true);
		close(part_fd);
	}
	if (store_fd >= 0)
		close(store_fd);
	tree_done(&left.tree);
	free(left.cgroup);
	close(left.proc_fd);
}

void dump_abandon(struct request *request, const char *why)
{
	bool late = checkpoint_now_us() > request->deadline_us;
	struct result result = {};
	char name[CHECKPOINT_NAME_MAX];

	checkpoint_file(CHECKPOINT_DUMP, &request->id, "result", name);
	if (faccessat(request->run_fd, name, F_OK, 0) < 0) {
		(void)result_end(&result, late ? "timeout" : "failed", "%s", why);
		put_right(request, &result);
		(void)result_write(&result, request);
	}
	checkpoint_file(CHECKPOINT_DUMP, &request->id, "tree", name);
	(void)unlinkat(request->run_fd, name, 0);
	checkpoint_file(CHECKPOINT_DUMP, &request->id, "request", name);
	(void)unlinkat(request->run_fd, name, 0);
	result_done(&result);
}
