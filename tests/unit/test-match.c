/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "test.h"

#include "core/rule.h"

static const char *const names[] = {
	"pmem0",      "pfn0.0", "region0", "dm-0", "9d2f4a8e-1c5b-4e0a-9b63-7f3f0d1c2b3a",
	"acpi-NFIT-0"};
static const char *const drivers[] = {"nd_pmem"};
static const char *const mount_points[] = {"/srv/a", "/srv/b c"};
static const gid_t gids[] = {1000, 27};

static struct dg_device_facts device;
static struct dg_process_facts process;

static int setup(void **state)
{
	device = (struct dg_device_facts){
		.names = {names, sizeof(names) / sizeof(*names), true},
		.drivers = {drivers, 1, true},
		.file_systems = {NULL, 0, true},
		.mount_points = {mount_points, 2, true},
	};
	process = (struct dg_process_facts){
		.uses = 1U << DG_USE_MAPPED | 1U << DG_USE_CWD,
		.has_uid = true,
		.uid = 1000,
		.gids = gids,
		.n_gids = 2,
		.gids_complete = true,
		.executable = "/usr/bin/redis-server (deleted)",
		.command = "redis-server",
		.unit = "mnt-my\\x2dredis.service",
		.user_unit = "",
		.cgroup = "/system.slice/redis.service",
		.container = "",
	};
	return 0;
}

static void ignore(void *userdata, const struct dg_text_error *error)
{
}

/* What the lines of a [Match] say: "matched", or "verdict Key:line". */
static const char *explain(const char *lines)
{
	static char said[128];
	struct dg_subject subject;
	struct dg_reason reason;
	struct dg_rule rule;
	char text[1024];

	snprintf(text, sizeof(text), "[Match]\n%s\n[Policy]\nAction=kill\n", lines);
	assert_int_equal(dg_rule_parse("a.policy", text, strlen(text), ignore, NULL, &rule), 0);
	dg_subject_init(&subject, &device, &process);
	dg_rule_explain(&rule, &subject, &reason);
	if (reason.verdict == DG_VERDICT_MATCHED)
		snprintf(said, sizeof(said), "matched");
	else
		snprintf(said, sizeof(said), "%s %s:%u", dg_verdict_name(reason.verdict),
			 dg_key_name(reason.key), reason.line);
	dg_rule_done(&rule);
	return said;
}
#define SAYS(lines, wanted) assert_string_equal(explain(lines), wanted)

static void every_key(void **state)
{
	SAYS("Event=pre-remove", "matched");
	SAYS("Event=!pre-remove", "unwanted Event:2");
	SAYS("Device=pmem1 region*", "matched");
	SAYS("Device=/dev/pmem0", "matched");
	SAYS("Device=/dev/disk/by-path/acpi-*", "matched");
	SAYS("Device=9d2f*", "matched");
	SAYS("Device=pmem1", "differs Device:2");
	SAYS("Device=!pmem1", "matched");
	SAYS("Device=!dm-?", "unwanted Device:2");
	SAYS("Driver=nd_pmem", "matched");
	SAYS("MountPoint='/srv/b c'", "matched");
	SAYS("MountPoint=/srv", "differs MountPoint:2");
	SAYS("Access=open mapped", "matched");
	SAYS("Access=!open exe", "matched");
	SAYS("Access=!cwd", "unwanted Access:2");
	SAYS("Command=redis-*", "matched");
	SAYS("ControlGroup=/system.slice/*", "matched");
	SAYS("User=1000", "matched");
	SAYS("User=!1000", "unwanted User:2");
	SAYS("Group=5 27", "matched");
	SAYS("Group=5", "differs Group:2");
	SAYS("Group=!5", "matched");
}

static void wildcards(void **state)
{
	SAYS("Executable=/usr/*-server", "matched"); /* a star passes over a slash */
	SAYS("Executable=*", "matched");
	SAYS("Executable=*edis*", "matched");
	SAYS("Executable=/usr/bin/redis-serve?", "matched");
	SAYS("Executable=/usr/bin/[q-s]edis-server", "matched");
	SAYS("Executable=/usr/bin/[!r]*", "differs Executable:2");
	SAYS("Executable=/usr/bin", "differs Executable:2");
	SAYS("Unit=mnt-my\\x2dredis.service", "matched");
	SAYS("Unit=*\\x2d*", "matched");
	process.unit = "*.service";
	SAYS("Unit=[*].service", "matched");
	process.unit = "a.service";
	SAYS("Unit=[*].service", "differs Unit:2");
	/* A pattern is longer than what it is compared with, and both ends fit. */
	process.command = "a";
	SAYS("Command=a*a", "differs Command:2");
	process.command = "aa";
	SAYS("Command=a*a", "matched");
}

/* Bytes are bytes, whatever they would be in UTF-8. */
static void names_are_bytes(void **state)
{
	process.executable = "/opt/\xff\n\x1b/x";
	SAYS("Executable=/opt/\xff??x", "differs Executable:2");
	SAYS("Executable=/opt/\xff\?\?\?x", "matched");
	SAYS("Executable=/opt/*/x", "matched");
	process.executable = "/opt/\xc3\xa4";
	SAYS("Executable=/opt/?", "differs Executable:2");
	SAYS("Executable=/opt/\?\?", "matched");
}

static void a_replaced_executable(void **state)
{
	SAYS("Executable=/usr/bin/redis-server", "matched");
	SAYS("Executable=!/usr/bin/redis-server", "unwanted Executable:2");
	SAYS("Executable='*(deleted)'", "matched");
	process.executable = " (deleted)";
	SAYS("Executable=*", "matched");
	process.executable = "/usr/bin/redis-server";
	SAYS("Executable='*(deleted)'", "differs Executable:2");
}

static void several_lines_of_a_key(void **state)
{
	SAYS("Unit=a.service\nUnit=mnt*", "matched");
	SAYS("Unit=mnt*\nUnit=!*redis*\nDevice=x", "unwanted Unit:3");
	SAYS("Device=*\nUnit=a.service\nUnit=!b.service", "differs Unit:3");
	SAYS("Unit=!a.service\nUnit=!b.service", "matched");
}

/* Both managers' units count; a `!` needs to know both. */
static void two_units(void **state)
{
	process.user_unit = "app.slice";
	SAYS("Unit=app.slice", "matched");
	SAYS("Unit=!app.slice", "unwanted Unit:2");
	process.user_unit = NULL;
	SAYS("Unit=mnt*", "matched");
	SAYS("Unit=!app.slice", "unknown Unit:2");
	process.user_unit = "app.slice";
	process.unit = NULL;
	SAYS("Unit=app.slice", "matched");
	SAYS("Unit=!other.slice", "unknown Unit:2");
}

static void what_is_not_there(void **state)
{
	SAYS("FileSystem=ext4", "none FileSystem:2");
	SAYS("FileSystem=*", "none FileSystem:2");
	SAYS("FileSystem=!ext4", "matched");
	SAYS("Container=*", "none Container:2");
	SAYS("Container=!*", "matched");
	process.uses = 0;
	SAYS("Access=mapped", "none Access:2");
	process.n_gids = 0;
	SAYS("Group=1", "none Group:2");
}

static void what_is_unknown(void **state)
{
	process = (struct dg_process_facts){};
	device.file_systems.complete = device.names.complete = false;
	SAYS("Executable=*", "unknown Executable:2");
	SAYS("Executable=!/x", "unknown Executable:2");
	SAYS("Command=!x", "unknown Command:2");
	SAYS("Unit=*", "unknown Unit:2");
	SAYS("ControlGroup=/*", "unknown ControlGroup:2");
	SAYS("Container=!*", "unknown Container:2");
	SAYS("User=0", "unknown User:2");
	SAYS("User=!0", "unknown User:2");
	SAYS("Group=!0", "unknown Group:2");
	SAYS("FileSystem=!xfs", "unknown FileSystem:2");
	/* What is known of it is enough. */
	SAYS("Device=pmem0", "matched");
	SAYS("Device=!pmem0", "unwanted Device:2");
	SAYS("Device=!pmem1", "unknown Device:2");
	SAYS("Device=pmem1", "unknown Device:2");
}

static void a_user_that_nobody_knows(void **state)
{
	SAYS("User=nosuch", "unresolved User:2");
	SAYS("User=nosuch 1000", "matched");
	SAYS("User=!nosuch", "unresolved User:2");
	SAYS("User=!nosuch 1000", "unwanted User:2");
	SAYS("User=1000\nUser=!nosuch", "unresolved User:3");
	SAYS("User=nosuch 5", "unresolved User:2");
}

static void the_first_key_that_differs(void **state)
{
	SAYS("Device=*\nUser=5\nCommand=x", "differs User:3");
	SAYS("Command=x\nUser=5", "differs Command:2");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(every_key, setup),
		cmocka_unit_test_setup(wildcards, setup),
		cmocka_unit_test_setup(names_are_bytes, setup),
		cmocka_unit_test_setup(a_replaced_executable, setup),
		cmocka_unit_test_setup(several_lines_of_a_key, setup),
		cmocka_unit_test_setup(two_units, setup),
		cmocka_unit_test_setup(what_is_not_there, setup),
		cmocka_unit_test_setup(what_is_unknown, setup),
		cmocka_unit_test_setup(a_user_that_nobody_knows, setup),
		cmocka_unit_test_setup(the_first_key_that_differs, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
