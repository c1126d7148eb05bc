/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "test.h"

#include "core/container.h"

#define ID "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static const struct {
	const char *path, *container;
} cases[] = {
	{"/", ""},
	{"", ""},
	{"/system.slice/redis.service", ""},
	{"/user.slice/user@1000.service/user.slice/libpod-" ID ".scope/container", ID},
	{"/machine.slice/machine-deb\\x2d12.scope/payload", "deb-12"},
	{"/machine.slice/systemd-nspawn@deb.service/payload/system.slice/a.service", "deb"},
	{"//machine.slice//systemd-nspawn@deb.service/", "deb"},
	{"/machine.slice/machine-.scope", ""},
	{"/machine.slice/_machine-a.scope", "a"},
	{"/machine.slice/machine-a.scope/payload/docker/" ID, "a"},
	{"/system.slice/docker-" ID ".scope", ID},
	{"/system.slice/docker-" ID "0.scope", ""},
	{"/docker/" ID, ID},
	{"/docker/x" ID, ""},
	{"/kubepods.slice/kubepods-pod1.slice/cri-containerd-" ID ".scope", ID},
	{"/kubepods-pod1.slice:cri-containerd:" ID, ID},
	{"/machine.slice/libpod-conmon-" ID ".scope", ""},
	{"/lxc.payload.web/init.scope", "web"},
};

static void paths(void **state)
{
	char container[DG_CONTAINER_NAME_MAX];

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		dg_container_of_cgroup(cases[i].path, container);
		assert_string_equal(container, cases[i].container);
	}
}

/* No file system has such a name; what is made of it is nothing. */
static void a_part_that_is_too_long(void **state)
{
	char container[DG_CONTAINER_NAME_MAX], path[600] = "/lxc.payload.";

	memset(path + strlen(path), 'a', 300);
	strcat(path, "/lxc.payload.b");
	dg_container_of_cgroup(path, container);
	assert_string_equal(container, "b");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(paths),
		cmocka_unit_test(a_part_that_is_too_long),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
