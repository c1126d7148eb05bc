/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "core/settings.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#define USEC_PER_MSEC 1000ULL
#define USEC_PER_SEC 1000000ULL
#define USEC_PER_DAY (86400 * USEC_PER_SEC)
#define MIB (1ULL << 20)
#define BYTES_MAX (1ULL << 50)

enum kind { KIND_TIME, KIND_COUNT, KIND_BYTES };

/* Every key there is. Bounds are what the rest of the daemon can live with. */
static const struct key {
	const char *name;
	size_t offset;
	enum kind kind;
	uint64_t low, high, standard;
} keys[] = {
	/* The module's cap of a hold is 60 s; half of it must be left for graces. */
	{"ReserveSec", offsetof(struct dg_settings, reserve_us), KIND_TIME, USEC_PER_SEC,
	 30 * USEC_PER_SEC, 6 * USEC_PER_SEC},
	{"StepTimeoutSec", offsetof(struct dg_settings, step_timeout_us), KIND_TIME,
	 100 * USEC_PER_MSEC, 60 * USEC_PER_SEC, 10 * USEC_PER_SEC},
	{"HoldersLogMax", offsetof(struct dg_settings, holders_log_max), KIND_COUNT, 0, 1000, 64},
	{"CheckpointMaxBytes", offsetof(struct dg_settings, checkpoint_max_bytes), KIND_BYTES, 0,
	 BYTES_MAX, 4096 * MIB},
	{"CheckpointKeepFree", offsetof(struct dg_settings, checkpoint_keep_free), KIND_BYTES, 0,
	 BYTES_MAX, 256 * MIB},
	{"CheckpointMaxAgeSec", offsetof(struct dg_settings, checkpoint_max_age_us), KIND_TIME, 0,
	 3650 * USEC_PER_DAY, 30 * USEC_PER_DAY},
	{"RestoreWaitSec", offsetof(struct dg_settings, restore_wait_us), KIND_TIME, USEC_PER_SEC,
	 3600 * USEC_PER_SEC, 300 * USEC_PER_SEC},
	{"IncidentsMax", offsetof(struct dg_settings, incidents_max), KIND_COUNT, 1, 4096, 256},
	{"RegistrationsPerUser", offsetof(struct dg_settings, registrations_user_max), KIND_COUNT,
	 0, 192, 16},
};
#define N_KEYS (sizeof(keys) / sizeof(*keys))

struct parser {
	struct dg_settings settings;
	struct dg_ini ini;
	struct dg_text_error error;
	bool in_section;
};

static uint64_t *field(struct dg_settings *settings, const struct key *key)
{
	return (uint64_t *)((char *)settings + key->offset);
}

void dg_settings_default(struct dg_settings *settings)
{
	for (size_t i = 0; i < N_KEYS; i++)
		*field(settings, &keys[i]) = keys[i].standard;
}

static int parse_number(struct parser *p, struct dg_piece value, uint64_t *ret)
{
	struct dg_piece rest;
	char text[DG_SHOWN_MAX];
	int r = dg_piece_number(value, ret, &rest);

	if (r < 0)
		return dg_ini_error(&p->ini, value.text, &p->error,
				    r == -ERANGE ? "number is too large"
						 : "a number is expected here");
	rest = dg_piece_strip(rest);
	if (rest.n > 0)
		return dg_ini_error(&p->ini, rest.text, &p->error, "\"%s\" after the number",
				    dg_piece_shown(rest, text));
	return 0;
}

/* "512M" */
static int parse_bytes(struct parser *p, struct dg_piece value, uint64_t *ret)
{
	static const char units[] = "KMGT";
	struct dg_piece rest;
	const char *unit;

	if (dg_piece_number(value, ret, &rest) < 0 || rest.n == 0)
		return parse_number(p, value, ret);
	rest = dg_piece_strip(rest);
	unit = rest.n == 1 ? strchr(units, rest.text[0]) : NULL;
	if (!unit)
		return dg_ini_error(&p->ini, rest.text, &p->error,
				    "not a unit of bytes: K, M, G or T");
	for (const char *at = units; at <= unit; at++) {
		if (*ret > UINT64_MAX / 1024)
			return dg_ini_error(&p->ini, value.text, &p->error, "number is too large");
		*ret *= 1024;
	}
	return 0;
}

static int parse_time(struct parser *p, struct dg_piece value, uint64_t *ret)
{
	const char *at = value.text, *why = dg_piece_time(value, ret, &at);

	return why ? dg_ini_error(&p->ini, at, &p->error, "%s", why) : 0;
}

static int parse_value(struct parser *p, const struct key *key, struct dg_piece value)
{
	bool time = key->kind == KIND_TIME;
	uint64_t number = 0, scale = time ? USEC_PER_MSEC : 1;
	int r;

	if (time)
		r = parse_time(p, value, &number);
	else if (key->kind == KIND_BYTES)
		r = parse_bytes(p, value, &number);
	else
		r = parse_number(p, value, &number);
	if (r < 0)
		return r;
	if (number < key->low || number > key->high)
		return dg_ini_error(&p->ini, value.text, &p->error,
				    "%s= must be from %llu to %llu%s", key->name,
				    (unsigned long long)(key->low / scale),
				    (unsigned long long)(key->high / scale), time ? " ms" : "");
	*field(&p->settings, key) = number;
	return 0;
}

static int parse_assignment(struct parser *p, struct dg_piece name, struct dg_piece value)
{
	char text[DG_SHOWN_MAX];

	if (!p->in_section)
		return dg_ini_error(&p->ini, name.text, &p->error,
				    "\"%s\" stands before any [Section]",
				    dg_piece_shown(name, text));
	for (size_t i = 0; i < N_KEYS; i++) {
		if (!dg_piece_equals(name, keys[i].name))
			continue;
		if (value.n > 0)
			return parse_value(p, &keys[i], value);
		*field(&p->settings, &keys[i]) = keys[i].standard;
		return 0;
	}
	return dg_ini_error(&p->ini, name.text, &p->error, "unknown key \"%s\" in [Daemon]",
			    dg_piece_shown(name, text));
}

static int parse_section(struct parser *p, struct dg_piece name)
{
	char text[DG_SHOWN_MAX];

	if (!dg_piece_equals(name, "Daemon"))
		return dg_ini_error(&p->ini, name.text - 1, &p->error, "unknown section [%s]",
				    dg_piece_shown(name, text));
	p->in_section = true;
	return 0;
}

int dg_settings_parse(const char *text, size_t n_text, struct dg_settings *settings,
		      struct dg_text_error *ret_error)
{
	struct parser p = {.settings = *settings};
	struct dg_ini_line line;
	int r;

	dg_ini_init(&p.ini, text, n_text);
	while ((r = dg_ini_next(&p.ini, &line, &p.error)) > 0) {
		if (line.section.text)
			r = parse_section(&p, line.section);
		else
			r = parse_assignment(&p, line.key, line.value);
		if (r < 0)
			break;
	}
	if (r < 0) {
		*ret_error = p.error;
		return r;
	}
	*settings = p.settings;
	return 0;
}
