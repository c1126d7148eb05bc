/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "test.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io/store.h"

static char dir[64];
static struct store *store;

static int setup(void **state)
{
	strcpy(dir, "/tmp/daxguard-store-XXXXXX");
	if (!mkdtemp(dir))
		return -1;
	return store_new(dir, &store);
}

static int teardown(void **state)
{
	char command[128];

	store = store_free(store);
	snprintf(command, sizeof(command), "rm -rf %s", dir);
	return system(command);
}

static void put(uint64_t id, const char *text)
{
	struct store_record *record;

	assert_int_equal(store_record_open(store, id, 1000, &record), 0);
	assert_int_equal(store_record_append(record, text, strlen(text)), 0);
	store_record_close(record);
}

static void records_are_appended_to(void **state)
{
	char *text;
	size_t n;

	put(5, "one\n");
	put(5, "two\n");
	assert_int_equal(store_read(store, 5, 1000, &text, &n), 0);
	assert_int_equal(n, 8);
	assert_memory_equal(text, "one\ntwo\n", 8);
	free(text);
	assert_int_equal(store_read(store, 5, 3, &text, &n), 0);
	assert_int_equal(n, 3);
	free(text);
	assert_int_equal(store_read(store, 6, 1000, &text, &n), -ENOENT);
}

/* Its writer was killed in the middle of it. */
static void half_a_line_is_cut_off(void **state)
{
	char *text, *longest = calloc(1, 900);
	size_t n;

	put(5, "one\ntw");
	put(5, "three\n");
	assert_int_equal(store_read(store, 5, 1000, &text, &n), 0);
	assert_int_equal(n, 10);
	assert_memory_equal(text, "one\nthree\n", 10);
	free(text);
	memset(longest, 'x', 899);
	put(6, longest);
	put(6, "two\n");
	assert_int_equal(store_read(store, 6, 1000, &text, &n), 0);
	assert_int_equal(n, 4);
	free(text);
	free(longest);
}

static void only_root_reads_them(void **state)
{
	char path[128];
	struct stat status;

	put(5, "one\n");
	snprintf(path, sizeof(path), "%s/incidents", dir);
	assert_int_equal(stat(path, &status), 0);
	assert_int_equal(status.st_mode & 07777, 0700);
	strcat(path, "/5");
	assert_int_equal(stat(path, &status), 0);
	assert_int_equal(status.st_mode & 07777, 0600);
}

static void the_list_is_by_number(void **state)
{
	char path[128];
	uint64_t *ids;
	size_t n;

	assert_int_equal(store_list(store, &ids, &n), 0);
	assert_int_equal(n, 0);
	free(ids);
	put(100, "x\n");
	put(20, "x\n");
	put(UINT64_MAX, "x\n");
	snprintf(path, sizeof(path), "%s/incidents/020", dir);
	close(open(path, O_CREAT | O_WRONLY, 0600));
	snprintf(path, sizeof(path), "%s/incidents/20.tmp", dir);
	close(open(path, O_CREAT | O_WRONLY, 0600));
	assert_int_equal(store_list(store, &ids, &n), 0);
	assert_int_equal(n, 3);
	assert_int_equal(ids[0], 20);
	assert_int_equal(ids[1], 100);
	assert_true(ids[2] == UINT64_MAX);
	free(ids);
	assert_int_equal(store_remove(store, 20), 0);
	assert_int_equal(store_remove(store, 20), -ENOENT);
}

static void a_limit_is_a_limit(void **state)
{
	struct store_record *record;

	assert_int_equal(store_record_open(store, 5, 6, &record), 0);
	assert_int_equal(store_record_append(record, "1234\n", 5), 0);
	assert_int_equal(store_record_append(record, "5\n", 2), -EFBIG);
	assert_int_equal(store_record_append(record, "\n", 1), 0);
	store_record_close(record);
	assert_int_equal(store_record_open(store, 5, 6, &record), 0);
	assert_int_equal(store_record_append(record, "\n", 1), -EFBIG);
	store_record_close(record);
}

/* As a full /run: the line that does not fit leaves nothing of itself. */
static void half_a_line_is_taken_back(void **state)
{
	struct rlimit before, little = {6, RLIM_INFINITY};
	struct store_record *record;
	char *text;
	size_t n;

	assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(store_record_open(store, 5, 1000, &record), 0);
	assert_int_equal(store_record_append(record, "123\n", 4), 0);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &little), 0);
	assert_int_equal(store_record_append(record, "5678\n", 5), -ENOSPC);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
	assert_int_equal(store_record_append(record, "9\n", 2), 0);
	store_record_close(record);
	assert_int_equal(store_read(store, 5, 1000, &text, &n), 0);
	assert_int_equal(n, 6);
	assert_memory_equal(text, "123\n9\n", 6);
	free(text);
}

static void a_link_is_not_followed(void **state)
{
	struct store_record *record;
	char path[128];

	snprintf(path, sizeof(path), "%s/incidents/5", dir);
	assert_int_equal(symlink("/etc/passwd", path), 0);
	assert_int_equal(store_record_open(store, 5, 1000, &record), -ELOOP);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(records_are_appended_to), TEST(half_a_line_is_cut_off),
		TEST(only_root_reads_them),    TEST(the_list_is_by_number),
		TEST(a_limit_is_a_limit),      TEST(half_a_line_is_taken_back),
		TEST(a_link_is_not_followed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
