/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "test.h"

#include <errno.h>

#include "core/unit.h"

static void is(const char *path, const char *name, const char *group, bool shared)
{
	struct dg_unit unit;

	assert_int_equal(dg_unit_of_cgroup(path, &unit), 0);
	assert_string_equal(unit.name, name);
	assert_int_equal(unit.n_path, strlen(group));
	assert_memory_equal(path, group, unit.n_path);
	assert_int_equal(unit.shared, shared);
}

static void is_none(const char *path)
{
	struct dg_unit unit;

	assert_int_equal(dg_unit_of_cgroup(path, &unit), -ENOENT);
}

static void units_of_the_system(void **state)
{
	is("/system.slice/redis.service", "redis.service", "/system.slice/redis.service", false);
	is("/a.slice/a-b.slice/x.scope/inner/y.service", "x.scope", "/a.slice/a-b.slice/x.scope",
	   false);
	is("/machine.slice/machine-deb.scope/payload", "machine-deb.scope",
	   "/machine.slice/machine-deb.scope", false);
	is("/system.slice/_notify_on_release.service", "notify_on_release.service",
	   "/system.slice/_notify_on_release.service", false);
	is("/system.slice/mnt-a\\x2db.mount", "mnt-a\\x2db.mount",
	   "/system.slice/mnt-a\\x2db.mount", false);
	is("/x.service", "x.service", "/x.service", false);
	is("/system.slice/pg@1.service/worker", "pg@1.service", "/system.slice/pg@1.service",
	   false);
}

#define USER "/user.slice/user-7.slice/"

static void units_of_users(void **state)
{
	static const struct {
		const char *path, *name, *group;
	} cases[] = {
		{USER "user@7.service/app.slice/a.service/b.service", "a.service",
		 USER "user@7.service/app.slice/a.service"},
		{USER "user@7.service/init.scope", "init.scope", USER "user@7.service/init.scope"},
		{USER "user@7.service/app.slice/app-a-1.scope", "app-a-1.scope",
		 USER "user@7.service/app.slice/app-a-1.scope"},
		{USER "user@7.service", NULL, NULL},
		{USER "user@7.service/app.slice", NULL, NULL},
		{USER "user@7.service/group/a.service", NULL, NULL},
		{USER "session-3.scope/a.service", NULL, NULL},
		{"/system.slice/a.service/b.service", NULL, NULL},
		{"/group", NULL, NULL},
	};
	struct dg_unit unit;

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		int r = dg_user_unit_of_cgroup(cases[i].path, &unit);

		assert_int_equal(r, cases[i].name ? 0 : -ENOENT);
		if (r < 0)
			continue;
		assert_string_equal(unit.name, cases[i].name);
		assert_int_equal(unit.n_path, strlen(cases[i].group));
		assert_int_equal(unit.scope, strstr(cases[i].name, ".scope") != NULL);
	}
}

static void what_others_need(void **state)
{
	is("/init.scope", "init.scope", "/init.scope", true);
	is("/user.slice/user-0.slice/session-3.scope", "session-3.scope",
	   "/user.slice/user-0.slice/session-3.scope", true);
	is("/user.slice/user-7.slice/user@7.service/app.slice/a.service", "user@7.service",
	   "/user.slice/user-7.slice/user@7.service", true);
	is("/system.slice/user@.service", "user@.service", "/system.slice/user@.service", true);
	is("/system.slice/session-.scope", "session-.scope", "/system.slice/session-.scope", true);
	/* Not those whose name only looks like it. */
	is("/system.slice/session-manager.service", "session-manager.service",
	   "/system.slice/session-manager.service", false);
	is("/system.slice/my-user@1.service", "my-user@1.service",
	   "/system.slice/my-user@1.service", false);
}

static void no_units(void **state)
{
	char longer[DG_UNIT_NAME_MAX + 16] = "/";

	is_none("");
	is_none("/");
	is_none("//");
	is_none("/system.slice");
	is_none("/system.slice/");
	is_none("/docker/0123");
	is_none("/a/b.service");
	is_none("/.service");
	is_none("/_.service");
	is_none("/.slice/a");
	is_none("x.service");
	memset(longer + 1, 'a', DG_UNIT_NAME_MAX);
	strcpy(longer + DG_UNIT_NAME_MAX - strlen(".scope") + 1, ".scope");
	is_none(longer);
	strcpy(longer + DG_UNIT_NAME_MAX - strlen(".scope"), ".scope");
	is(longer, longer + 1, longer, false);
}

static void what_is_inside(void **state)
{
	const char *group = "/a.slice/b.service/c";
	size_t n = strlen("/a.slice/b.service");

	assert_true(dg_cgroup_is_in("/a.slice/b.service", group, n));
	assert_true(dg_cgroup_is_in("/a.slice/b.service/d", group, n));
	assert_false(dg_cgroup_is_in("/a.slice/b.service2", group, n));
	assert_false(dg_cgroup_is_in("/a.slice", group, n));
	assert_false(dg_cgroup_is_in("/a.slice/x.service", group, n));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(units_of_the_system), cmocka_unit_test(units_of_users),
		cmocka_unit_test(what_others_need),    cmocka_unit_test(no_units),
		cmocka_unit_test(what_is_inside),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
