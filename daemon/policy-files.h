/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Rule files: found, checked for their owner, read, parsed.
 *
 * Of several files of one name that in /etc is read, else that in /run, else
 * that in /usr/lib; an empty one, or a link to /dev/null, masks the others and
 * is no rule. A directory or a file that is not root's, or that others may
 * write, is refused. All or nothing: with any error there is no policy, and
 * whoever has one keeps it. All errors of all files are kept to be shown.
 *
 * Reads files, and so may block: never while a hold is open.
 */
#pragma once

#include "core/policy.h"

enum policy_file_state {
	POLICY_FILE_READ,
	POLICY_FILE_MASKED,     /* it is empty: no rule */
	POLICY_FILE_OVERRIDDEN, /* another of its name comes first */
	POLICY_FILE_WRONG,
	_POLICY_FILE_STATE_MAX,
};
const char *policy_file_state_name(enum policy_file_state state);

struct policy_file {
	char *path;
	enum dg_rule_kind kind;
	enum policy_file_state state;
};

/* Paths of files are bytes; those of the usual directories are ASCII. */
struct policy_error {
	char *path;
	unsigned line, column; /* 0: the file as a whole */
	char *reason;
};

struct policy_files {
	struct dg_policy
		*policy; /* NULL: there are errors; else the caller's, or unreferenced by _done() */
	struct policy_file *files; /* by name, of one name by precedence */
	size_t n_files;
	struct policy_error *errors;
	size_t n_errors;
	bool more_errors; /* than DG_POLICY_ERRORS_MAX */
};

/* dirs: by precedence, NULL at the end; NULL: the usual ones. Only -ENOMEM fails. */
int policy_files_load(const char *const *dirs, struct policy_files *ret);

/* These files, in this order, whoever owns them: they are only looked at. Only -ENOMEM fails. */
int policy_files_check(char *const *paths, size_t n_paths, struct policy_files *ret);

/* Whether checkpoints can be made, by CRIU's program. */
bool policy_has_criu(const char *criu);

/* Each rule that asks for what is not done, or not for everybody, and why; no error. */
int policy_foreach_missing(const struct dg_policy *policy, const char *criu,
			   int (*func)(void *userdata, const struct dg_rule *rule,
				       const char *reason),
			   void *userdata);

void policy_files_done(struct policy_files *files);
