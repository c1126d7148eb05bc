/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* daxguardctl check-policy [FILE…]: needs no daemon, and reads as it does. */
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>

#include "client.h"
#include "json.h"
#include "names.h"
#include "policy-files.h"
#include "print.h"
#include "text.h"

static json_object *path_json(const char *path)
{
	return json_bytes(path, strlen(path));
}

static json_object *place_json(const char *path, unsigned line, unsigned column, const char *reason)
{
	json_object *place = json_object_new_object();

	json_object_object_add(place, "Path", path_json(path));
	json_object_object_add(place, "Line", json_object_new_int64(line));
	json_object_object_add(place, "Column", json_object_new_int64(column));
	json_object_object_add(place, "Reason", path_json(reason));
	return place;
}

static json_object *files_json(const struct policy_files *files)
{
	json_object *list = json_object_new_array();

	for (size_t i = 0; i < files->n_files; i++) {
		const struct policy_file *file = &files->files[i];
		json_object *object = json_object_new_object();

		json_object_object_add(object, "Path", path_json(file->path));
		json_object_object_add(object, "Kind",
				       json_object_new_string(dg_rule_kind_suffix(file->kind) + 1));
		json_object_object_add(object, "State",
				       json_object_new_string(policy_file_state_name(file->state)));
		json_object_array_add(list, object);
	}
	return list;
}

static json_object *errors_json(const struct policy_files *files)
{
	json_object *list = json_object_new_array();

	for (size_t i = 0; i < files->n_errors; i++) {
		const struct policy_error *error = &files->errors[i];

		json_object_array_add(
			list, place_json(error->path, error->line, error->column, error->reason));
	}
	return list;
}

static int lookup(void *userdata, enum dg_key key, const char *name, uint32_t *ret_id)
{
	const struct passwd *user = key == DG_KEY_USER ? getpwnam(name) : NULL;
	const struct group *group = key == DG_KEY_GROUP ? getgrnam(name) : NULL;

	if (!user && !group)
		return -ENOENT;
	*ret_id = user ? user->pw_uid : group->gr_gid;
	return 0;
}

static int add_warning(void *userdata, const struct dg_rule *rule, enum dg_key key,
		       const struct dg_pattern *pattern)
{
	json_object *list = userdata;
	char *reason;

	if (pattern->kind != DG_PATTERN_NAME)
		return 0;
	reason = text_format("there is no %s \"%s\" here", key == DG_KEY_USER ? "user" : "group",
			     pattern->text);
	if (!reason)
		return -ENOMEM;
	json_object_array_add(list, place_json(rule->path, pattern->line, pattern->column, reason));
	free(reason);
	return 0;
}

static int add_missing(void *userdata, const struct dg_rule *rule, const char *reason)
{
	json_object_array_add(userdata, place_json(rule->path, rule->line, 1, reason));
	return 0;
}

/* Names that nobody knows are no error: it may be another machine's rule. */
static int warnings_json(struct policy_files *files, json_object **ret)
{
	json_object *list = json_object_new_array();
	int r = 0;

	if (files->policy) {
		dg_policy_resolve(files->policy, lookup, NULL);
		r = dg_policy_foreach_name(files->policy, add_warning, list);
		if (r >= 0)
			r = policy_foreach_missing(files->policy, DG_CRIU, add_missing, list);
	}
	*ret = list;
	return r;
}

static int print_places(FILE *f, const struct table_style *style, json_object *check,
			const char *key, enum table_colour colour, const char *prefix)
{
	for (size_t i = 0; i < json_count(check, key); i++) {
		json_object *place = json_item(check, key, i);
		char *path = json_text(place, "Path"), *reason = json_text(place, "Reason");
		uint64_t line = json_num(place, "Line"), column = json_num(place, "Column");
		bool good = path && reason;

		if (good && line > 0)
			fprintf(f, "%s:%llu:%llu: ", path, (unsigned long long)line,
				(unsigned long long)column);
		else if (good)
			fprintf(f, "%s: ", path);
		if (good)
			fprintf(f, "%s%s%s%s\n", table_colour_on(colour, style->colour), prefix,
				reason, table_colour_off(colour, style->colour));
		free(path);
		free(reason);
		if (!good)
			return -ENOMEM;
	}
	return 0;
}

static size_t count_state(json_object *check, const char *state)
{
	size_t n = 0;

	for (size_t i = 0; i < json_count(check, "Files"); i++)
		n += strcmp(json_str(json_item(check, "Files", i), "State"), state) == 0;
	return n;
}

int print_check(FILE *f, const struct table_style *style, json_object *check)
{
	size_t n_errors = json_count(check, "Errors"), n_read = count_state(check, "read");
	size_t n_masked = count_state(check, "masked");
	int r = print_places(f, style, check, "Errors", TABLE_BAD, "");

	if (r == 0)
		r = print_places(f, style, check, "Warnings", TABLE_WARN, "warning: ");
	if (r < 0 || !style->legend)
		return r;
	fprintf(f, "%zu rule file%s without an error", n_read, n_read == 1 ? "" : "s");
	if (n_masked > 0)
		fprintf(f, ", %zu masked", n_masked);
	if (n_errors > 0)
		fprintf(f, "; %zu error%s%s, so none of them counts", n_errors,
			n_errors == 1 ? "" : "s",
			json_flag(check, "MoreErrors") ? " and more" : "");
	fputs(".\n", f);
	return 0;
}

enum ctl_exit verb_check_policy(const struct ctl *ctl, int argc, char *argv[])
{
	struct policy_files files = {};
	json_object *check, *warnings;
	enum ctl_exit code;
	bool wrong;
	int r;

	r = argc > 0 ? policy_files_check(argv, (size_t)argc, &files)
		     : policy_files_load(NULL, &files);
	if (r < 0)
		return client_fail(CTL_FAILURE, "%s", strerror(-r));
	wrong = files.n_errors > 0;
	check = json_object_new_object();
	json_object_object_add(check, "Files", files_json(&files));
	json_object_object_add(check, "Errors", errors_json(&files));
	json_object_object_add(check, "MoreErrors", json_object_new_boolean(files.more_errors));
	r = warnings_json(&files, &warnings);
	json_object_object_add(check, "Warnings", warnings);
	policy_files_done(&files);
	if (r < 0) {
		json_object_put(check);
		return client_fail(CTL_FAILURE, "%s", strerror(-r));
	}
	code = print_answer(ctl, "Check", check, print_check);
	return code == CTL_OK && wrong ? CTL_INVALID : code;
}
