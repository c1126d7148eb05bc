/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "core/nearest.h"
#include "core/rule-private.h"

#define MATCH "Match"
#define POLICY (1U << DG_RULE_POLICY)
#define DEVICE (1U << DG_RULE_DEVICE)

static const char *const sections[_DG_RULE_KIND_MAX] = {
	[DG_RULE_POLICY] = "Policy",
	[DG_RULE_DEVICE] = "Device",
};

static const struct {
	const char *name;
	unsigned kinds; /* of files: bit per enum dg_rule_kind */
	int (*read)(struct rule_parser *p, struct dg_piece value);
} keys[_RULE_KEY_MAX] = {
	[RULE_KEY_ACTION] = {"Action", POLICY, rule_read_action},
	[RULE_KEY_SIGNAL] = {"Signal", POLICY, rule_read_signal},
	[RULE_KEY_EXEC] = {"Exec", POLICY | DEVICE, rule_read_exec},
	[RULE_KEY_EXEC_TIMEOUT] = {"ExecTimeoutSec", POLICY | DEVICE, rule_read_exec_timeout},
	[RULE_KEY_SCOPE] = {"Scope", POLICY, rule_read_scope},
	[RULE_KEY_DRY_RUN] = {"DryRun", POLICY, rule_read_dry_run},
	[RULE_KEY_ON_BUSY] = {"OnBusy", DEVICE, rule_read_on_busy},
	[RULE_KEY_BUDGET] = {"Budget", DEVICE, rule_read_budget},
	[RULE_KEY_RESTORE_ON_RETURN] = {"RestoreOnReturn", DEVICE, rule_read_restore_on_return},
	[RULE_KEY_UNMAP_POISON] = {"UnmapPoison", DEVICE, rule_read_unmap_poison},
	[RULE_KEY_METADATA_FAILURE] = {"MetadataFailure", DEVICE, rule_read_metadata_failure},
	[RULE_KEY_FAILURE_LIMIT] = {"FailureLimit", DEVICE, rule_read_failure_limit},
	[RULE_KEY_FAILURE_ACTION] = {"FailureAction", DEVICE, rule_read_failure_action},
};

static struct rule_place place_of(const struct rule_parser *p, const char *at)
{
	return (struct rule_place){p->ini.line, (unsigned)(at - p->ini.line_start) + 1};
}

static void tell(struct rule_parser *p)
{
	p->n_errors++;
	p->func(p->userdata, &p->error);
}

/* Not of the present line: of the rule as a whole. */
static void tell_at(struct rule_parser *p, struct rule_place place, const char *reason)
{
	dg_ini_error(&p->ini, p->ini.line_start, &p->error, "%s", reason);
	p->error.line = place.line > 0 ? place.line : 1;
	p->error.column = place.column > 0 ? place.column : 1;
	tell(p);
}

static int read_section(struct rule_parser *p, struct dg_piece name)
{
	const char *other = sections[p->kind], *at = name.text - 1;
	char shown[DG_SHOWN_MAX], meant[RULE_MEANT_MAX];
	struct dg_nearest search = {.word = name};

	p->in_section = true;
	p->in_match = dg_piece_equals(name, MATCH);
	p->in_other = dg_piece_equals(name, other);
	if (p->in_match)
		p->match_place = place_of(p, at);
	if (p->in_other)
		p->other_place = place_of(p, at);
	if (p->in_match || p->in_other)
		return 0;
	for (unsigned kind = 0; kind < _DG_RULE_KIND_MAX; kind++)
		if (dg_piece_equals(name, sections[kind]))
			return dg_ini_error(&p->ini, at, &p->error, "[%s] is for *%s files",
					    sections[kind], dg_rule_kind_suffix(kind));
	dg_nearest_try(&search, MATCH);
	dg_nearest_try(&search, other);
	return dg_ini_error(&p->ini, at, &p->error, "unknown section [%s]%s",
			    dg_piece_shown(name, shown), rule_meant(search.nearest, meant));
}

/* Why a key is of no use here: it belongs elsewhere, or is none. */
static int fail_key(struct rule_parser *p, struct dg_piece name)
{
	const char *section = p->in_match ? MATCH : sections[p->kind];
	char shown[DG_SHOWN_MAX], meant[RULE_MEANT_MAX];
	struct dg_nearest search = {.word = name};

	for (unsigned i = 0; i < _DG_KEY_MAX; i++) {
		bool here = p->kind == DG_RULE_POLICY || dg_key_is_device(i);

		if (dg_piece_equals(name, dg_key_name(i)))
			return dg_ini_error(&p->ini, name.text, &p->error,
					    here ? "%s= belongs into [" MATCH "]"
						 : "%s= is for *.policy files",
					    dg_key_name(i));
		if (p->in_match && here)
			dg_nearest_try(&search, dg_key_name(i));
	}
	for (unsigned i = 0; i < _RULE_KEY_MAX; i++) {
		bool here = keys[i].kinds & 1U << p->kind;

		if (dg_piece_equals(name, keys[i].name))
			return dg_ini_error(&p->ini, name.text, &p->error,
					    here ? "%s= belongs into [%s]" : "%s= is for *%s files",
					    keys[i].name,
					    here ? sections[p->kind]
						 : dg_rule_kind_suffix(p->kind == DG_RULE_POLICY
									       ? DG_RULE_DEVICE
									       : DG_RULE_POLICY));
		if (p->in_other && here)
			dg_nearest_try(&search, keys[i].name);
	}
	return dg_ini_error(&p->ini, name.text, &p->error, "unknown key \"%s\" in [%s]%s",
			    dg_piece_shown(name, shown), section,
			    rule_meant(search.nearest, meant));
}

static int read_assignment(struct rule_parser *p, const struct dg_ini_line *line)
{
	char shown[DG_SHOWN_MAX];

	if (!p->in_section)
		return dg_ini_error(&p->ini, line->key.text, &p->error,
				    "\"%s\" stands before any [Section]",
				    dg_piece_shown(line->key, shown));
	/* What stands in a section that was wrong is not judged. */
	if (!p->in_match && !p->in_other)
		return 0;
	for (unsigned i = 0; p->in_match && i < _DG_KEY_MAX; i++)
		if (dg_piece_equals(line->key, dg_key_name(i)) &&
		    (p->kind == DG_RULE_POLICY || dg_key_is_device(i)))
			return rule_read_match(p, i, line->value);
	for (unsigned i = 0; p->in_other && i < _RULE_KEY_MAX; i++)
		if (dg_piece_equals(line->key, keys[i].name) && keys[i].kinds & 1U << p->kind) {
			p->places[i] = line->value.n > 0 ? place_of(p, line->key.text)
							 : (struct rule_place){};
			return keys[i].read(p, line->value);
		}
	return fail_key(p, line->key);
}

static int read_lines(struct rule_parser *p)
{
	struct dg_ini_line line;
	int r;

	while ((r = dg_ini_next(&p->ini, &line, &p->error)) != 0) {
		if (r > 0 && line.section.text)
			r = read_section(p, line.section);
		else if (r > 0)
			r = read_assignment(p, &line);
		if (r == -ENOMEM)
			return r;
		if (r < 0)
			tell(p);
		if (p->n_errors >= DG_RULE_ERRORS_MAX) {
			tell_at(p, place_of(p, p->ini.line_start), "too many errors");
			return 0;
		}
	}
	return 0;
}

/* Keys of [Policy] that need each other. */
static void check_policy(struct rule_parser *p)
{
	const struct rule_place *places = p->places, action = places[RULE_KEY_ACTION];
	bool notify = dg_rule_has(&p->rule, DG_ACTION_NOTIFY),
	     exec = dg_rule_has(&p->rule, DG_ACTION_EXEC);

	if (p->rule.n_rungs == 0)
		tell_at(p, p->other_place, "Action= is missing");
	if (notify && !p->rule.signo)
		tell_at(p, action, "notify needs a Signal=");
	if (!notify && p->rule.signo)
		tell_at(p, places[RULE_KEY_SIGNAL], "Signal= is for notify, which Action= has not");
	if (exec && !p->rule.exec)
		tell_at(p, action, "exec needs an Exec=");
	if (!exec && p->rule.exec)
		tell_at(p, places[RULE_KEY_EXEC], "Exec= is for exec, which Action= has not");
	if (!exec && places[RULE_KEY_EXEC_TIMEOUT].line)
		tell_at(p, places[RULE_KEY_EXEC_TIMEOUT],
			"ExecTimeoutSec= is for exec, which Action= has not");
	if (dg_rule_has(&p->rule, DG_ACTION_FREEZE) && p->rule.scope != DG_SCOPE_UNIT)
		tell_at(p, action, "freeze needs Scope=unit");
}

/* A failed page is told of, once; nobody climbs a ladder for it. */
static void check_failure(struct rule_parser *p)
{
	static const uint32_t fit = 1U << DG_ACTION_LEAVE | 1U << DG_ACTION_NOTIFY |
				    1U << DG_ACTION_SIGBUS | 1U << DG_ACTION_TERM |
				    1U << DG_ACTION_KILL;
	const struct rule_place action = p->places[RULE_KEY_ACTION];

	if (p->rule.n_rungs > 1)
		tell_at(p, action, "for memory-failure there is one action, not a ladder");
	for (size_t i = 0; i < p->rule.n_rungs; i++)
		if (!(fit & 1U << p->rule.ladder[i].action))
			tell_at(p, action,
				"for memory-failure the action is leave, notify, sigbus, term or "
				"kill");
	if (p->timed)
		tell_at(p, action, "for memory-failure an action takes no time");
	if (p->rule.scope != DG_SCOPE_PROCESS)
		tell_at(p, p->places[RULE_KEY_SCOPE], "Scope=unit is for pre-remove");
}

/* A limit and what is done when it is reached. */
static void check_limit(struct rule_parser *p)
{
	const struct rule_place *places = p->places, action = places[RULE_KEY_FAILURE_ACTION];
	bool limit = p->device.limit.pages > 0, exec = p->device.reaction == DG_REACTION_EXEC;

	if (limit && p->device.reaction == DG_REACTION_NONE)
		tell_at(p, places[RULE_KEY_FAILURE_LIMIT],
			"FailureLimit= needs a FailureAction=, remove or exec");
	if (!limit && p->device.reaction != DG_REACTION_NONE)
		tell_at(p, action, "FailureAction= needs a FailureLimit=");
	if (exec && !p->rule.exec)
		tell_at(p, action, "exec needs an Exec=");
	if (!exec && p->rule.exec)
		tell_at(p, places[RULE_KEY_EXEC],
			"Exec= is for exec, which FailureAction= has not");
	if (!exec && places[RULE_KEY_EXEC_TIMEOUT].line)
		tell_at(p, places[RULE_KEY_EXEC_TIMEOUT],
			"ExecTimeoutSec= is for exec, which FailureAction= has not");
}

/* Keys of [Device] are each for one event. */
static void check_device(struct rule_parser *p)
{
	static const struct {
		enum rule_key key;
		enum dg_rule_event event;
		const char *reason;
	} events[] = {
		{RULE_KEY_ON_BUSY, DG_RULE_EVENT_PRE_REMOVE,
		 "OnBusy= is for pre-remove, which Event= has not"},
		{RULE_KEY_BUDGET, DG_RULE_EVENT_PRE_REMOVE,
		 "Budget= is for pre-remove, which Event= has not"},
		{RULE_KEY_RESTORE_ON_RETURN, DG_RULE_EVENT_PRE_REMOVE,
		 "RestoreOnReturn= is for pre-remove, which Event= has not"},
		{RULE_KEY_UNMAP_POISON, DG_RULE_EVENT_MEMORY_FAILURE,
		 "UnmapPoison= needs Event=memory-failure in [" MATCH "]"},
		{RULE_KEY_METADATA_FAILURE, DG_RULE_EVENT_MEMORY_FAILURE,
		 "MetadataFailure= needs Event=memory-failure in [" MATCH "]"},
		{RULE_KEY_FAILURE_LIMIT, DG_RULE_EVENT_MEMORY_FAILURE,
		 "FailureLimit= needs Event=memory-failure in [" MATCH "]"},
	};

	for (size_t i = 0; i < sizeof(events) / sizeof(*events); i++)
		if (p->places[events[i].key].line &&
		    !dg_match_has_event(&p->match, events[i].event))
			tell_at(p, p->places[events[i].key], events[i].reason);
	check_limit(p);
}

static void tell_missing(struct rule_parser *p, const char *section)
{
	char reason[40];

	snprintf(reason, sizeof(reason), "there is no [%s]", section);
	tell_at(p, (struct rule_place){}, reason);
}

static void check_whole(struct rule_parser *p)
{
	if (!p->match_place.line)
		tell_missing(p, MATCH);
	else if (p->match.n_conditions == 0)
		tell_at(p, p->match_place, "nothing is asked for; Device=* is for every device");
	if (!p->other_place.line)
		tell_missing(p, sections[p->kind]);
	else if (p->kind == DG_RULE_POLICY)
		check_policy(p);
	else
		check_device(p);
	if (p->kind == DG_RULE_POLICY &&
	    dg_match_has_event(&p->match, DG_RULE_EVENT_MEMORY_FAILURE))
		check_failure(p);
}

static int parse(struct rule_parser *p, const char *path, const char *text, size_t n_text)
{
	const char *name = strrchr(path, '/');
	int r = 0;

	name = name ? name + 1 : path;
	dg_ini_init(&p->ini, text, n_text);
	if (n_text > DG_RULE_FILE_MAX)
		tell_at(p, (struct rule_place){}, "the file is larger than 64 KiB");
	else
		r = read_lines(p);
	/* Of what was not understood nothing is missing. */
	if (r == 0 && p->n_errors == 0)
		check_whole(p);
	if (r == 0 && p->n_errors > 0)
		r = -EINVAL;
	if (r < 0)
		return r;
	p->rule.line = p->places[RULE_KEY_ACTION].line;
	p->device.line = p->other_place.line;
	p->rule.path = p->device.path = strdup(path);
	if (!p->rule.path)
		return -ENOMEM;
	memcpy(p->rule.name, name, strnlen(name, sizeof(p->rule.name) - 1));
	memcpy(p->device.name, p->rule.name, sizeof(p->device.name));
	return 0;
}

int dg_rule_parse(const char *path, const char *text, size_t n_text, dg_rule_error_func func,
		  void *userdata, struct dg_rule *ret)
{
	struct rule_parser p = {
		.kind = DG_RULE_POLICY,
		.func = func,
		.userdata = userdata,
		.rule = {.exec_timeout_ms = DG_RULE_EXEC_TIMEOUT_MS},
	};
	int r = parse(&p, path, text, n_text);

	p.rule.match = p.match;
	if (r < 0)
		dg_rule_done(&p.rule);
	else
		*ret = p.rule;
	return r;
}

int dg_device_rule_parse(const char *path, const char *text, size_t n_text, dg_rule_error_func func,
			 void *userdata, struct dg_device_rule *ret)
{
	struct rule_parser p = {
		.kind = DG_RULE_DEVICE,
		.func = func,
		.userdata = userdata,
		.rule = {.exec_timeout_ms = DG_RULE_EXEC_TIMEOUT_MS},
	};
	int r = parse(&p, path, text, n_text);

	p.device.match = p.match;
	p.device.exec = p.rule.exec;
	p.device.exec_timeout_ms = p.rule.exec_timeout_ms;
	if (r < 0)
		dg_device_rule_done(&p.device);
	else
		*ret = p.device;
	return r;
}
