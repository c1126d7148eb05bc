/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "test.h"

#include "core/cgroup.h"

#define ID "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define USER "/user.slice/user-1000.slice/"

static const struct {
	const char *path, *unit, *user_unit, *container;
} cases[] = {
	{"/", "", "", ""},
	{"", "", "", ""},
	{"/init.scope", "init.scope", "", ""},
	{"/system.slice/redis.service", "redis.service", "", ""},
	{"/system.slice/redis.service/worker", "redis.service", "", ""},
	{"/a.slice/a-b.slice/pg@1.service", "pg@1.service", "", ""},
	{"/system.slice/mnt-a\\x2db.mount", "mnt-a\\x2db.mount", "", ""},
	{"/system.slice/_cpu.service", "cpu.service", "", ""},
	{"//system.slice//a.service/", "a.service", "", ""},
	{"/system.slice", "", "", ""},
	{"/my/own/group", "", "", ""},
	{"/my/a.service", "", "", ""},
	{"/system.slice/.service", "", "", ""},
	{USER "session-3.scope", "session-3.scope", "", ""},
	{USER "session-3.scope/a.service", "session-3.scope", "", ""},
	{USER "user@1000.service/app.slice/app-x.service", "user@1000.service", "app-x.service",
	 ""},
	{USER "user@1000.service/init.scope", "user@1000.service", "init.scope", ""},
	{USER "user@1000.service/user.slice/libpod-" ID ".scope/container", "user@1000.service",
	 "libpod-" ID ".scope", ID},
	{"/machine.slice/machine-deb\\x2d12.scope/payload", "machine-deb\\x2d12.scope", "",
	 "deb-12"},
	{"/machine.slice/systemd-nspawn@deb.service/payload/system.slice/a.service",
	 "systemd-nspawn@deb.service", "", "deb"},
	{"/machine.slice/machine-.scope", "machine-.scope", "", ""},
	{"/system.slice/docker-" ID ".scope", "docker-" ID ".scope", "", ID},
	{"/system.slice/docker-" ID "0.scope", "docker-" ID "0.scope", "", ""},
	{"/docker/" ID, "", "", ID},
	{"/docker/x" ID, "", "", ""},
	{"/kubepods.slice/kubepods-pod1.slice/cri-containerd-" ID ".scope",
	 "cri-containerd-" ID ".scope", "", ID},
	{"/kubepods-pod1.slice:cri-containerd:" ID, "", "", ID},
	{"/machine.slice/libpod-conmon-" ID ".scope", "libpod-conmon-" ID ".scope", "", ""},
	{"/lxc.payload.web/init.scope", "", "", "web"},
};

static void paths(void **state)
{
	struct dg_cgroup_names names;

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		dg_cgroup_parse(cases[i].path, &names);
		assert_string_equal(names.unit, cases[i].unit);
		assert_string_equal(names.user_unit, cases[i].user_unit);
		assert_string_equal(names.container, cases[i].container);
	}
}

/* No file system has such a name; what is made of it is nothing. */
static void a_part_that_is_too_long(void **state)
{
	struct dg_cgroup_names names;
	char path[600] = "/";

	memset(path + 1, 'a', 300);
	strcpy(path + 301, ".service/b.service");
	dg_cgroup_parse(path, &names);
	assert_string_equal(names.unit, "b.service");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(paths),
		cmocka_unit_test(a_part_that_is_too_long),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
