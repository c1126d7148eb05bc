/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "core/manifest.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/crc32c.h"
#include "core/grow.h"

#define VERSION 1

struct record {
	const char *text;
	size_t n;
};

/* Decimal, as it is written and no other way: an ID is compared as text. */
static int take_number(const char **text, uint64_t max, uint64_t *ret)
{
	const char *p = *text;
	uint64_t value = 0;

	if (*p < '1' || *p > '9')
		return -EINVAL;
	for (; *p >= '0' && *p <= '9'; p++) {
		uint64_t digit = (uint64_t)(*p - '0');

		if (value > (max - digit) / 10)
			return -EINVAL;
		value = value * 10 + digit;
	}
	*text = p;
	*ret = value;
	return 0;
}

int dg_checkpoint_id_parse(const char *text, struct dg_checkpoint_id *ret)
{
	struct dg_checkpoint_id id = {};
	uint64_t pid;

	if (strspn(text, "0123456789abcdef") != sizeof(id.boot) - 1)
		return -EINVAL;
	memcpy(id.boot, text, sizeof(id.boot) - 1);
	text += sizeof(id.boot) - 1;
	if (*text++ != '-' || take_number(&text, UINT64_MAX, &id.incident) < 0)
		return -EINVAL;
	if (*text++ != '-' || take_number(&text, INT32_MAX, &pid) < 0 || *text)
		return -EINVAL;
	id.pid = (pid_t)pid;
	*ret = id;
	return 0;
}

void dg_checkpoint_id_format(const struct dg_checkpoint_id *id,
			     char text[static DG_CHECKPOINT_ID_MAX])
{
	snprintf(text, DG_CHECKPOINT_ID_MAX, "%.8s-%" PRIu64 "-%d", id->boot, id->incident,
		 id->pid);
}

static const char *get(struct record record, const char *key)
{
	return dg_record_get(record.text, record.n, key);
}

static bool take_u64(struct record record, const char *key, uint64_t max, uint64_t *ret)
{
	uint64_t value;

	if (dg_record_get_u64(record.text, record.n, key, &value) < 0 || value > max)
		return false;
	*ret = value;
	return true;
}

static bool take_pid(struct record record, const char *key, pid_t *ret)
{
	uint64_t pid;

	if (!take_u64(record, key, INT32_MAX, &pid))
		return false;
	*ret = (pid_t)pid;
	return true;
}

static bool take_text(struct record record, const char *key, const char **ret)
{
	const char *text = get(record, key);

	if (text)
		*ret = text;
	return text;
}

static bool is_set(struct record record, const char *key)
{
	return dg_record_is_set(record.text, record.n, key);
}

static bool take_scope(struct record record, enum dg_scope *ret)
{
	const char *name = get(record, "SCOPE");

	for (unsigned scope = 0; name && scope < _DG_SCOPE_MAX; scope++)
		if (strcmp(name, dg_scope_name(scope)) == 0) {
			*ret = scope;
			return true;
		}
	return false;
}

/* The directory and the units are named by it: it has to be its own. */
static bool id_is_of(const struct dg_manifest *m)
{
	struct dg_checkpoint_id id;

	return dg_checkpoint_id_parse(m->id, &id) >= 0 && id.incident == m->incident &&
	       strncmp(id.boot, m->boot_id, strlen(id.boot)) == 0;
}

/* The root is first, and whom it was asked for is among them. */
static bool has_tree(const struct dg_manifest *m)
{
	struct dg_checkpoint_id id;

	if (dg_checkpoint_id_parse(m->id, &id) < 0 || m->n_processes == 0 ||
	    m->processes[0].pid != m->pid)
		return false;
	for (size_t i = 0; i < m->n_processes; i++)
		if (m->processes[i].pid == id.pid)
			return true;
	return false;
}

static int read_head(struct record record, struct dg_manifest *m)
{
	uint64_t version, uid;

	if (!take_u64(record, "VERSION", UINT64_MAX, &version))
		return -EBADMSG;
	if (version != VERSION)
		return -EPROTONOSUPPORT;
	if (!take_text(record, "ID", &m->id) || !take_text(record, "BOOT_ID", &m->boot_id) ||
	    !take_text(record, "COMM", &m->comm) || !take_text(record, "CGROUP", &m->cgroup) ||
	    !take_text(record, "RULE", &m->rule) || !take_text(record, "CRIU", &m->criu) ||
	    !take_u64(record, "INCIDENT", UINT64_MAX, &m->incident) ||
	    !take_u64(record, "TIME_USEC", UINT64_MAX, &m->time_us) ||
	    !take_u64(record, "START_NS", UINT64_MAX, &m->start_ns) ||
	    !take_u64(record, "BYTES", UINT64_MAX, &m->bytes) ||
	    !take_u64(record, "DUMP_USEC", UINT64_MAX, &m->dump_us) ||
	    !take_u64(record, "UID", UINT32_MAX, &uid) || !take_pid(record, "PID", &m->pid) ||
	    !take_scope(record, &m->scope))
		return -EBADMSG;
	m->uid = (uint32_t)uid;
	(void)take_text(record, "UNIT", &m->unit);
	m->restore = is_set(record, "RESTORE");
	m->shell_job = is_set(record, "SHELL_JOB");
	(void)take_u64(record, "JOURNAL", UINT64_MAX, &m->journal);
	return id_is_of(m) ? 0 : -EBADMSG;
}

static int read_process(struct record record, struct dg_manifest *m)
{
	struct dg_manifest_process process = {.stopped = is_set(record, "STOPPED")};

	if (!take_pid(record, "PROCESS", &process.pid) || process.pid == 0 ||
	    !take_pid(record, "PPID", &process.ppid) ||
	    !take_u64(record, "START_NS", UINT64_MAX, &process.start_ns) ||
	    !take_text(record, "COMM", &process.comm))
		return -EBADMSG;
	if (DG_GROW(m->processes, m->n_processes) < 0)
		return -ENOMEM;
	m->processes[m->n_processes++] = process;
	return 0;
}

int dg_manifest_read_mount(const char *text, size_t n, struct dg_manifest_mount *ret)
{
	struct record record = {text, n};
	struct dg_manifest_mount mount;

	if (!take_text(record, "MOUNT", &mount.path) || !take_text(record, "TYPE", &mount.type) ||
	    !take_text(record, "DEVICE", &mount.device) ||
	    !take_text(record, "NS_UUID", &mount.ns_uuid) ||
	    dg_record_get_dev(text, n, "FS_DEV", &mount.fs_dev) < 0)
		return -EBADMSG;
	*ret = mount;
	return 0;
}

static int read_mount(struct record record, struct dg_manifest *m)
{
	struct dg_manifest_mount mount;
	int r;

	r = dg_manifest_read_mount(record.text, record.n, &mount);
	if (r < 0)
		return r;
	if (DG_GROW(m->mounts, m->n_mounts) < 0)
		return -ENOMEM;
	m->mounts[m->n_mounts++] = mount;
	return 0;
}

static int read_file(struct record record, struct dg_manifest *m)
{
	struct dg_manifest_file file = {.sync = is_set(record, "SYNC")};

	if (!take_text(record, "FILE", &file.path) ||
	    !take_u64(record, "INO", UINT64_MAX, &file.ino) ||
	    !take_u64(record, "SIZE", UINT64_MAX, &file.size) ||
	    !take_u64(record, "MTIME_NS", UINT64_MAX, &file.mtime_ns) ||
	    dg_record_get_dev(record.text, record.n, "FS_DEV", &file.fs_dev) < 0)
		return -EBADMSG;
	if (DG_GROW(m->files, m->n_files) < 0)
		return -ENOMEM;
	m->files[m->n_files++] = file;
	return 0;
}

static int read_rest(struct record record, struct dg_manifest *m)
{
	if (get(record, "PROCESS"))
		return read_process(record, m);
	if (get(record, "MOUNT"))
		return read_mount(record, m);
	return get(record, "FILE") ? read_file(record, m) : 0;
}

/* Where the last record begins, if it says that all before it is as it was written. */
static const char *find_end(const char *text, size_t n)
{
	const char *cursor = text, *end = text + n, *record, *last = NULL, *sum = NULL;
	size_t len, n_last = 0;
	char expected[16];

	while ((record = dg_record_next(&cursor, end, &len))) {
		last = record;
		n_last = len;
	}
	if (!last || cursor != end || strcmp(last, "END=ok") != 0)
		return NULL;
	sum = dg_record_get(last, n_last, "CRC");
	snprintf(expected, sizeof(expected), "%08" PRIx32, dg_crc32c(text, (size_t)(last - text)));
	return sum && strcmp(sum, expected) == 0 ? last : NULL;
}

static int read_records(const char *text, const char *end, struct dg_manifest *m)
{
	const char *cursor = text, *record;
	bool first = true;
	size_t len;
	int r = 0;

	while (r >= 0 && (record = dg_record_next(&cursor, end, &len))) {
		r = first ? read_head((struct record){record, len}, m)
			  : read_rest((struct record){record, len}, m);
		first = false;
	}
	if (r >= 0 && (first || !has_tree(m)))
		r = -EBADMSG;
	return r;
}

int dg_manifest_read(const char *text, size_t n, struct dg_manifest *ret)
{
	struct dg_manifest m = {};
	const char *end;
	char *copy;
	int r;

	end = find_end(text, n);
	if (!end)
		return -EBADMSG;
	copy = malloc(n);
	if (!copy)
		return -ENOMEM;
	memcpy(copy, text, n);
	r = read_records(copy, copy + (end - text), &m);
	m.text = copy;
	if (r < 0)
		dg_manifest_done(&m);
	else
		*ret = m;
	return r;
}

void dg_manifest_done(struct dg_manifest *manifest)
{
	free(manifest->processes);
	free(manifest->mounts);
	free(manifest->files);
	free(manifest->text);
	*manifest = (struct dg_manifest){};
}

void dg_manifest_write_head(const struct dg_manifest *m, struct dg_record_writer *writer)
{
	dg_record_field_u64(writer, "VERSION", VERSION);
	dg_record_field(writer, "ID", m->id);
	dg_record_field_u64(writer, "INCIDENT", m->incident);
	dg_record_field(writer, "BOOT_ID", m->boot_id);
	dg_record_field_u64(writer, "TIME_USEC", m->time_us);
	dg_record_field_u64(writer, "PID", (uint64_t)m->pid);
	dg_record_field_u64(writer, "START_NS", m->start_ns);
	dg_record_field(writer, "COMM", m->comm);
	dg_record_field_u64(writer, "UID", m->uid);
	if (m->unit)
		dg_record_field(writer, "UNIT", m->unit);
	dg_record_field(writer, "CGROUP", m->cgroup);
	dg_record_field(writer, "SCOPE", dg_scope_name(m->scope));
	dg_record_field(writer, "RULE", m->rule);
	dg_record_field_u64(writer, "RESTORE", m->restore);
	dg_record_field_u64(writer, "BYTES", m->bytes);
	dg_record_field_u64(writer, "DUMP_USEC", m->dump_us);
	dg_record_field(writer, "CRIU", m->criu);
	dg_record_field_u64(writer, "SHELL_JOB", m->shell_job);
	if (m->journal > 0)
		dg_record_field_u64(writer, "JOURNAL", m->journal);
}

static void write_process(const struct dg_manifest_process *process,
			  struct dg_record_writer *writer)
{
	dg_record_field_u64(writer, "PROCESS", (uint64_t)process->pid);
	dg_record_field_u64(writer, "PPID", (uint64_t)process->ppid);
	dg_record_field_u64(writer, "START_NS", process->start_ns);
	dg_record_field(writer, "COMM", process->comm);
	dg_record_field_u64(writer, "STOPPED", process->stopped);
}

void dg_manifest_write_mount(const struct dg_manifest_mount *mount, struct dg_record_writer *writer)
{
	dg_record_field(writer, "MOUNT", mount->path);
	dg_record_field(writer, "TYPE", mount->type);
	dg_record_field(writer, "DEVICE", mount->device);
	dg_record_field(writer, "NS_UUID", mount->ns_uuid);
	dg_record_field_dev(writer, "FS_DEV", mount->fs_dev);
}

static void write_file(const struct dg_manifest_file *file, struct dg_record_writer *writer)
{
	dg_record_field(writer, "FILE", file->path);
	dg_record_field_u64(writer, "INO", file->ino);
	dg_record_field_u64(writer, "SIZE", file->size);
	dg_record_field_u64(writer, "MTIME_NS", file->mtime_ns);
	dg_record_field_dev(writer, "FS_DEV", file->fs_dev);
	dg_record_field_u64(writer, "SYNC", file->sync);
}

static int write_records(const struct dg_manifest *m, struct dg_record_writer *writer)
{
	int r;

	dg_manifest_write_head(m, writer);
	r = dg_record_end(writer);
	for (size_t i = 0; r >= 0 && i < m->n_processes; i++) {
		write_process(&m->processes[i], writer);
		r = dg_record_end(writer);
	}
	for (size_t i = 0; r >= 0 && i < m->n_mounts; i++) {
		dg_manifest_write_mount(&m->mounts[i], writer);
		r = dg_record_end(writer);
	}
	for (size_t i = 0; r >= 0 && i < m->n_files; i++) {
		write_file(&m->files[i], writer);
		r = dg_record_end(writer);
	}
	return r;
}

int dg_manifest_write(const struct dg_manifest *m, struct dg_record_writer *writer)
{
	char sum[16];
	int r;

	/* What could not be read again is not written. */
	if (writer->n > 0 || !id_is_of(m) || !has_tree(m))
		return -EINVAL;
	r = write_records(m, writer);
	if (r < 0)
		return r;
	snprintf(sum, sizeof(sum), "%08" PRIx32, dg_crc32c(writer->data, writer->n));
	dg_record_field(writer, "END", "ok");
	dg_record_field(writer, "CRC", sum);
	return dg_record_end(writer);
}
