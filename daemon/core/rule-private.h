/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The parts of the reader of rule files, for rule-*.c only:
 *
 *	rule-parse.c   sections, keys, what a whole rule needs
 *	rule-match.c   the lists of [Match]
 *	rule-values.c  what stands behind the other keys
 *	rule-failure.c … behind those for memory failures
 *
 * Functions return 0, -ENOMEM, or -EINVAL with the error in p->error.
 */
#pragma once

#include "core/rule.h"

/* Of [Policy] and [Device]. */
enum rule_key {
	RULE_KEY_ACTION,
	RULE_KEY_SIGNAL,
	RULE_KEY_EXEC,
	RULE_KEY_EXEC_TIMEOUT,
	RULE_KEY_SCOPE,
	RULE_KEY_DRY_RUN,
	RULE_KEY_ON_BUSY,
	RULE_KEY_BUDGET,
	RULE_KEY_RESTORE_ON_RETURN,
	RULE_KEY_UNMAP_POISON,
	RULE_KEY_METADATA_FAILURE,
	RULE_KEY_FAILURE_LIMIT,
	RULE_KEY_FAILURE_ACTION,
	_RULE_KEY_MAX,
};

struct rule_place {
	unsigned line, column; /* 0: it is not there */
};

struct rule_parser {
	enum dg_rule_kind kind;
	struct dg_ini ini;
	struct dg_text_error error;
	dg_rule_error_func func;
	void *userdata;
	unsigned n_errors;
	bool in_section, in_match, in_other;        /* the first one: any, also a wrong one */
	struct rule_place match_place, other_place; /* of the sections */
	struct rule_place places[_RULE_KEY_MAX];
	bool timed; /* a rung has a time of its own */
	struct dg_match match;
	struct dg_rule rule;          /* without its match */
	struct dg_device_rule device; /* likewise, and without its exec, which is in rule */
};

/* A line of [Match]. */
int rule_read_match(struct rule_parser *p, enum dg_key key, struct dg_piece value);

/* A key of the other section; an empty value is the default again. */
int rule_read_action(struct rule_parser *p, struct dg_piece value);
int rule_read_signal(struct rule_parser *p, struct dg_piece value);
int rule_read_exec(struct rule_parser *p, struct dg_piece value);
int rule_read_exec_timeout(struct rule_parser *p, struct dg_piece value);
int rule_read_scope(struct rule_parser *p, struct dg_piece value);
int rule_read_dry_run(struct rule_parser *p, struct dg_piece value);
int rule_read_on_busy(struct rule_parser *p, struct dg_piece value);
int rule_read_restore_on_return(struct rule_parser *p, struct dg_piece value);
int rule_read_budget(struct rule_parser *p, struct dg_piece value);
int rule_read_unmap_poison(struct rule_parser *p, struct dg_piece value);
int rule_read_metadata_failure(struct rule_parser *p, struct dg_piece value);
int rule_read_failure_limit(struct rule_parser *p, struct dg_piece value);
int rule_read_failure_action(struct rule_parser *p, struct dg_piece value);

/* `; did you mean "Unit"?`, or "" if nothing is near. Returns buffer. */
#define RULE_MEANT_MAX 64
const char *rule_meant(const char *nearest, char buffer[static RULE_MEANT_MAX]);

/* One word of a set, whose names are name(0) to name(n - 1); what it is, for the error. */
int rule_choose(struct rule_parser *p, const char *at, struct dg_piece word, const char *what,
		const char *(*name)(unsigned), unsigned n, unsigned *ret);

void rule_free_exec(char **exec); /* NULL is fine */
