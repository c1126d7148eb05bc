/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "test.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "names.h"
#include "policy-files.h"

#define RULE "[Match]\nDevice=*\n[Policy]\nAction=kill\n"
#define DEVICE_RULE "[Match]\nDevice=*\n[Device]\nOnBusy=keep\n"

static char top[64];
static char dir_names[3][80];
static const char *const dirs[] = {dir_names[0], dir_names[1], dir_names[2], NULL};
static struct policy_files files;

static int setup(void **state)
{
	strcpy(top, "/tmp/daxguard-policy-XXXXXX");
	if (!mkdtemp(top))
		return -1;
	for (unsigned i = 0; i < 3; i++) {
		snprintf(dir_names[i], sizeof(dir_names[i]), "%s/%u", top, i);
		if (mkdir(dir_names[i], 0755) < 0)
			return -1;
	}
	return 0;
}

static int teardown(void **state)
{
	char command[128];

	policy_files_done(&files);
	snprintf(command, sizeof(command), "rm -rf %s", top);
	return system(command);
}

static const char *path_of(unsigned dir, const char *name)
{
	static char path[256];

	snprintf(path, sizeof(path), "%s/%s", dir_names[dir], name);
	return path;
}

static void put(unsigned dir, const char *name, const char *text)
{
	const char *path = path_of(dir, name);
	FILE *file = fopen(path, "w");

	assert_non_null(file);
	fputs(text, file);
	fclose(file);
	chmod(path, 0644);
}

/* "0/10-a.policy=read " and so on, then errors a line each. */
static void expect(const char *wanted)
{
	char said[4096] = "";
	size_t n = 0;

	policy_files_done(&files);
	assert_int_equal(policy_files_load(dirs, &files), 0);
	for (size_t i = 0; i < files.n_files; i++)
		n += (size_t)snprintf(said + n, sizeof(said) - n, "%s=%s ",
				      files.files[i].path + strlen(top) + 1,
				      policy_file_state_name(files.files[i].state));
	for (size_t i = 0; i < files.n_errors; i++)
		n += (size_t)snprintf(said + n, sizeof(said) - n, "%s:%u:%u: %s\n",
				      files.errors[i].path + strlen(top) + 1, files.errors[i].line,
				      files.errors[i].column, files.errors[i].reason);
	assert_string_equal(said, wanted);
	assert_true((files.n_errors > 0) == (files.policy == NULL));
}

static void skip_unless_root(void)
{
	if (geteuid() != 0)
		skip(); /* nothing that another owns is trusted */
}

static void no_files_at_all(void **state)
{
	for (unsigned i = 0; i < 3; i++)
		rmdir(dir_names[i]);
	expect("");
	assert_int_equal(files.policy->n_rules, 0);
}

static void by_name_over_all_directories(void **state)
{
	skip_unless_root();
	put(2, "10-a.policy", RULE);
	put(0, "20-b.policy", RULE);
	put(1, "15-c.policy", RULE);
	put(1, "05-d.device", DEVICE_RULE);
	put(0, "README", "not a rule");
	put(0, ".10-x.policy", "hidden");
	put(0, "10-x.policy~", "a backup");
	expect("1/05-d.device=read 2/10-a.policy=read 1/15-c.policy=read 0/20-b.policy=read ");
	assert_int_equal(files.policy->n_rules, 3);
	assert_int_equal(files.policy->n_device_rules, 1);
	assert_string_equal(files.policy->rules[0].name, "10-a.policy");
	assert_string_equal(files.policy->rules[2].name, "20-b.policy");
}

static void the_first_directory_wins(void **state)
{
	skip_unless_root();
	put(2, "10-a.policy", "what is overridden is not read\n");
	put(1, "10-a.policy", RULE);
	put(2, "10-a.device", DEVICE_RULE);
	expect("2/10-a.device=read 1/10-a.policy=read 2/10-a.policy=overridden ");
	put(0, "10-a.policy", RULE);
	expect("2/10-a.device=read 0/10-a.policy=read 1/10-a.policy=overridden "
	       "2/10-a.policy=overridden ");
	assert_string_equal(files.policy->rules[0].path, path_of(0, "10-a.policy"));
}

static void masked(void **state)
{
	skip_unless_root();
	put(2, "10-a.policy", RULE);
	put(2, "20-b.policy", RULE);
	put(1, "10-a.policy", "");
	assert_int_equal(symlink("/dev/null", path_of(0, "20-b.policy")), 0);
	expect("1/10-a.policy=masked 2/10-a.policy=overridden 0/20-b.policy=masked "
	       "2/20-b.policy=overridden ");
	assert_int_equal(files.policy->n_rules, 0);
}

static void a_link_to_a_rule(void **state)
{
	skip_unless_root();
	put(0, "store", RULE);
	assert_int_equal(symlink("store", path_of(0, "10-a.policy")), 0);
	expect("0/10-a.policy=read ");
	assert_int_equal(symlink("nowhere", path_of(0, "20-a.policy")), 0);
	expect("0/10-a.policy=read 0/20-a.policy=wrong "
	       "0/20-a.policy:0:0: No such file or directory\n");
}

/* All or nothing, and all that is wrong is said. */
static void all_errors_of_all_files(void **state)
{
	skip_unless_root();
	put(0, "10-a.policy", RULE);
	put(0, "20-b.policy", "[Match]\nUntis=x\n\n[Policy]\nAction=kil\n");
	put(1, "30-c.device", "[Match]\nDevice=*\n");
	expect("0/10-a.policy=read 0/20-b.policy=wrong 1/30-c.device=wrong "
	       "0/20-b.policy:2:1: unknown key \"Untis\" in [Match]; did you mean \"Unit\"?\n"
	       "0/20-b.policy:5:8: the action \"kil\" is not known; did you mean \"kill\"?\n"
	       "1/30-c.device:1:1: there is no [Device]\n");
}

static void insecure_files(void **state)
{
	skip_unless_root();
	put(0, "10-a.policy", RULE);
	chmod(path_of(0, "10-a.policy"), 0664);
	put(0, "20-b.policy", RULE);
	chmod(path_of(0, "20-b.policy"), 0646);
	put(0, "30-c.policy", RULE);
	assert_int_equal(chown(path_of(0, "30-c.policy"), 65534, 0), 0);
	expect("0/10-a.policy=wrong 0/20-b.policy=wrong 0/30-c.policy=wrong "
	       "0/10-a.policy:0:0: refused: others than its owner may write to it\n"
	       "0/20-b.policy:0:0: refused: others than its owner may write to it\n"
	       "0/30-c.policy:0:0: refused: it is not owned by root\n");
}

static void an_insecure_directory(void **state)
{
	skip_unless_root();
	put(1, "10-a.policy", RULE);
	chmod(dir_names[1], 0777);
	expect("1:0:0: refused: others than its owner may write to it\n");
	chmod(dir_names[1], 0755);
	assert_int_equal(chown(dir_names[1], 65534, 0), 0);
	expect("1:0:0: refused: it is not owned by root\n");
}

static void what_is_no_regular_file(void **state)
{
	skip_unless_root();
	assert_int_equal(mkfifo(path_of(0, "10-a.policy"), 0600), 0);
	assert_int_equal(mkdir(path_of(0, "20-b.policy"), 0755), 0);
	assert_int_equal(symlink("/dev/zero", path_of(0, "30-c.policy")), 0);
	expect("0/10-a.policy=wrong 0/20-b.policy=wrong 0/30-c.policy=wrong "
	       "0/10-a.policy:0:0: not a regular file\n"
	       "0/20-b.policy:0:0: not a regular file\n"
	       "0/30-c.policy:0:0: not a regular file\n");
}

static void a_large_file(void **state)
{
	static char text[DG_RULE_FILE_MAX + 2];

	skip_unless_root();
	memset(text, '#', sizeof(text) - 1);
	put(0, "10-a.policy", text);
	expect("0/10-a.policy=wrong 0/10-a.policy:0:0: refused: it is too large\n");
}

static void a_name_for_no_terminal(void **state)
{
	skip_unless_root();
	put(0, "10-\033[2J\xff.policy", RULE);
	expect("0/10-?[2J?.policy:0:0: refused: its name has more than 63 bytes, or other "
	       "characters than letters, digits and punctuation\n");
}

static void more_errors_than_are_kept(void **state)
{
	char name[32];

	skip_unless_root();
	for (unsigned i = 0; i < DG_POLICY_ERRORS_MAX + 5; i++) {
		snprintf(name, sizeof(name), "%03u.policy", i);
		put(0, name, "what\n");
	}
	policy_files_done(&files);
	assert_int_equal(policy_files_load(dirs, &files), 0);
	assert_int_equal(files.n_errors, DG_POLICY_ERRORS_MAX);
	assert_true(files.more_errors);
	assert_null(files.policy);
}

/* A draft is nobody's danger. */
static void files_by_name(void **state)
{
	char good[256], wrong[256], other[256],
		*paths[] = {good, wrong, other, "/nonexistent.policy"};

	put(0, "a.policy", RULE);
	strcpy(good, path_of(0, "a.policy"));
	chmod(good, 0666);
	put(0, "b.device", RULE);
	strcpy(wrong, path_of(0, "b.device"));
	put(0, "c.txt", RULE);
	strcpy(other, path_of(0, "c.txt"));

	policy_files_done(&files);
	assert_int_equal(policy_files_check(paths, 1, &files), 0);
	assert_int_equal(files.policy->n_rules, 1);
	policy_files_done(&files);
	assert_int_equal(policy_files_check(paths, 4, &files), 0);
	assert_null(files.policy);
	assert_int_equal(files.n_files, 3);
	assert_int_equal(files.files[0].state, POLICY_FILE_READ);
	assert_int_equal(files.files[1].state, POLICY_FILE_WRONG);
	assert_int_equal(files.n_errors, 3);
	assert_string_equal(files.errors[0].reason, "[Policy] is for *.policy files");
	assert_string_equal(files.errors[1].reason,
			    "its name ends with neither .policy nor .device");
	assert_string_equal(files.errors[2].reason, "No such file or directory");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(no_files_at_all, setup, teardown),
		cmocka_unit_test_setup_teardown(by_name_over_all_directories, setup, teardown),
		cmocka_unit_test_setup_teardown(the_first_directory_wins, setup, teardown),
		cmocka_unit_test_setup_teardown(masked, setup, teardown),
		cmocka_unit_test_setup_teardown(a_link_to_a_rule, setup, teardown),
		cmocka_unit_test_setup_teardown(all_errors_of_all_files, setup, teardown),
		cmocka_unit_test_setup_teardown(insecure_files, setup, teardown),
		cmocka_unit_test_setup_teardown(an_insecure_directory, setup, teardown),
		cmocka_unit_test_setup_teardown(what_is_no_regular_file, setup, teardown),
		cmocka_unit_test_setup_teardown(a_large_file, setup, teardown),
		cmocka_unit_test_setup_teardown(a_name_for_no_terminal, setup, teardown),
		cmocka_unit_test_setup_teardown(more_errors_than_are_kept, setup, teardown),
		cmocka_unit_test_setup_teardown(files_by_name, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
