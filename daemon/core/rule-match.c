/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The lists of [Match]. */
#include <errno.h>
#include <string.h>

#include "core/rule-private.h"

#define BY_PATH "/dev/disk/by-path/"
#define DISK "/dev/disk/"
#define DEV "/dev/"

static bool has_wildcard(const char *text)
{
	return text[strcspn(text, "*?[")] != '\0';
}

static const char *event_name(unsigned i)
{
	return dg_rule_event_name((enum dg_rule_event)i);
}

static const char *use_name(unsigned i)
{
	return dg_use_name((enum dg_use)i);
}

static int read_event(struct rule_parser *p, const struct dg_word *word, struct dg_pattern *pattern)
{
	pattern->kind = DG_PATTERN_ID;
	return rule_choose(p, word->at, dg_piece(word->text), "the event", event_name,
			   _DG_RULE_EVENT_MAX, &pattern->id);
}

/* What only the kernel itself does, the last use, is no matter of a process. */
static int read_access(struct rule_parser *p, const struct dg_word *word,
		       struct dg_pattern *pattern)
{
	pattern->kind = DG_PATTERN_ID;
	return rule_choose(p, word->at, dg_piece(word->text), "the access", use_name, DG_USE_KERNEL,
			   &pattern->id);
}

static int read_id(struct rule_parser *p, const struct dg_word *word, struct dg_pattern *pattern)
{
	struct dg_piece rest;
	uint64_t id = 0;
	int r = dg_piece_number(dg_piece(word->text), &id, &rest);

	if (has_wildcard(word->text))
		return dg_ini_error(&p->ini, word->at, &p->error,
				    "users and groups are names or numbers, not patterns");
	/* The last number is what setuid(2) takes for "none". */
	if (r == -ERANGE || (r == 0 && rest.n == 0 && id == UINT32_MAX))
		return dg_ini_error(&p->ini, word->at, &p->error,
				    "users and groups are numbers below %u", UINT32_MAX);
	pattern->kind = DG_PATTERN_ID;
	pattern->id = (uint32_t)id;
	if (r < 0 || rest.n > 0) {
		pattern->kind = DG_PATTERN_NAME;
		pattern->named = true;
	}
	return 0;
}

static int check_brackets(struct rule_parser *p, const struct dg_word *word)
{
	for (const char *c = strchr(word->text, '['); c; c = strchr(c, '[')) {
		c++;
		if (*c == '!' || *c == '^')
			c++;
		if (*c == ']')
			c++;
		for (; *c && *c != ']'; c++)
			/* [:alpha:], [=a=], [.-.] */
			if (c[0] == '[' && c[1] && strchr(":=.", c[1])) {
				const char end[] = {c[1], ']', 0};
				const char *close = strstr(c + 2, end);

				if (close)
					c = close + 1;
			}
		if (!*c)
			return dg_ini_error(&p->ini, word->at, &p->error,
					    "\"[\" without \"]\"; write [[] for the character");
	}
	return 0;
}

/* What can never match is most likely a mistake. */
static int check_sense(struct rule_parser *p, enum dg_key key, const struct dg_word *word)
{
	const char *text = word->text, *why = NULL;

	if (key == DG_KEY_EXECUTABLE || key == DG_KEY_MOUNT_POINT || key == DG_KEY_CONTROL_GROUP) {
		if (!strchr("/*?[", text[0]))
			why = "this is a path: it begins with / or a wildcard";
	} else if (key == DG_KEY_COMMAND) {
		if (!has_wildcard(text) && word->n >= DG_COMM_LEN)
			why = "the kernel cuts a command's name to 15 bytes";
	} else if (key == DG_KEY_UNIT) {
		if (!has_wildcard(text) && !strchr(text, '.'))
			why = "a unit's name ends with its type, as .service";
	} else if (key == DG_KEY_DEVICE) {
		if (strncmp(text, DISK, strlen(DISK)) == 0 &&
		    strncmp(text, BY_PATH, strlen(BY_PATH)) != 0)
			why = "of what is in /dev/disk only by-path is known";
		else if (strcmp(text, DEV) == 0 || strcmp(text, BY_PATH) == 0)
			why = "a name is missing";
	}
	return why ? dg_ini_error(&p->ini, word->at, &p->error, "%s", why) : 0;
}

static int read_text(struct rule_parser *p, enum dg_key key, const struct dg_word *word,
		     struct dg_pattern *pattern)
{
	int r = check_brackets(p, word);

	if (r == 0)
		r = check_sense(p, key, word);
	if (r < 0 || key != DG_KEY_DEVICE)
		return r;
	if (strncmp(pattern->text, BY_PATH, strlen(BY_PATH)) == 0)
		pattern->text += strlen(BY_PATH);
	else if (strncmp(pattern->text, DEV, strlen(DEV)) == 0)
		pattern->text += strlen(DEV);
	return 0;
}

static int read_pattern(struct rule_parser *p, enum dg_key key, const struct dg_word *word,
			bool unwanted)
{
	struct dg_pattern pattern = {
		.text = word->text,
		.unwanted = unwanted,
		.line = p->ini.line,
		.column = (unsigned)(word->at - p->ini.line_start) + 1,
	};
	int r;

	if (word->at[0] == '!')
		return dg_ini_error(&p->ini, word->at, &p->error,
				    "a \"!\" stands before a whole list; name the key again");
	if (word->n == 0)
		return dg_ini_error(&p->ini, word->at, &p->error, "an empty word matches nothing");
	if (key == DG_KEY_EVENT)
		r = read_event(p, word, &pattern);
	else if (key == DG_KEY_ACCESS)
		r = read_access(p, word, &pattern);
	else if (key == DG_KEY_USER || key == DG_KEY_GROUP)
		r = read_id(p, word, &pattern);
	else
		r = read_text(p, key, word, &pattern);
	if (r == 0)
		r = dg_match_add(&p->match, key, &pattern);
	if (r == -E2BIG)
		r = dg_ini_error(&p->ini, word->at, &p->error, "%s= has more than %d words",
				 dg_key_name(key), DG_PATTERNS_MAX);
	return r;
}

int rule_read_match(struct rule_parser *p, enum dg_key key, struct dg_piece value)
{
	bool unwanted = dg_piece_starts(value, "!");
	struct dg_word word;
	int r;

	if (value.n == 0) {
		dg_match_reset(&p->match, key);
		return 0;
	}
	if (unwanted)
		value = dg_piece_strip(dg_piece_skip(value, 1));
	if (value.n == 0)
		return dg_ini_error(&p->ini, value.text, &p->error,
				    "behind the \"!\" a list is missing");
	while ((r = dg_ini_word(&p->ini, &value, &word, &p->error)) > 0) {
		r = read_pattern(p, key, &word, unwanted);
		if (r < 0)
			return r;
	}
	return r;
}
