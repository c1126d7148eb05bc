/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A rule: one file, *.policy for the processes on a device or *.device for
 * the device itself. The language is daxguard.policy(5).
 */
#pragma once

#include "core/action.h"
#include "core/ini.h"
#include "core/limit.h"
#include "core/match.h"

/* Limits. A rule that exceeds them is an error, not cut. */
#define DG_RULE_FILE_MAX (64U * 1024U)     /* bytes */
#define DG_RULE_ERRORS_MAX 32U             /* reported for one file */
#define DG_RULE_EXEC_MAX 64U               /* words of Exec= */
#define DG_RULE_EXEC_BYTES_MAX 1536U       /* … and their bytes, see rule-text.h */
#define DG_RULE_GRACE_MAX_MS 3600000U      /* of one rung */
#define DG_RULE_EXEC_TIMEOUT_MS 5000U      /* ExecTimeoutSec=, if not said */
#define DG_RULE_EXEC_TIMEOUT_MIN_MS 100U   /* likewise, at least */
#define DG_RULE_EXEC_TIMEOUT_MAX_MS 60000U /* likewise, at most */
#define DG_RULE_BUDGET_MIN_MS 1000U
#define DG_RULE_BUDGET_MAX_MS 3600000U
#define DG_RULE_WITHIN_MAX_MIN 43200U /* 30 days; of FailureLimit= */

enum dg_scope {
	DG_SCOPE_PROCESS,
	DG_SCOPE_UNIT,
	_DG_SCOPE_MAX,
};
const char *dg_scope_name(enum dg_scope scope); /* "unknown" outside the range */

struct dg_rule {
	char name[DG_NAME_MAX]; /* of its file, without the directory; or "built-in:…" */
	char *path;             /* of its file; NULL: built in */
	unsigned line;          /* of Action=, there; 0: built in */
	bool exempt;            /* matches the protected, and only them */
	struct dg_match match;
	struct dg_rung ladder[DG_LADDER_MAX];
	size_t n_rungs; /* at least 1 */
	int signo;      /* of notify; 0: none */
	char **exec;    /* absolute path and arguments, NULL at the end; or NULL */
	uint32_t exec_timeout_ms;
	enum dg_scope scope;
	bool dry_run; /* the ladder is told, the holder is left */
};

enum dg_on_busy {
	DG_ON_BUSY_DETACH, /* what stays busy is shut down and detached */
	DG_ON_BUSY_KEEP,   /* it stays mounted */
	_DG_ON_BUSY_MAX,
};
const char *dg_on_busy_name(enum dg_on_busy on_busy); /* "unknown" outside the range */

/* What is done about failures, when everybody has been told of them. */
enum dg_reaction {
	DG_REACTION_NONE,
	DG_REACTION_REMOVE, /* the device, as when a user asks for it */
	DG_REACTION_SYNC,   /* its file systems */
	DG_REACTION_EXEC,
	_DG_REACTION_MAX,
};
const char *dg_reaction_name(enum dg_reaction reaction); /* "unknown" outside the range */

struct dg_device_rule {
	char name[DG_NAME_MAX];
	char *path;    /* NULL: built in */
	unsigned line; /* of [Device]; 0: built in */
	struct dg_match match;
	enum dg_on_busy on_busy;
	uint32_t budget_ms;        /* 0: what the kernel gives */
	bool restore_on_return;    /* who was checkpointed goes on when it is back */
	bool unmap_poison;         /* failed pages are taken away from who maps them */
	enum dg_reaction metadata; /* to failed metadata of a file system; not exec */
	struct dg_limit limit;
	enum dg_reaction reaction; /* when it is reached; not sync */
	char **exec;               /* as above */
	uint32_t exec_timeout_ms;
};

enum dg_rule_kind {
	DG_RULE_POLICY,
	DG_RULE_DEVICE,
	_DG_RULE_KIND_MAX,
};

/*
 * By the end of the file's name. -ENOENT: no rule file; also if it begins with
 * a dot. -EINVAL: one, but its name is too long, or has other characters than
 * printable ASCII without blanks.
 */
int dg_rule_kind_of(const char *name, enum dg_rule_kind *ret);
const char *dg_rule_kind_suffix(enum dg_rule_kind kind); /* ".policy" */

typedef void (*dg_rule_error_func)(void *userdata, const struct dg_text_error *error);

/*
 * Reads one file. -EINVAL: every error was told, in the order of the lines, and
 * *ret is untouched. -ENOMEM. Users and groups that are not numbers are left
 * DG_PATTERN_NAME. path and name are copied.
 */
int dg_rule_parse(const char *path, const char *text, size_t n_text, dg_rule_error_func func,
		  void *userdata, struct dg_rule *ret);
int dg_device_rule_parse(const char *path, const char *text, size_t n_text, dg_rule_error_func func,
			 void *userdata, struct dg_device_rule *ret);

void dg_rule_done(struct dg_rule *rule);
void dg_device_rule_done(struct dg_device_rule *rule);

/* The ladder has this action. */
bool dg_rule_has(const struct dg_rule *rule, enum dg_action action);

/* It says of this key whom it is for: by a list with no word that is wildcards alone. */
bool dg_rule_names(const struct dg_rule *rule, enum dg_key key);

/*
 * To be checkpointed is to be trusted like root, since CRIU is root when it opens the files of
 * a process again, and whoever owns the process may have put others in their places: those
 * who are not root a rule names, as a user or by a unit. In what a user's own manager has
 * started, the names of units are that user's choice, and only that of the user counts.
 */
bool dg_rule_trusts(const struct dg_rule *rule, bool in_user_unit);

/* A ladder whose rungs are all leave asks nothing of anybody. */
bool dg_rule_leaves(const struct dg_rule *rule);

/*
 * What becomes of this rung without being done, or NULL: dg_action_skipped(),
 * "not-trusted" for a checkpoint of somebody whom the rule does not trust, and
 * "dry-run" for what would be done if the rule meant it.
 */
const char *dg_rule_skipped(const struct dg_rule *rule, size_t rung,
			    const struct dg_holder *holder);

/* Why the rule is, or is not, for the subject. */
void dg_rule_explain(const struct dg_rule *rule, const struct dg_subject *subject,
		     struct dg_reason *ret);
