/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What is put right by who comes after us, if we die (ExecStopPost=): nobody stays
 * stopped, and no checkpoint is kept of processes that go on.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "checkpoint/dump.h"
#include "step/checkpoint-store.h"

int dump_write_tree(const struct dump *dump)
{
	struct dg_record_writer writer = DG_RECORD_WRITER_INIT;
	char name[CHECKPOINT_NAME_MAX];
	int r = 0;

	dg_record_field(&writer, "CGROUP", dump->ends_unit && dump->cgroup ? dump->cgroup : "");
	r = dg_record_end(&writer);
	for (size_t i = 0; r >= 0 && i < dump->tree.n_items; i++) {
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
	struct tree tree; /* who is still there, and below the root */
	bool all;         /* nobody is gone */
	char *cgroup;
};

static void mark_stopped(struct left *left, pid_t pid, const char *record, size_t n)
{
	uint64_t stopped = 0;

	(void)dg_record_get_u64(record, n, "STOPPED", &stopped);
	for (size_t i = 0; i < left->tree.n_items; i++)
		if (left->tree.items[i].pid == pid)
			left->tree.items[i].stopped = stopped != 0;
}

static void read_process(struct left *left, const char *record, size_t n)
{
	uint64_t pid, start_ns;

	if (dg_record_get_u64(record, n, "PID", &pid) < 0 || pid > INT32_MAX ||
	    dg_record_get_u64(record, n, "START_NS", &start_ns) < 0)
		return;
	if (tree_check(left->proc_fd, (pid_t)pid, start_ns) < 0) {
		left->all = false;
		return;
	}
	if (left->tree.n_items == 0) {
		if (tree_read(left->proc_fd, (pid_t)pid, &left->tree) < 0)
			return;
		/* They are stopped by us, unless it is said below. */
		for (size_t i = 0; i < left->tree.n_items; i++)
			left->tree.items[i].stopped = false;
	}
	mark_stopped(left, (pid_t)pid, record, n);
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
	left->all = true;
	while ((record = dg_record_next(&cursor, text + n, &len)))
		read_process(left, record, len);
	free(text);
	return tree_open(&left->tree, left->proc_fd);
}

static void remove_checkpoint(int store_fd, const struct dg_checkpoint_id *id, bool part)
{
	int fd;

	if (store_lock(store_fd, id, part, &fd) < 0)
		return;
	(void)store_remove(store_fd, id, part);
	close(fd);
}

/* It was whole, and at least one of them is dead: the others have to be, too. */
static void finish(const struct request *request, int store_fd, const struct left *left,
		   struct result *result)
{
	struct dg_manifest manifest;

	tree_kill(&left->tree);
	if (store_read_manifest(store_fd, &request->id, &manifest) < 0)
		return;
	result->bytes = manifest.bytes;
	result->dump_us = manifest.dump_us;
	strncpy(result->criu, manifest.criu, sizeof(result->criu) - 1);
	dg_manifest_done(&manifest);
	result->word = "ok";
	result->text[0] = '\0';
}

static void put_right(const struct request *request, struct result *result)
{
	struct left left = {.proc_fd = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC)};
	bool known = read_left(request, &left) >= 0;
	int store_fd;

	if (store_open(request->dir, false, &store_fd) >= 0) {
		bool whole = store_has(store_fd, &request->id);

		if (known && whole && !left.all)
			finish(request, store_fd, &left, result);
		else if (whole)
			remove_checkpoint(store_fd, &request->id, false);
		remove_checkpoint(store_fd, &request->id, true);
		close(store_fd);
	}
	if (known && strcmp(result->word, "ok") != 0)
		tree_continue(&left.tree);
	if (known && left.cgroup)
		dump_thaw(left.cgroup);
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
