/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The [Match] of a rule: whom it is for.
 *
 * A condition is a key and its patterns. Some of these are wanted, the others
 * (of a list that begins with `!`) unwanted: at least one that is wanted must
 * match one of the attribute's values, if there are such patterns, and none
 * of the unwanted ones may. All conditions of a rule must hold.
 *
 * Patterns are matched by fnmatch(3) with FNM_NOESCAPE and no other flag: '*'
 * and '?' match a '/' and a leading dot as well, a backslash is an ordinary
 * character. One '?' is one byte: the locale must be C.
 */
#pragma once

#include "core/facts.h"
#include "core/piece.h"

#define DG_PATTERNS_MAX 256 /* of one key of one rule */

/* In the order of daxguard.policy(5). */
enum dg_key {
	DG_KEY_EVENT,
	DG_KEY_DEVICE,
	DG_KEY_DRIVER,
	DG_KEY_FILE_SYSTEM,
	DG_KEY_MOUNT_POINT,
	DG_KEY_ACCESS,
	DG_KEY_EXECUTABLE,
	DG_KEY_COMMAND,
	DG_KEY_UNIT,
	DG_KEY_CONTROL_GROUP,
	DG_KEY_USER,
	DG_KEY_GROUP,
	DG_KEY_CONTAINER,
	_DG_KEY_MAX,
};
const char *dg_key_name(enum dg_key key); /* "FileSystem"; "unknown" outside the range */
bool dg_key_is_device(enum dg_key key);   /* its value is the same for all processes */

enum dg_pattern_kind {
	DG_PATTERN_EXACT,
	DG_PATTERN_ENDS, /* abc*xyz, abc*, *xyz, * */
	DG_PATTERN_GLOB,
	DG_PATTERN_ID,   /* a user, a group; or a bit: an event, a use */
	DG_PATTERN_NAME, /* a user or a group whose number is not known: matches nobody */
};

struct dg_pattern {
	const char *text; /* as written, without quotes */
	size_t n;
	size_t n_prefix, n_suffix; /* its literal ends, in bytes */
	size_t inside, n_inside;   /* its longest literal part, and where */
	uint32_t id;
	enum dg_pattern_kind kind;
	bool unwanted;
	bool named; /* a name of a user or group, resolved or not */
	unsigned line, column;
};

struct dg_condition {
	enum dg_key key;
	struct dg_pattern *patterns; /* as written */
	size_t n_patterns;
	bool wants; /* it has patterns that are wanted */
};

struct dg_match {
	struct dg_condition *conditions; /* as written */
	size_t n_conditions;
};

/*
 * One more pattern, as from says: its text is copied, and it is classified by
 * its wildcards unless it is an ID or a NAME. -ENOMEM. -E2BIG: DG_PATTERNS_MAX.
 */
int dg_match_add(struct dg_match *match, enum dg_key key, const struct dg_pattern *from);
void dg_match_reset(struct dg_match *match, enum dg_key key); /* as if never mentioned */
const struct dg_condition *dg_match_find(const struct dg_match *match, enum dg_key key);
void dg_match_done(struct dg_match *match);

/* Facts, prepared for many questions; refers to them. */
struct dg_subject {
	const struct dg_device_facts *device;   /* never NULL; zeroed: nothing is known */
	const struct dg_process_facts *process; /* likewise */
	struct dg_piece values[_DG_KEY_MAX][2]; /* of the process, where they are texts */
	size_t n_values[_DG_KEY_MAX];
	bool complete[_DG_KEY_MAX];
	char undeleted[4096]; /* the executable without " (deleted)" */
};

/* NULL for what is not known. */
void dg_subject_init(struct dg_subject *subject, const struct dg_device_facts *device,
		     const struct dg_process_facts *process);

enum dg_verdict {
	DG_VERDICT_MATCHED,
	DG_VERDICT_DIFFERS,       /* matches none of the wanted */
	DG_VERDICT_UNWANTED,      /* matches one that is unwanted */
	DG_VERDICT_NONE,          /* has no value, and one is wanted */
	DG_VERDICT_UNKNOWN,       /* the value, or not all of its values, are known */
	DG_VERDICT_UNRESOLVED,    /* nobody knows the user or group it is compared with */
	DG_VERDICT_PROTECTED,     /* only built-in:protected is for this process */
	DG_VERDICT_NOT_PROTECTED, /* which is for no other */
	_DG_VERDICT_MAX,
};
const char *dg_verdict_name(enum dg_verdict verdict); /* "unknown" outside the range */

/* Why: the first condition that does not hold. Line 0: of a built-in rule, or none. */
struct dg_reason {
	enum dg_verdict verdict;
	enum dg_key key;
	unsigned line;
};

enum {
	DG_ASK_DEVICE = 1 << 0,
	DG_ASK_PROCESS = 1 << 1,
	DG_ASK_ALL = DG_ASK_DEVICE | DG_ASK_PROCESS,
};

/*
 * Whether it is for this event. Who names none is for removals alone, but for the built-in
 * rules that ask for nothing at all.
 */
bool dg_match_has_event(const struct dg_match *match, enum dg_rule_event event);

/* Conditions of that kind only; ret_reason may be NULL. */
bool dg_match_holds(const struct dg_match *match, const struct dg_subject *subject, unsigned ask,
		    struct dg_reason *ret_reason);
