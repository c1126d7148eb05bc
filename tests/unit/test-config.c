/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "test.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config.h"
#include "names.h"

static char path[64];

static int setup(void **state)
{
	int fd;

	strcpy(path, "/tmp/daxguard-config-XXXXXX");
	fd = mkstemp(path);
	if (fd < 0)
		return -1;
	close(fd);
	return 0;
}

static int teardown(void **state)
{
	unlink(path);
	return 0;
}

static void put(const char *text, size_t n)
{
	FILE *file = fopen(path, "w");

	fwrite(text, n, 1, file);
	fclose(file);
}

static void expect_error(const char *reason)
{
	struct config config;
	char wanted[256];

	assert_int_equal(config_load(path, &config), 0);
	snprintf(wanted, sizeof(wanted), "%s%s", path, reason);
	assert_non_null(config.errors[0]);
	assert_string_equal(config.errors[0], wanted);
	assert_true(config.builtin);
	assert_int_equal(config.settings.incidents_max, 256);
	config_done(&config);
}

static bool is_root(void)
{
	return geteuid() == 0;
}

static void a_good_file(void **state)
{
	static const char text[] = "[Daemon]\nIncidentsMax=3\n";
	struct config config;

	if (!is_root())
		skip();
	put(text, strlen(text));
	assert_int_equal(config_load(path, &config), 0);
	assert_null(config.errors[0]);
	assert_false(config.builtin);
	assert_string_equal(config.files[0], path);
	assert_int_equal(config.settings.incidents_max, 3);
	config_done(&config);
}

static void a_wrong_line(void **state)
{
	static const char text[] = "[Daemon]\nIncidentsMax=3\nIncidents=4\n";

	if (!is_root())
		skip();
	put(text, strlen(text));
	expect_error(":3:1: unknown key \"Incidents\" in [Daemon]");
}

static void who_may_write_it(void **state)
{
	if (!is_root())
		skip();
	assert_int_equal(chmod(path, 0620), 0);
	expect_error(": refused: others than its owner may write to it");
	assert_int_equal(chmod(path, 0602), 0);
	expect_error(": refused: others than its owner may write to it");
}

static void whose_it_is(void **state)
{
	if (!is_root() || chown(path, 1, 1) < 0)
		skip();
	expect_error(": refused: it is not owned by root");
}

static void too_large(void **state)
{
	char *text = malloc(DG_CONFIG_MAX + 1);

	if (!is_root())
		skip();
	memset(text, '\n', DG_CONFIG_MAX + 1);
	put(text, DG_CONFIG_MAX + 1);
	expect_error(": refused: it is too large");
	free(text);
}

static void no_file(void **state)
{
	unlink(path);
	expect_error(": No such file or directory");
}

static void a_pipe(void **state)
{
	unlink(path);
	assert_int_equal(mkfifo(path, 0600), 0);
	expect_error(": not a regular file");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(a_good_file), TEST(a_wrong_line), TEST(who_may_write_it), TEST(whose_it_is),
		TEST(too_large),   TEST(no_file),      TEST(a_pipe),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
