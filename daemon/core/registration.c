/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "core/registration.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "core/piece.h"
#include "core/record.h"

#define HEX "0123456789abcdefABCDEF"
#define LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"

static bool is_of(const char *text, const char *characters)
{
	return text[strspn(text, characters)] == '\0';
}

bool dg_registration_name_is_valid(const char *name)
{
	return strlen(name) < DG_REGISTRATION_NAME_MAX && is_of(name, LETTERS "._@+-");
}

static int write_record(const struct dg_registration *r, struct dg_record_writer *w)
{
	dg_record_field_u64(w, "ID", r->id);
	dg_record_field_u64(w, "PID", (uint64_t)r->process.pid);
	dg_record_field_u64(w, "START", r->process.start_ns);
	dg_record_field_u64(w, "UID", r->uid);
	dg_record_field_u64(w, "SINCE", r->since_us);
	dg_record_field(w, "DEV", r->device);
	dg_record_field(w, "UUID", r->uuid);
	dg_record_field(w, "NAME", r->name);
	return dg_record_end(w);
}

int dg_registration_write(const struct dg_registration *registration,
			  char ret[static DG_REGISTRATION_TEXT_MAX])
{
	struct dg_record_writer w = DG_RECORD_WRITER_INIT;
	size_t n = strlen(DG_REGISTRATION_PREFIX);
	int r = 0;

	if (!is_of(registration->device, LETTERS "._@+-") || !is_of(registration->uuid, HEX "-") ||
	    !dg_registration_name_is_valid(registration->name))
		return -EINVAL;
	r = write_record(registration, &w);
	/* Its last field and the record end with a NUL each. */
	if (r >= 0 && n + w.n - 1 > DG_REGISTRATION_TEXT_MAX)
		r = -E2BIG;
	if (r >= 0) {
		for (size_t i = 0; i + 2 < w.n; i++)
			if (w.data[i] == '\0')
				w.data[i] = ',';
		snprintf(ret, DG_REGISTRATION_TEXT_MAX, "%s%s", DG_REGISTRATION_PREFIX, w.data);
	}
	dg_record_writer_done(&w);
	return r;
}

/* -EINVAL: it is not there, or does not fit. */
static int read_text(const char *record, size_t n, const char *key, char *ret, size_t size)
{
	const char *value = dg_record_get(record, n, key);

	if (!value || strlen(value) >= size)
		return -EINVAL;
	memcpy(ret, value, strlen(value) + 1);
	return 0;
}

static int read_number(const char *record, size_t n, const char *key, uint64_t max, uint64_t *ret)
{
	return dg_record_get_u64(record, n, key, ret) < 0 || *ret > max ? -EINVAL : 0;
}

static int read_record(const char *record, size_t n, struct dg_registration *ret)
{
	struct dg_registration r = {};
	uint64_t pid, uid;

	if (read_number(record, n, "ID", UINT64_MAX, &r.id) < 0 ||
	    read_number(record, n, "PID", INT32_MAX, &pid) < 0 ||
	    read_number(record, n, "START", UINT64_MAX, &r.process.start_ns) < 0 ||
	    read_number(record, n, "UID", UINT32_MAX, &uid) < 0 ||
	    read_number(record, n, "SINCE", UINT64_MAX, &r.since_us) < 0 ||
	    read_text(record, n, "DEV", r.device, sizeof(r.device)) < 0 ||
	    read_text(record, n, "UUID", r.uuid, sizeof(r.uuid)) < 0 ||
	    read_text(record, n, "NAME", r.name, sizeof(r.name)) < 0)
		return -EINVAL;
	if (pid == 0 || !*r.device)
		return -EINVAL;
	r.process.pid = (pid_t)pid;
	r.uid = (uid_t)uid;
	*ret = r;
	return 0;
}

int dg_registration_read(const char *text, struct dg_registration *ret)
{
	size_t n;
	char record[DG_REGISTRATION_TEXT_MAX];

	if (!dg_piece_starts(dg_piece(text), DG_REGISTRATION_PREFIX) ||
	    strlen(text) >= sizeof(record))
		return -EINVAL;
	text += strlen(DG_REGISTRATION_PREFIX);
	n = strlen(text) + 1;
	memcpy(record, text, n);
	for (size_t i = 0; i < n; i++)
		if (record[i] == ',')
			record[i] = '\0';
	return read_record(record, n, ret);
}

static char lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c + 'a' - 'A') : c;
}

static bool is_target(const struct dg_registration *r, const struct dg_target *target)
{
	char uuid[DG_BOOT_ID_LEN];

	if (!*r->uuid || !target->has_uuid)
		return strcmp(r->device, target->name) == 0;
	/* A name may be another's by now. */
	dg_uuid_text(target->uuid, uuid);
	for (size_t i = 0; i < sizeof(uuid); i++)
		if (lower(r->uuid[i]) != uuid[i])
			return false;
	return true;
}

bool dg_registration_concerns(const struct dg_registration *registration,
			      const struct dg_request *request)
{
	for (size_t i = 0; i < request->n_targets; i++)
		if (is_target(registration, &request->targets[i]))
			return true;
	return false;
}
