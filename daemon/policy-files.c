/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "policy-files.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "names.h"
#include "trusted-file.h"

static const char *const usual_dirs[] = {
	DAXGUARD_SYSCONFDIR "/" DG_POLICY_DIR_NAME,
	"/run/" DG_POLICY_DIR_NAME,
	DAXGUARD_VENDORLIBDIR "/" DG_POLICY_DIR_NAME,
	NULL,
};

const char *policy_file_state_name(enum policy_file_state state)
{
	static const char *const names[_POLICY_FILE_STATE_MAX] = {
		[POLICY_FILE_READ] = "read",
		[POLICY_FILE_MASKED] = "masked",
		[POLICY_FILE_OVERRIDDEN] = "overridden",
		[POLICY_FILE_WRONG] = "wrong",
	};

	return (unsigned)state < _POLICY_FILE_STATE_MAX ? names[state] : "unknown";
}

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

static int add_error(struct policy_files *files, const char *path, unsigned line, unsigned column,
		     const char *reason)
{
	struct policy_error *errors, error = {.line = line, .column = column};

	if (files->n_errors >= DG_POLICY_ERRORS_MAX) {
		files->more_errors = true;
		return 0;
	}
	errors = reallocarray(files->errors, files->n_errors + 1, sizeof(*errors));
	if (!errors)
		return -ENOMEM;
	files->errors = errors;
	error.path = strdup(path);
	error.reason = strdup(reason);
	if (!error.path || !error.reason) {
		free(error.path);
		free(error.reason);
		return -ENOMEM;
	}
	errors[files->n_errors++] = error;
	return 0;
}

/* Takes path, also when it fails. */
static int add_file(struct policy_files *files, char *path, enum dg_rule_kind kind)
{
	struct policy_file *grown = NULL;

	if (path)
		grown = reallocarray(files->files, files->n_files + 1, sizeof(*grown));
	if (!grown) {
		free(path);
		return -ENOMEM;
	}
	files->files = grown;
	grown[files->n_files++] = (struct policy_file){path, kind, POLICY_FILE_READ};
	return 0;
}

/* What the parser tells, while it reads one file. */
struct reading {
	struct policy_files *files;
	const char *path;
	int r;
};

static void add_text_error(void *userdata, const struct dg_text_error *error)
{
	struct reading *reading = userdata;

	if (reading->r == 0)
		reading->r = add_error(reading->files, reading->path, error->line, error->column,
				       error->reason);
}

static int add_rule(struct policy_files *files, const char *path, const struct trusted_file *file)
{
	struct reading reading = {files, path, 0};
	struct dg_rule rule;
	int r = dg_rule_parse(path, file->text, file->n_text, add_text_error, &reading, &rule);

	if (r < 0)
		return reading.r < 0 ? reading.r : r;
	r = dg_policy_add(files->policy, &rule);
	dg_rule_done(&rule);
	return r;
}

static int add_device_rule(struct policy_files *files, const char *path,
			   const struct trusted_file *file)
{
	struct reading reading = {files, path, 0};
	struct dg_device_rule rule;
	int r = dg_device_rule_parse(path, file->text, file->n_text, add_text_error, &reading,
				     &rule);

	if (r < 0)
		return reading.r < 0 ? reading.r : r;
	r = dg_policy_add_device(files->policy, &rule);
	dg_device_rule_done(&rule);
	return r;
}

static int read_file(struct policy_files *files, struct policy_file *entry, unsigned flags)
{
	struct trusted_file file;
	int r = trusted_file_read(entry->path, DG_RULE_FILE_MAX, flags | TRUSTED_NULL, &file);

	if (r == -ENOMEM)
		return r;
	entry->state = POLICY_FILE_WRONG;
	if (r < 0 || file.error)
		return add_error(files, entry->path, 0, 0, r < 0 ? strerror(-r) : file.error);
	if (file.n_text == 0)
		entry->state = POLICY_FILE_MASKED;
	else if (entry->kind == DG_RULE_POLICY)
		r = add_rule(files, entry->path, &file);
	else
		r = add_device_rule(files, entry->path, &file);
	free(file.text);
	if (r == -E2BIG)
		return add_error(files, entry->path, 0, 0, "there are too many rules");
	if (r == 0 && entry->state != POLICY_FILE_MASKED)
		entry->state = POLICY_FILE_READ;
	return r == -EINVAL ? 0 : r; /* its errors are told */
}

/* A name that would not look like itself in a log. */
static void make_printable(char *path)
{
	for (; *path; path++)
		if (*path < ' ' || *path > '~')
			*path = '?';
}

static int add_entry(struct policy_files *files, const char *dir, const char *name)
{
	enum dg_rule_kind kind;
	char *path;
	int r = dg_rule_kind_of(name, &kind);

	if (r == -ENOENT)
		return 0;
	if (asprintf(&path, "%s/%s", dir, name) < 0)
		return -ENOMEM;
	if (r == 0 && files->n_files < 4 * DG_RULES_MAX)
		return add_file(files, path, kind);
	make_printable(path);
	r = add_error(files, path, 0, 0,
		      r == 0 ? "there are too many files"
			     : "refused: its name has more than 63 bytes, or other characters "
			       "than letters, digits and punctuation");
	free(path);
	return r;
}

static int read_entries(struct policy_files *files, const char *dir, DIR *stream)
{
	const struct dirent *entry;
	struct stat status;
	const char *why;
	int r = 0;

	if (fstat(dirfd(stream), &status) < 0)
		return add_error(files, dir, 0, 0, strerror(errno));
	why = trusted_why_not(status.st_uid, status.st_mode);
	if (why)
		return add_error(files, dir, 0, 0, why);
	while (r == 0) {
		errno = 0;
		entry = readdir(stream);
		if (!entry)
			return errno == 0 ? 0 : add_error(files, dir, 0, 0, strerror(errno));
		r = add_entry(files, dir, entry->d_name);
	}
	return r;
}

static int read_dir(struct policy_files *files, const char *dir)
{
	DIR *stream = opendir(dir);
	int r;

	if (!stream)
		return errno == ENOENT ? 0 : add_error(files, dir, 0, 0, strerror(errno));
	r = read_entries(files, dir, stream);
	closedir(stream);
	return r;
}

struct by_name {
	struct policy_file file;
	size_t place; /* as found: the directories stand in their order */
};

static int compare_names(const void *a, const void *b)
{
	const struct by_name *x = a, *y = b;
	int r = strcmp(base_name(x->file.path), base_name(y->file.path));

	return r != 0 ? r : x->place < y->place ? -1 : 1;
}

/* By name, in the C locale's order; of one name by precedence. */
static int sort_files(struct policy_files *files)
{
	struct by_name *sorted = calloc(files->n_files + 1, sizeof(*sorted));

	if (!sorted)
		return -ENOMEM;
	for (size_t i = 0; i < files->n_files; i++)
		sorted[i] = (struct by_name){files->files[i], i};
	qsort(sorted, files->n_files, sizeof(*sorted), compare_names);
	for (size_t i = 0; i < files->n_files; i++) {
		files->files[i] = sorted[i].file;
		if (i > 0 &&
		    strcmp(base_name(sorted[i - 1].file.path), base_name(sorted[i].file.path)) == 0)
			files->files[i].state = POLICY_FILE_OVERRIDDEN;
	}
	free(sorted);
	return 0;
}

static int begin(struct policy_files *files)
{
	*files = (struct policy_files){.policy = dg_policy_new()};
	return files->policy ? 0 : -ENOMEM;
}

static int end(struct policy_files *files, int r, struct policy_files *ret)
{
	if (r < 0) {
		policy_files_done(files);
		return r;
	}
	if (files->n_errors > 0) {
		dg_policy_unref(files->policy);
		files->policy = NULL;
	}
	*ret = *files;
	return 0;
}

int policy_files_load(const char *const *dirs, struct policy_files *ret)
{
	struct policy_files files;
	int r = begin(&files);

	for (dirs = dirs ?: usual_dirs; *dirs && r == 0; dirs++)
		r = read_dir(&files, *dirs);
	if (r == 0)
		r = sort_files(&files);
	for (size_t i = 0; i < files.n_files && r == 0; i++)
		if (files.files[i].state != POLICY_FILE_OVERRIDDEN)
			r = read_file(&files, &files.files[i], 0);
	return end(&files, r, ret);
}

static int check_path(struct policy_files *files, const char *path)
{
	enum dg_rule_kind kind;
	int r = dg_rule_kind_of(base_name(path), &kind);

	if (r == -ENOENT)
		return add_error(files, path, 0, 0,
				 "its name ends with neither .policy nor .device");
	if (r < 0)
		return add_error(files, path, 0, 0,
				 "its name has more than 63 bytes, or other characters than "
				 "letters, digits and punctuation");
	r = add_file(files, strdup(path), kind);
	if (r < 0)
		return r;
	return read_file(files, &files->files[files->n_files - 1], TRUSTED_ANY_OWNER);
}

int policy_files_check(char *const *paths, size_t n_paths, struct policy_files *ret)
{
	struct policy_files files;
	int r = begin(&files);

	for (size_t i = 0; i < n_paths && r == 0; i++)
		r = check_path(&files, paths[i]);
	return end(&files, r, ret);
}

bool policy_has_criu(const char *criu)
{
	return access(criu, X_OK) >= 0;
}

int policy_foreach_missing(const struct dg_policy *policy, const char *criu,
			   int (*func)(void *userdata, const struct dg_rule *rule,
				       const char *reason),
			   void *userdata)
{
	const struct dg_rule *rule;
	bool has_criu = policy_has_criu(criu);
	int r = 0;

	for (size_t i = 0; r >= 0 && (rule = dg_policy_rule_at(policy, i)); i++) {
		if (!dg_rule_has(rule, DG_ACTION_CHECKPOINT))
			continue;
		if (!has_criu)
			r = func(
				userdata, rule,
				"checkpoint needs CRIU, which is not installed: it is passed over");
		if (r >= 0 && !dg_rule_trusts(rule, false))
			r = func(userdata, rule,
				 "only processes of root are checkpointed: say Unit= or User=");
	}
	return r < 0 ? r : 0;
}

void policy_files_done(struct policy_files *files)
{
	dg_policy_unref(files->policy);
	for (size_t i = 0; i < files->n_files; i++)
		free(files->files[i].path);
	for (size_t i = 0; i < files->n_errors; i++) {
		free(files->errors[i].path);
		free(files->errors[i].reason);
	}
	free(files->files);
	free(files->errors);
	*files = (struct policy_files){};
}
