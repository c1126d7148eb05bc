/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "core/match.h"

#include <errno.h>
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

#define DELETED " (deleted)"

static const struct {
	const char *name;
	bool device;
} keys[_DG_KEY_MAX] = {
	[DG_KEY_EVENT] = {"Event", true},
	[DG_KEY_DEVICE] = {"Device", true},
	[DG_KEY_DRIVER] = {"Driver", true},
	[DG_KEY_FILE_SYSTEM] = {"FileSystem", true},
	[DG_KEY_MOUNT_POINT] = {"MountPoint", true},
	[DG_KEY_ACCESS] = {"Access", false},
	[DG_KEY_EXECUTABLE] = {"Executable", false},
	[DG_KEY_COMMAND] = {"Command", false},
	[DG_KEY_UNIT] = {"Unit", false},
	[DG_KEY_CONTROL_GROUP] = {"ControlGroup", false},
	[DG_KEY_USER] = {"User", false},
	[DG_KEY_GROUP] = {"Group", false},
	[DG_KEY_CONTAINER] = {"Container", false},
};

static const struct dg_device_facts no_device = {.event = DG_RULE_EVENT_PRE_REMOVE};
static const struct dg_process_facts no_process;

const char *dg_key_name(enum dg_key key)
{
	return (unsigned)key < _DG_KEY_MAX ? keys[key].name : "unknown";
}

bool dg_key_is_device(enum dg_key key)
{
	return (unsigned)key < _DG_KEY_MAX && keys[key].device;
}

const char *dg_verdict_name(enum dg_verdict verdict)
{
	static const char *const names[_DG_VERDICT_MAX] = {
		[DG_VERDICT_MATCHED] = "matched",     [DG_VERDICT_DIFFERS] = "differs",
		[DG_VERDICT_UNWANTED] = "unwanted",   [DG_VERDICT_NONE] = "none",
		[DG_VERDICT_UNKNOWN] = "unknown",     [DG_VERDICT_UNRESOLVED] = "unresolved",
		[DG_VERDICT_PROTECTED] = "protected", [DG_VERDICT_NOT_PROTECTED] = "not-protected",
	};

	return (unsigned)verdict < _DG_VERDICT_MAX ? names[verdict] : "unknown";
}

/* NULL: there is another bracket in it, and what that means is hard to tell. */
static const char *behind_bracket(const char *at)
{
	at++;
	if (*at == '!' || *at == '^')
		at++;
	if (*at == ']')
		at++;
	at += strcspn(at, "[]");
	return *at == ']' ? at + 1 : NULL;
}

static void find_inside(struct dg_pattern *pattern)
{
	for (const char *at = pattern->text; at && *at;) {
		size_t n = strcspn(at, "*?[");

		if (n > pattern->n_inside) {
			pattern->inside = (size_t)(at - pattern->text);
			pattern->n_inside = n;
		}
		at += n;
		if (*at == '[')
			at = behind_bracket(at);
		else if (*at)
			at++;
	}
}

/* The literal parts, and what asks for no fnmatch(). */
static void classify(struct dg_pattern *pattern)
{
	size_t n = pattern->n;
	const char *end = pattern->text + n, *last = end;

	pattern->n_prefix = strcspn(pattern->text, "*?[");
	while (last > pattern->text && !strchr("*?]", last[-1]))
		last--;
	pattern->n_suffix = (size_t)(end - last);
	find_inside(pattern);
	if (pattern->n_prefix == n) {
		pattern->kind = DG_PATTERN_EXACT;
		pattern->n_suffix = n;
	} else if (strspn(pattern->text + pattern->n_prefix, "*") ==
		   n - pattern->n_prefix - pattern->n_suffix) {
		pattern->kind = DG_PATTERN_ENDS;
	} else {
		pattern->kind = DG_PATTERN_GLOB;
	}
}

static struct dg_condition *find(const struct dg_match *match, enum dg_key key)
{
	for (size_t i = 0; i < match->n_conditions; i++)
		if (match->conditions[i].key == key)
			return &match->conditions[i];
	return NULL;
}

const struct dg_condition *dg_match_find(const struct dg_match *match, enum dg_key key)
{
	return find(match, key);
}

static int open_condition(struct dg_match *match, enum dg_key key, struct dg_condition **ret)
{
	struct dg_condition *conditions;

	*ret = find(match, key);
	if (*ret)
		return 0;
	conditions = reallocarray(match->conditions, match->n_conditions + 1, sizeof(*conditions));
	if (!conditions)
		return -ENOMEM;
	match->conditions = conditions;
	*ret = &conditions[match->n_conditions++];
	**ret = (struct dg_condition){.key = key};
	return 0;
}

int dg_match_add(struct dg_match *match, enum dg_key key, const struct dg_pattern *from)
{
	struct dg_pattern *patterns, pattern = *from;
	struct dg_condition *condition;
	int r = open_condition(match, key, &condition);

	if (r < 0)
		return r;
	if (condition->n_patterns >= DG_PATTERNS_MAX)
		return -E2BIG;
	patterns = reallocarray(condition->patterns, condition->n_patterns + 1, sizeof(*patterns));
	if (!patterns)
		return -ENOMEM;
	condition->patterns = patterns;
	pattern.text = strdup(from->text);
	if (!pattern.text)
		return -ENOMEM;
	pattern.n = strlen(pattern.text);
	if (pattern.kind != DG_PATTERN_ID && pattern.kind != DG_PATTERN_NAME)
		classify(&pattern);
	if (!pattern.unwanted)
		condition->wants = true;
	patterns[condition->n_patterns++] = pattern;
	return 0;
}

static void condition_done(struct dg_condition *condition)
{
	for (size_t i = 0; i < condition->n_patterns; i++)
		free((char *)condition->patterns[i].text);
	free(condition->patterns);
}

void dg_match_reset(struct dg_match *match, enum dg_key key)
{
	struct dg_condition *condition = find(match, key);
	size_t n_behind;

	if (!condition)
		return;
	condition_done(condition);
	n_behind = match->n_conditions - 1 - (size_t)(condition - match->conditions);
	memmove(condition, condition + 1, n_behind * sizeof(*condition));
	match->n_conditions--;
}

void dg_match_done(struct dg_match *match)
{
	for (size_t i = 0; i < match->n_conditions; i++)
		condition_done(&match->conditions[i]);
	free(match->conditions);
	*match = (struct dg_match){};
}

static void set_text(struct dg_subject *subject, enum dg_key key, const char *text)
{
	subject->complete[key] = text != NULL;
	if (text && *text)
		subject->values[key][subject->n_values[key]++] = dg_piece(text);
}

/* Who was replaced while it runs is still who it was. */
static void set_executable(struct dg_subject *subject, const char *text)
{
	struct dg_piece whole = dg_piece(text);
	size_t n_deleted = strlen(DELETED), n;

	set_text(subject, DG_KEY_EXECUTABLE, text);
	if (whole.n <= n_deleted || whole.n - n_deleted >= sizeof(subject->undeleted))
		return;
	n = whole.n - n_deleted;
	if (memcmp(text + n, DELETED, n_deleted) != 0)
		return;
	memcpy(subject->undeleted, text, n);
	subject->undeleted[n] = '\0';
	set_text(subject, DG_KEY_EXECUTABLE, subject->undeleted);
}

void dg_subject_init(struct dg_subject *subject, const struct dg_device_facts *device,
		     const struct dg_process_facts *process)
{
	subject->device = device ?: &no_device;
	subject->process = process = process ?: &no_process;
	memset(subject->n_values, 0, sizeof(subject->n_values));
	memset(subject->complete, 0, sizeof(subject->complete));
	set_executable(subject, process->executable);
	set_text(subject, DG_KEY_COMMAND, process->command);
	set_text(subject, DG_KEY_UNIT, process->unit);
	set_text(subject, DG_KEY_UNIT, process->user_unit);
	/* Two managers may have a unit for it: known are they if both are. */
	subject->complete[DG_KEY_UNIT] = process->unit && process->user_unit;
	set_text(subject, DG_KEY_CONTROL_GROUP, process->cgroup);
	set_text(subject, DG_KEY_CONTAINER, process->container);
}

static bool ends_fit(const struct dg_pattern *pattern, const char *text, size_t n)
{
	return n >= pattern->n_prefix + pattern->n_suffix &&
	       memcmp(text, pattern->text, pattern->n_prefix) == 0 &&
	       memcmp(text + n - pattern->n_suffix, pattern->text + pattern->n - pattern->n_suffix,
		      pattern->n_suffix) == 0;
}

static bool fits(const struct dg_pattern *pattern, const char *text, size_t n)
{
	switch (pattern->kind) {
	case DG_PATTERN_EXACT:
		return n == pattern->n && memcmp(text, pattern->text, n) == 0;
	case DG_PATTERN_ENDS:
		return ends_fit(pattern, text, n);
	case DG_PATTERN_GLOB:
		/* fnmatch() is two orders slower. */
		return ends_fit(pattern, text, n) &&
		       fnmatch(pattern->text, text, FNM_NOESCAPE) == 0;
	case DG_PATTERN_ID:
	case DG_PATTERN_NAME:
	default:
		return false;
	}
}

static const struct dg_strings *strings_of(const struct dg_device_facts *device, enum dg_key key)
{
	if (key == DG_KEY_DEVICE)
		return &device->names;
	if (key == DG_KEY_DRIVER)
		return &device->drivers;
	if (key == DG_KEY_FILE_SYSTEM)
		return &device->file_systems;
	return key == DG_KEY_MOUNT_POINT ? &device->mount_points : NULL;
}

static bool id_fits(const struct dg_pattern *pattern, enum dg_key key,
		    const struct dg_subject *subject)
{
	const struct dg_process_facts *process = subject->process;

	if (pattern->kind != DG_PATTERN_ID)
		return false;
	if (key == DG_KEY_EVENT)
		return subject->device->event == pattern->id;
	if (key == DG_KEY_ACCESS)
		return process->uses & (1U << pattern->id);
	if (key == DG_KEY_USER)
		return process->has_uid && process->uid == pattern->id;
	for (size_t i = 0; key == DG_KEY_GROUP && i < process->n_gids; i++)
		if (process->gids[i] == pattern->id)
			return true;
	return false;
}

static bool hits(const struct dg_pattern *pattern, enum dg_key key,
		 const struct dg_subject *subject)
{
	const struct dg_strings *strings = strings_of(subject->device, key);

	if (strings) {
		for (size_t i = 0; i < strings->n_items; i++)
			if (fits(pattern, strings->items[i], strlen(strings->items[i])))
				return true;
		return false;
	}
	for (size_t i = 0; i < subject->n_values[key]; i++)
		if (fits(pattern, subject->values[key][i].text, subject->values[key][i].n))
			return true;
	return id_fits(pattern, key, subject);
}

/* Does the subject have no other values of this key than those that were compared? */
static bool is_complete(const struct dg_subject *subject, enum dg_key key)
{
	const struct dg_strings *strings = strings_of(subject->device, key);

	if (strings)
		return strings->complete;
	if (key == DG_KEY_EVENT || key == DG_KEY_ACCESS)
		return true;
	if (key == DG_KEY_USER)
		return subject->process->has_uid;
	if (key == DG_KEY_GROUP)
		return subject->process->gids_complete;
	return subject->complete[key];
}

static bool is_none(const struct dg_subject *subject, enum dg_key key)
{
	const struct dg_strings *strings = strings_of(subject->device, key);

	if (strings)
		return strings->n_items == 0;
	if (key == DG_KEY_ACCESS)
		return subject->process->uses == 0;
	if (key == DG_KEY_GROUP)
		return subject->process->n_gids == 0;
	return key != DG_KEY_EVENT && key != DG_KEY_USER && subject->n_values[key] == 0;
}

static enum dg_verdict fail(struct dg_reason *reason, enum dg_verdict verdict, unsigned line)
{
	reason->line = line;
	return verdict;
}

/* Of a name that nobody knows it cannot be said that it is that one, nor that it is not. */
static enum dg_verdict check(const struct dg_condition *condition, const struct dg_subject *subject,
			     struct dg_reason *reason)
{
	const struct dg_pattern *first[2] = {}, *names[2] = {}; /* by pattern->unwanted */
	bool complete = is_complete(subject, condition->key), found = false;

	for (size_t i = 0; i < condition->n_patterns; i++) {
		const struct dg_pattern *pattern = &condition->patterns[i];
		bool hit = hits(pattern, condition->key, subject);

		if (hit && pattern->unwanted)
			return fail(reason, DG_VERDICT_UNWANTED, pattern->line);
		found = found || hit;
		first[pattern->unwanted] = first[pattern->unwanted] ?: pattern;
		if (pattern->kind == DG_PATTERN_NAME)
			names[pattern->unwanted] = names[pattern->unwanted] ?: pattern;
	}
	if (first[false] && !found) {
		if (!complete)
			return fail(reason, DG_VERDICT_UNKNOWN, first[false]->line);
		if (names[false])
			return fail(reason, DG_VERDICT_UNRESOLVED, names[false]->line);
		return fail(reason,
			    is_none(subject, condition->key) ? DG_VERDICT_NONE : DG_VERDICT_DIFFERS,
			    first[false]->line);
	}
	if (names[true])
		return fail(reason, DG_VERDICT_UNRESOLVED, names[true]->line);
	if (first[true] && !complete)
		return fail(reason, DG_VERDICT_UNKNOWN, first[true]->line);
	return DG_VERDICT_MATCHED;
}

bool dg_match_has_event(const struct dg_match *match, enum dg_rule_event event)
{
	const struct dg_condition *condition = dg_match_find(match, DG_KEY_EVENT);
	const struct dg_device_facts device = {.event = event};
	struct dg_subject subject = {.device = &device, .process = &no_process};
	struct dg_reason reason;

	if (condition)
		return check(condition, &subject, &reason) == DG_VERDICT_MATCHED;
	return match->n_conditions == 0 || event == DG_RULE_EVENT_PRE_REMOVE;
}

bool dg_match_holds(const struct dg_match *match, const struct dg_subject *subject, unsigned ask,
		    struct dg_reason *ret_reason)
{
	struct dg_reason reason = {.verdict = DG_VERDICT_MATCHED};

	if (ask & DG_ASK_DEVICE && subject->device->event != DG_RULE_EVENT_PRE_REMOVE &&
	    !dg_match_has_event(match, subject->device->event))
		reason = (struct dg_reason){DG_VERDICT_DIFFERS, DG_KEY_EVENT, 0};
	for (size_t i = 0; i < match->n_conditions && reason.verdict == DG_VERDICT_MATCHED; i++) {
		reason.key = match->conditions[i].key;
		if (ask & (dg_key_is_device(reason.key) ? DG_ASK_DEVICE : DG_ASK_PROCESS))
			reason.verdict = check(&match->conditions[i], subject, &reason);
	}
	if (ret_reason)
		*ret_reason = reason;
	return reason.verdict == DG_VERDICT_MATCHED;
}
