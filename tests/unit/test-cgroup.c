/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* io/cgroup with a /proc and a hierarchy made of plain files. */
#include "test.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "io/cgroup.h"

#define GROUP "/a.slice/b.service"

static char dir[] = "/tmp/test-cgroup-XXXXXX", root[64], proc[64];
static const struct cgroup_paths paths = {.root = root, .proc = proc};

static void make(const char *name, const char *text)
{
	char path[2 * CGROUP_PATH_MAX];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	for (char *p = path + strlen(dir) + 1; (p = strchr(p, '/')); p++) {
		*p = '\0';
		assert_true(mkdir(path, 0700) == 0 || errno == EEXIST);
		*p = '/';
	}
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
}

static void put(pid_t pid, const char *text)
{
	char name[64];

	snprintf(name, sizeof(name), "proc/%d/cgroup", pid);
	make(name, text);
}

static char value_of(const char *file)
{
	char path[256], value = 0;
	int fd;

	snprintf(path, sizeof(path), "%s" GROUP "/%s", root, file);
	fd = open(path, O_RDONLY);
	assert_true(fd >= 0);
	assert_int_equal(read(fd, &value, 1), 1);
	close(fd);
	return value;
}

static int setup(void **state)
{
	assert_non_null(mkdtemp(dir));
	snprintf(root, sizeof(root), "%s/root", dir);
	snprintf(proc, sizeof(proc), "%s/proc", dir);
	make("root" GROUP "/cgroup.freeze", "0");
	make("root" GROUP "/cgroup.kill", "-");
	make("root" GROUP "/cgroup.procs", "");
	make("root/a.slice/file", "");
	return 0;
}

static int teardown(void **state)
{
	char command[128];

	snprintf(command, sizeof(command), "rm -rf %s", dir);
	return system(command);
}

static void where_a_process_is(void **state)
{
	char group[CGROUP_PATH_MAX], text[2 * CGROUP_PATH_MAX + 64];

	put(10, "9:name=systemd:/x\n4:memory:/0::/y\n0::" GROUP "\n");
	assert_int_equal(cgroup_of(&paths, 10, group), 0);
	assert_string_equal(group, GROUP);
	put(11, "0::/\n");
	assert_int_equal(cgroup_of(&paths, 11, group), 0);
	assert_string_equal(group, "/");
	put(12, "4:memory:/x\n");
	assert_int_equal(cgroup_of(&paths, 12, group), -ENOENT);
	put(13, "0::/../../x\n");
	assert_int_equal(cgroup_of(&paths, 13, group), -ENOENT);
	put(14, "0::/cut");
	assert_int_equal(cgroup_of(&paths, 14, group), -ENOENT);
	assert_int_equal(cgroup_of(&paths, 15, group), -ENOENT);

	/* The end of a line that is too long is not one of its own. */
	memset(text, 'a', sizeof(text));
	memcpy(text, "0::/", 4);
	for (size_t i = CGROUP_PATH_MAX; i < sizeof(text) - 16; i++)
		memcpy(text + i, "0::/", 4);
	strcpy(text + sizeof(text) - 16, "0::/b.service\n");
	put(16, text);
	assert_int_equal(cgroup_of(&paths, 16, group), -ENOENT);
	text[CGROUP_PATH_MAX + 3] = '\n';
	text[CGROUP_PATH_MAX + 4] = '\0';
	put(16, text);
	assert_int_equal(cgroup_of(&paths, 16, group), -ENOENT);
	text[CGROUP_PATH_MAX + 2] = '\n';
	text[CGROUP_PATH_MAX + 3] = '\0';
	put(16, text);
	assert_int_equal(cgroup_of(&paths, 16, group), 0);
	assert_int_equal(strlen(group), CGROUP_PATH_MAX - 1);
}

static void what_is_asked_of_the_kernel(void **state)
{
	const char *path = GROUP "/below";
	size_t n = strlen(GROUP);

	assert_true(cgroup_is_there(&paths, path, n));
	assert_false(cgroup_is_frozen(&paths, path, n));
	assert_int_equal(cgroup_freeze(&paths, path, n), 0);
	assert_int_equal(value_of("cgroup.freeze"), '1');
	assert_true(cgroup_is_frozen(&paths, path, n));
	assert_int_equal(cgroup_thaw(&paths, path, n), 0);
	assert_int_equal(value_of("cgroup.freeze"), '0');
	assert_int_equal(cgroup_kill(&paths, path, n), 0);
	assert_int_equal(value_of("cgroup.kill"), '1');
}

static void what_is_not_there(void **state)
{
	assert_false(cgroup_is_there(&paths, "/c", 2));
	assert_int_equal(cgroup_freeze(&paths, "/c", 2), -ENOENT);
	assert_int_equal(cgroup_signal(&paths, "/c", 2, SIGUSR1, NULL), -ENOENT);
	assert_false(cgroup_is_frozen(&paths, "/c", 2));
	/* No group, and one that an old kernel would have. */
	assert_int_equal(cgroup_kill(&paths, "/a.slice/file", 13), -ENOTDIR);
	assert_int_equal(cgroup_kill(&paths, "/a.slice", 8), -ENOENT);
	assert_false(cgroup_is_there(&paths, "/a.slice", 8));
}

static pid_t child(void)
{
	pid_t pid = fork();

	if (pid == 0)
		for (;;)
			pause();
	assert_true(pid > 0);
	return pid;
}

static bool has_died(pid_t pid)
{
	int status;

	/* A signal that was sent is on its way. */
	for (int i = 0; i < 200; i++) {
		if (waitpid(pid, &status, WNOHANG) == pid)
			return WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM;
		usleep(1000);
	}
	return false;
}

static void those_who_are_in_it_are_signalled(void **state)
{
	pid_t inside = child(), below = child(), moved = child();
	char text[64];
	size_t n;

	snprintf(text, sizeof(text), "%d\n%d\n999999999\n", inside, moved);
	make("root" GROUP "/cgroup.procs", text);
	snprintf(text, sizeof(text), "%d\n", below);
	make("root" GROUP "/x/y/cgroup.procs", text);
	make("root" GROUP "/x/cgroup.procs", "");
	put(inside, "0::" GROUP "\n");
	put(below, "0::" GROUP "/x/y\n");
	/* By now it is elsewhere, or the pid another's. */
	put(moved, "0::" GROUP "2\n");
	assert_int_equal(cgroup_signal(&paths, GROUP, strlen(GROUP), SIGTERM, &n), 0);
	assert_int_equal(n, 2);
	assert_true(has_died(inside));
	assert_true(has_died(below));
	assert_int_equal(kill(moved, SIGKILL), 0);
	assert_int_equal(waitpid(moved, NULL, 0), moved);
}

static void not_too_deep(void **state)
{
#define DEEP "/1/2/3/4/5/6/7/8/9/10"
	make("root" GROUP DEEP DEEP DEEP DEEP "/cgroup.procs", "");
	assert_int_equal(cgroup_signal(&paths, GROUP, strlen(GROUP), SIGTERM, NULL), -E2BIG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(where_a_process_is),
		cmocka_unit_test(what_is_asked_of_the_kernel),
		cmocka_unit_test(what_is_not_there),
		cmocka_unit_test(those_who_are_in_it_are_signalled),
		cmocka_unit_test(not_too_deep),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
