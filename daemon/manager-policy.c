/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The rules that are in force, and what is wrong with those that are not. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>

#include "manager-internal.h"
#include "names.h"

int lines_add(struct lines *lines, const char *format, ...)
{
	char **grown;
	va_list args;
	int n;

	grown = reallocarray(lines->items, lines->n + 2, sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	lines->items = grown;
	va_start(args, format);
	n = vasprintf(&grown[lines->n], format, args);
	va_end(args);
	if (n < 0) {
		grown[lines->n] = NULL;
		return -ENOMEM;
	}
	grown[++lines->n] = NULL;
	return 0;
}

void lines_done(struct lines *lines)
{
	for (size_t i = 0; i < lines->n; i++)
		free(lines->items[i]);
	free(lines->items);
	*lines = (struct lines){};
}

int policy_error_lines(const struct policy_files *files, struct lines *lines)
{
	int r = 0;

	for (size_t i = 0; i < files->n_errors && r >= 0; i++) {
		const struct policy_error *error = &files->errors[i];

		if (error->line > 0)
			r = lines_add(lines, "%s:%u:%u: %s", error->path, error->line,
				      error->column, error->reason);
		else
			r = lines_add(lines, "%s: %s", error->path, error->reason);
	}
	if (r >= 0 && files->more_errors)
		r = lines_add(lines, "there are more errors than %u", DG_POLICY_ERRORS_MAX);
	return r;
}

static int add_warning(void *userdata, const struct dg_rule *rule, enum dg_key key,
		       const struct dg_pattern *pattern)
{
	if (pattern->kind != DG_PATTERN_NAME)
		return 0;
	return lines_add(userdata, "%s:%u:%u: nobody here knows the %s \"%s\": it matches nobody",
			 rule->path, pattern->line, pattern->column,
			 key == DG_KEY_USER ? "user" : "group", pattern->text);
}

static int add_missing(void *userdata, const struct dg_rule *rule, const char *reason)
{
	return lines_add(userdata, "%s:%u: %s", rule->path, rule->line, reason);
}

int policy_take(struct manager *m, struct policy_files *files, struct names *names)
{
	struct lines warnings = {};
	int r;

	if (names)
		dg_policy_resolve(files->policy, names_resolve, names);
	r = dg_policy_foreach_name(files->policy, add_warning, &warnings);
	if (r >= 0)
		r = policy_foreach_missing(files->policy, m->paths->criu, add_missing, &warnings);
	if (r < 0) {
		lines_done(&warnings);
		return r;
	}
	for (size_t i = 0; i < warnings.n; i++)
		log_message(m, LOG_WARNING, DG_MESSAGE_CONFIG, "%s", warnings.items[i]);
	lines_done(&m->warnings);
	m->warnings = warnings;
	dg_policy_unref(m->policy);
	m->policy = files->policy;
	files->policy = NULL;
	m->policy_builtin = false;
	return 0;
}

static int has_name(void *userdata, const struct dg_rule *rule, enum dg_key key,
		    const struct dg_pattern *pattern)
{
	return 1;
}

int policy_begin(struct manager *m)
{
	struct policy_files files;
	int r;

	m->policy = dg_policy_builtin();
	r = policy_files_load(m->paths->policy_dirs, &files);
	if (r < 0)
		return r;
	if (files.policy) {
		m->policy = files.policy;
		files.policy = NULL;
		m->reload.wanted = dg_policy_foreach_name(m->policy, has_name, NULL) > 0;
		r = policy_foreach_missing(m->policy, m->paths->criu, add_missing, &m->warnings);
	} else {
		m->policy_builtin = true;
		r = policy_error_lines(&files, &m->refused);
	}
	policy_files_done(&files);
	return r;
}

void policy_log_begin(struct manager *m)
{
	for (size_t i = 0; i < m->refused.n; i++)
		log_message(m, LOG_ERR, DG_MESSAGE_CONFIG, "%s", m->refused.items[i]);
	/* With the names all of them are read, and said, again. */
	for (size_t i = 0; i < m->warnings.n && !m->reload.wanted; i++)
		log_message(m, LOG_WARNING, DG_MESSAGE_CONFIG, "%s", m->warnings.items[i]);
	if (m->policy_builtin)
		log_message(m, LOG_ERR, DG_MESSAGE_CONFIG,
			    "No rule of a file is in force; the built-in ones are");
}

void policy_done(struct manager *m)
{
	m->policy = dg_policy_unref(m->policy);
	lines_done(&m->refused);
	lines_done(&m->warnings);
}

const struct dg_policy *manager_policy(const struct manager *m)
{
	return m->policy;
}
