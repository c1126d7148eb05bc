/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "checkpoint/request.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/grow.h"
#include "names.h"
#include "step/checkpoint-store.h"

static int add_pid(pid_t **pids, size_t *n, const char *text)
{
	char *end;
	unsigned long pid = strtoul(text, &end, 10);

	if (*end || pid == 0 || pid > INT32_MAX)
		return -EBADMSG;
	if (DG_GROW(*pids, *n) < 0)
		return -ENOMEM;
	(*pids)[(*n)++] = (pid_t)pid;
	return 0;
}

static int add_guarded(struct request *request, const char *text)
{
	dg_dev_t dev;

	if (dg_dev_parse(text, &dev) < 0)
		return -EBADMSG;
	if (DG_GROW(request->guarded, request->n_guarded) < 0)
		return -ENOMEM;
	request->guarded[request->n_guarded++] = dev;
	return 0;
}

/* What repeats. */
static int read_lists(const char *record, size_t n, struct request *request)
{
	int r = 0;

	for (const char *field = record; r >= 0 && field < record + n; field += strlen(field) + 1) {
		if (strncmp(field, "HOLDER=", 7) == 0)
			r = add_pid(&request->holders, &request->n_holders, field + 7);
		else if (strncmp(field, "PROTECTED=", 10) == 0)
			r = add_pid(&request->protected, &request->n_protected, field + 10);
		else if (strncmp(field, "GUARDED=", 8) == 0)
			r = add_guarded(request, field + 8);
	}
	return r;
}

static int read_dump(const char *record, size_t n, struct request *request)
{
	const char *scope = dg_record_get(record, n, "SCOPE");
	uint64_t pid, uid, incident;

	request->comm = dg_record_get(record, n, "COMM");
	request->unit = dg_record_get(record, n, "UNIT");
	request->rule = dg_record_get(record, n, "RULE") ?: "";
	request->trusted = dg_record_is_set(record, n, "TRUSTED");
	request->restore = dg_record_is_set(record, n, "RESTORE");
	request->scope = scope && strcmp(scope, dg_scope_name(DG_SCOPE_UNIT)) == 0
				 ? DG_SCOPE_UNIT
				 : DG_SCOPE_PROCESS;
	(void)dg_record_get_u64(record, n, "MAX_BYTES", &request->max_bytes);
	(void)dg_record_get_u64(record, n, "KEEP_FREE", &request->keep_free);
	if (!request->comm || !scope || strcmp(scope, dg_scope_name(request->scope)) != 0 ||
	    (request->scope == DG_SCOPE_UNIT && !request->unit) ||
	    dg_record_get_u64(record, n, "PID", &pid) < 0 || pid != (uint64_t)request->id.pid ||
	    dg_record_get_u64(record, n, "START_NS", &request->start_ns) < 0 ||
	    dg_record_get_u64(record, n, "UID", &uid) < 0 || uid > UINT32_MAX ||
	    dg_record_get_u64(record, n, "INCIDENT", &incident) < 0 ||
	    incident != request->id.incident)
		return -EBADMSG;
	request->uid = (uint32_t)uid;
	return read_lists(record, n, request);
}

static int read_head(const char *record, size_t n, struct request *request)
{
	const char *id = dg_record_get(record, n, "ID");
	uint64_t timeout_ms;

	request->address = dg_record_get(record, n, "ADDRESS");
	request->dir = dg_record_get(record, n, "DIR");
	if (!id || dg_checkpoint_id_parse(id, &request->id) < 0 || !request->address ||
	    !request->dir || request->dir[0] != '/' ||
	    dg_record_get_u64(record, n, "TIMEOUT_MSEC", &timeout_ms) < 0 ||
	    timeout_ms > UINT32_MAX)
		return -EBADMSG;
	dg_checkpoint_id_format(&request->id, request->id_text);
	/* A request that no step has written. */
	if (request->deadline_us == 0)
		request->deadline_us = checkpoint_now_us() + timeout_ms * 1000;
	request->force = dg_record_is_set(record, n, "FORCE");
	request->journal = dg_record_get(record, n, "JOURNAL") ?: DG_JOURNAL_STREAMS;
	return request->run == CHECKPOINT_DUMP ? read_dump(record, n, request) : 0;
}

static int read_records(const char *text, size_t n, struct request *request)
{
	const char *cursor = text, *end = text + n, *record;
	bool head = false;
	size_t len;
	int r = 0;

	while (r >= 0 && (record = dg_record_next(&cursor, end, &len))) {
		struct dg_manifest_mount mount;

		if (!head && dg_record_get(record, len, "DEADLINE_USEC")) {
			(void)dg_record_get_u64(record, len, "DEADLINE_USEC",
						&request->deadline_us);
		} else if (!head) {
			head = true;
			r = read_head(record, len, request);
		} else {
			r = dg_manifest_read_mount(record, len, &mount);
			if (r >= 0 && DG_GROW(request->mounts, request->n_mounts) < 0)
				r = -ENOMEM;
			if (r >= 0)
				request->mounts[request->n_mounts++] = mount;
		}
	}
	return r >= 0 && (!head || cursor != end) ? -EBADMSG : r;
}

static int open_run(const char *path, const char *name, int *ret_fd)
{
	char *dir = strndup(path, (size_t)(name - path));
	int fd;

	if (!dir)
		return -ENOMEM;
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	free(dir);
	if (fd < 0)
		return -errno;
	*ret_fd = fd;
	return 0;
}

int request_read(enum checkpoint_run run, const char *path, struct request *ret)
{
	struct request request = {.run = run, .run_fd = -1};
	const char *name;
	size_t n;
	int r;

	if (path[0] != '/')
		return -EINVAL;
	name = strrchr(path, '/') + 1;
	r = open_run(path, name, &request.run_fd);
	if (r >= 0)
		r = store_read_file(request.run_fd, name, &request.text, &n);
	if (r >= 0)
		r = read_records(request.text, n, &request);
	if (r < 0)
		request_done(&request);
	else
		*ret = request;
	return r;
}

void request_done(struct request *request)
{
	if (request->run_fd >= 0)
		close(request->run_fd);
	free(request->restored_unit);
	free(request->holders);
	free(request->protected);
	free(request->guarded);
	free(request->mounts);
	free(request->text);
	*request = (struct request){.run_fd = -1};
}
