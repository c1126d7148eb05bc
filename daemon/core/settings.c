/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "core/settings.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define USEC_PER_MSEC 1000ULL
#define USEC_PER_SEC 1000000ULL

enum kind { KIND_TIME, KIND_COUNT };

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
	{"IncidentsMax", offsetof(struct dg_settings, incidents_max), KIND_COUNT, 1, 4096, 256},
};
#define N_KEYS (sizeof(keys) / sizeof(*keys))

static const struct {
	const char *name;
	uint64_t us;
} units[] = {
	{"", USEC_PER_SEC},
	{"s", USEC_PER_SEC},
	{"ms", USEC_PER_MSEC},
	{"min", 60 * USEC_PER_SEC},
};

/* A piece of the text; not ended by NUL. */
struct piece {
	const char *text;
	size_t n;
};

struct parser {
	struct dg_settings settings;
	struct dg_settings_error *error;
	const char *line_start;
	unsigned line;
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

__attribute__((format(printf, 3, 4))) static int fail(struct parser *p, const char *at,
						      const char *format, ...)
{
	va_list args;

	p->error->line = p->line;
	p->error->column = (unsigned)(at - p->line_start) + 1;
	va_start(args, format);
	vsnprintf(p->error->reason, sizeof(p->error->reason), format, args);
	va_end(args);
	return -EINVAL;
}

static bool is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

static struct piece strip(struct piece piece)
{
	while (piece.n > 0 && is_space(piece.text[0])) {
		piece.text++;
		piece.n--;
	}
	while (piece.n > 0 && is_space(piece.text[piece.n - 1]))
		piece.n--;
	return piece;
}

static bool equals(struct piece piece, const char *text)
{
	return strlen(text) == piece.n && memcmp(piece.text, text, piece.n) == 0;
}

/* Values and keys are shown in errors: short, and as text. */
static const char *shown(struct piece piece, char buffer[static 40])
{
	size_t n = piece.n < 36 ? piece.n : 36;

	for (size_t i = 0; i < n; i++)
		buffer[i] = piece.text[i] >= ' ' && piece.text[i] < 0x7f ? piece.text[i] : '?';
	memcpy(buffer + n, n < piece.n ? "..." : "", n < piece.n ? 4 : 1);
	return buffer;
}

static int parse_number(struct parser *p, struct piece value, uint64_t *ret, struct piece *ret_rest)
{
	uint64_t number = 0;
	size_t i = 0;

	for (; i < value.n && value.text[i] >= '0' && value.text[i] <= '9'; i++) {
		if (number > UINT32_MAX)
			return fail(p, value.text, "number is too large");
		number = number * 10 + (uint64_t)(value.text[i] - '0');
	}
	if (i == 0)
		return fail(p, value.text, "a number is expected here");
	*ret = number;
	*ret_rest = strip((struct piece){value.text + i, value.n - i});
	return 0;
}

static int parse_value(struct parser *p, const struct key *key, struct piece value)
{
	struct piece unit = value;
	uint64_t number = 0;
	char text[40];
	size_t i = 0;
	int r;

	r = parse_number(p, value, &number, &unit);
	if (r < 0)
		return r;
	if (key->kind == KIND_TIME) {
		while (i < sizeof(units) / sizeof(*units) && !equals(unit, units[i].name))
			i++;
		if (i == sizeof(units) / sizeof(*units))
			return fail(p, unit.text, "\"%s\" is no unit of time: ms, s or min",
				    shown(unit, text));
		number *= units[i].us;
	} else if (unit.n > 0) {
		return fail(p, unit.text, "\"%s\" after the number", shown(unit, text));
	}
	if (number < key->low || number > key->high) {
		uint64_t scale = key->kind == KIND_TIME ? USEC_PER_MSEC : 1;

		return fail(p, value.text, "%s= must be from %llu to %llu%s", key->name,
			    (unsigned long long)(key->low / scale),
			    (unsigned long long)(key->high / scale),
			    key->kind == KIND_TIME ? " ms" : "");
	}
	*field(&p->settings, key) = number;
	return 0;
}

static int parse_assignment(struct parser *p, struct piece line)
{
	const char *equal = memchr(line.text, '=', line.n);
	struct piece name, value;
	char text[40];

	if (!equal)
		return fail(p, line.text, "neither a [Section] nor Key=Value");
	name = strip((struct piece){line.text, (size_t)(equal - line.text)});
	value = strip((struct piece){equal + 1, line.n - (size_t)(equal + 1 - line.text)});
	if (!p->in_section)
		return fail(p, line.text, "\"%s\" stands before any [Section]", shown(name, text));
	for (size_t i = 0; i < N_KEYS; i++) {
		if (!equals(name, keys[i].name))
			continue;
		if (value.n > 0)
			return parse_value(p, &keys[i], value);
		*field(&p->settings, &keys[i]) = keys[i].standard;
		return 0;
	}
	return fail(p, line.text, "unknown key \"%s\" in [Daemon]", shown(name, text));
}

static int parse_line(struct parser *p, struct piece raw)
{
	struct piece line = strip(raw);
	const char *nul = memchr(raw.text, 0, raw.n);
	char text[40];

	if (nul)
		return fail(p, nul, "a NUL byte");
	if (line.n == 0 || raw.text[0] == '#' || raw.text[0] == ';')
		return 0;
	if (line.text[0] != '[')
		return parse_assignment(p, line);
	if (line.text[line.n - 1] != ']')
		return fail(p, line.text + line.n, "\"]\" is missing");
	if (!equals(line, "[Daemon]"))
		return fail(p, line.text, "unknown section \"%s\"", shown(line, text));
	p->in_section = true;
	return 0;
}

int dg_settings_parse(const char *text, size_t n_text, struct dg_settings *settings,
		      struct dg_settings_error *ret_error)
{
	struct dg_settings_error error = {};
	struct parser p = {.settings = *settings, .error = &error};
	const char *end = text + n_text;

	while (text < end) {
		const char *newline = memchr(text, '\n', (size_t)(end - text));
		size_t n = (size_t)((newline ?: end) - text);

		p.line++;
		p.line_start = text;
		if (parse_line(&p, (struct piece){text, n}) < 0) {
			*ret_error = error;
			return -EINVAL;
		}
		text += newline ? n + 1 : n;
	}
	*settings = p.settings;
	return 0;
}
