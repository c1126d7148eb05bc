/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a removal would come to, and why the rules are those. */
#include "test.h"

#include "core/forecast.h"
#include "core/why.h"
#include "rules.h"

static struct dg_policy *policy;
static struct dg_target target;
static struct dg_request request;
static struct dg_mount mount;
static struct dg_mount_list mounts;
static struct dg_fs fs;
static struct dg_fs_list fs_list;
static struct dg_holder_list holders;
static struct dg_device_facts device;
static struct dg_forecast_input input;
static struct dg_forecast forecast;

static int setup(void **state)
{
	static const char *const points[] = {"/mnt"};

	policy = dg_policy_new();
	target = (struct dg_target){.name = "pmem0", .mode = DG_MODE_FSDAX, .in_use = true};
	request = (struct dg_request){.id = 1,
				      .boot_id = "boot",
				      .device = "pfn0.0",
				      .deadline_ms = 20000,
				      .cap_ms = 60000,
				      .targets = &target,
				      .n_targets = 1};
	mount = (struct dg_mount){.path = "/mnt", .type = "xfs", .result = "", .host = true};
	mounts = (struct dg_mount_list){.items = &mount, .n_items = 1};
	fs = (struct dg_fs){.flags = DG_FS_LIVE | DG_FS_MOUNTED};
	fs_list = (struct dg_fs_list){&fs, 1, false};
	holders = (struct dg_holder_list){};
	device = (struct dg_device_facts){.mount_points = {points, 1, true}};
	input = (struct dg_forecast_input){.request = &request,
					   .policy = policy,
					   .limits = {6 * SEC, 10 * SEC},
					   .device = &device,
					   .mounts = &mounts,
					   .holders = &holders,
					   .fs = &fs_list,
					   .knows_protected = true};
	return 0;
}

static int teardown(void **state)
{
	dg_forecast_done(&forecast);
	dg_policy_unref(policy);
	return 0;
}

static struct dg_holder mapper(pid_t pid)
{
	return (struct dg_holder){.process = {pid, 1},
				  .comm = "a",
				  .counts[DG_USE_MAPPED] = 1,
				  .sig_caught = SIG(SIGBUS)};
}

static struct dg_holder opener(pid_t pid)
{
	return (struct dg_holder){.process = {pid, 1}, .comm = "b", .counts[DG_USE_OPEN] = 1};
}

/* "ACTION@MS+GRACE!skipped … =end" of one, with its rule in front. */
static void expect_ladder(pid_t pid, const char *expected)
{
	const struct dg_forecast_ladder *ladder;
	const struct dg_plan_entry *entry =
		dg_forecast_find(&forecast, (struct dg_process){pid, 1}, &ladder);
	char text[512];
	size_t n;

	assert_non_null(entry);
	n = (size_t)snprintf(text, sizeof(text), "%s:", entry->rule->name);
	for (size_t i = 0; i < ladder->n_rungs; i++) {
		const struct dg_forecast_rung *rung = &ladder->rungs[i];

		n += (size_t)snprintf(text + n, sizeof(text) - n, " %s@%u+%u%s%s",
				      dg_action_name(rung->action), (unsigned)(rung->at_us / MSEC),
				      rung->grace_ms, rung->skipped ? "!" : "",
				      rung->skipped ?: "");
	}
	snprintf(text + n, sizeof(text) - n, " =%s", ladder->end);
	assert_string_equal(text, expected);
}

static void run(struct dg_holder *items, size_t n)
{
	holders.items = items;
	holders.n_items = n;
	assert_int_equal(dg_forecast(&input, &forecast), 0);
}

static void test_builtin(void **state)
{
	struct dg_holder who[] = {mapper(7), mapper(8), opener(9)};

	who[1].sig_caught = 0;
	run(who, 2);
	expect_ladder(7, "built-in:mapped: sigbus@0+2000 term@2000+3000 kill@5000+1000 =killed");
	expect_ladder(8, "built-in:mapped: sigbus@0+0!no-handler term@0+3000 kill@3000+1000 "
			 "=killed");
	assert_string_equal(forecast.incident.outcome, "clean");
	dg_forecast_done(&forecast);
	run(who, 3);
	expect_ladder(9, "built-in:other: =left");
	assert_string_equal(forecast.incident.outcome, "detached-pinned");
	assert_string_equal(forecast.incident.device_rule->name, "built-in:device");
}

static void test_nobody(void **state)
{
	run(NULL, 0);
	assert_string_equal(forecast.incident.outcome, "clean");
}

/* As what the plan does with graces that do not fit. */
static void test_shrinks(void **state)
{
	struct dg_holder who = mapper(7);

	add_rule(policy, "1.policy", "Access=mapped", "Action=term@30s kill");
	run(&who, 1);
	expect_ladder(7, "1.policy: term@0+13980 kill@13980+1000 =killed");
	assert_int_equal(forecast.incident.plan.entries[0].permille, 466);
}

static void test_budget(void **state)
{
	struct dg_holder who = mapper(7);

	add_rule(policy, "1.policy", "Access=mapped", "Action=term@30s kill");
	add_device_rule(policy, "1.device", "MountPoint=/mnt", "Budget=50s");
	run(&who, 1);
	expect_ladder(7, "1.policy: term@0+30000 kill@30000+1000 =killed");
	assert_int_equal(forecast.incident.deadline_us - forecast.incident.began_us, 50 * SEC);
	dg_forecast_done(&forecast);
	/* No more than the kernel gives. */
	request.cap_ms = 30000;
	run(&who, 1);
	expect_ladder(7, "1.policy: term@0+24000 kill@24000+1000 =killed");
	dg_forecast_done(&forecast);
	policy->device_rules[0].budget_ms = 10000;
	run(&who, 1);
	expect_ladder(7, "1.policy: term@0+3990 kill@3990+1000 =killed");
}

static void test_keep(void **state)
{
	struct dg_holder who = opener(7);

	add_device_rule(policy, "1.device", "MountPoint=/elsewhere", "OnBusy=detach");
	add_device_rule(policy, "2.device", "MountPoint=/mnt", "OnBusy=keep");
	run(&who, 1);
	assert_string_equal(forecast.incident.device_rule->name, "2.device");
	assert_string_equal(forecast.incident.outcome, "kept");
	assert_int_equal(dg_result(forecast.incident.state, forecast.incident.marks,
				   &forecast.incident.done),
			 DG_RESULT_RELEASED);
}

static void test_dry_run(void **state)
{
	struct dg_holder who = mapper(7);

	add_rule(policy, "1.policy", "Access=mapped", "Action=term@2s kill\nDryRun=yes");
	run(&who, 1);
	expect_ladder(7, "1.policy: term@0+2000!dry-run kill@0+1000!dry-run =left");
	assert_string_equal(forecast.incident.outcome, "still-mapped");
}

/* No kill: it survives what there is. */
static void test_survives(void **state)
{
	struct dg_holder who = mapper(7);

	add_rule(policy, "1.policy", "Access=mapped", "Action=term@2s");
	run(&who, 1);
	expect_ladder(7, "1.policy: term@0+2000 =survived");
	assert_string_equal(forecast.incident.outcome, "still-mapped");
}

/* The hands are kept off. */
static void test_system(void **state)
{
	const char *why[] = {"/"};
	struct dg_holder who = mapper(7);

	mounts.system = why;
	mounts.n_system = 1;
	run(&who, 1);
	expect_ladder(7, "built-in:mapped: =unfinished");
	assert_string_equal(forecast.incident.outcome, "system-device");
	dg_forecast_done(&forecast);
	mounts.n_system = 0;
	input.knows_protected = false;
	run(&who, 1);
	assert_string_equal(forecast.incident.outcome, "protected-unknown");
	dg_forecast_done(&forecast);
	input.knows_protected = true;
	input.mounts = NULL;
	device.mount_points.complete = false;
	run(&who, 1);
	assert_string_equal(forecast.incident.outcome, "mounts-unknown");
	assert_null(forecast.incident.device_rule);
}

static void test_protected(void **state)
{
	struct dg_holder who[] = {mapper(1), mapper(7)};

	who[0].exempt = DG_EXEMPT_INIT;
	who[1].exempt = DG_EXEMPT_SELF;
	add_rule(policy, "1.policy", "Access=mapped", "Action=kill");
	run(who, 2);
	expect_ladder(1, "built-in:protected: =left");
	/* Our own are nobody. */
	assert_int_equal(forecast.incident.plan.n_entries, 1);
}

static void test_locked(void **state)
{
	mount.locked = true;
	run(NULL, 0);
	assert_string_equal(forecast.incident.outcome, "mount-locked");
}

/* A device-dax has no mounts; nothing else to be asked for. */
static void test_devdax(void **state)
{
	struct dg_holder who = mapper(7);

	target.mode = DG_MODE_DEVDAX;
	device.mount_points = (struct dg_strings){.complete = true};
	input.mounts = NULL;
	input.fs = &(struct dg_fs_list){};
	run(&who, 1);
	expect_ladder(7, "built-in:mapped: sigbus@0+2000 term@2000+3000 kill@5000+1000 =killed");
	assert_string_equal(forecast.incident.outcome, "clean");
	assert_string_equal(forecast.incident.device_rule->name, "built-in:device");
}

/* Once more, with what was changed meanwhile. */
static void run_to(struct dg_holder *who, size_t n, enum dg_state state, const char *outcome)
{
	dg_forecast_done(&forecast);
	run(who, n);
	assert_int_equal(forecast.incident.state, state);
	assert_string_equal(forecast.incident.outcome, outcome);
}

/* daxguardctl remove: nothing is held, so nothing is cut, and nobody's file system is ended. */
static void test_by_user(void **state)
{
	struct dg_holder who[] = {mapper(7), opener(8)};

	request.by_user = true;
	request.deadline_ms = request.cap_ms = 3600000;
	add_rule(policy, "1.policy", "Access=mapped", "Action=sigbus@5s term@10min kill");
	run_to(who, 1, DG_STATE_DONE, "clean");
	expect_ladder(7, "1.policy: sigbus@0+0!not-held term@0+600000 kill@600000+1000 =killed");
	assert_int_equal(forecast.incident.plan.entries[0].permille, 1000);
	run_to(who, 2, DG_STATE_STAYED, "busy");
	request.forced = true;
	run_to(who, 2, DG_STATE_DONE, "detached-pinned");
	add_device_rule(policy, "1.device", "MountPoint=/mnt", "OnBusy=keep");
	run_to(who, 2, DG_STATE_STAYED, "kept");
}

/* A part of the system, or all of it. */
static void test_by_user_of_system(void **state)
{
	const char *why[] = {"/var"};

	request.by_user = true;
	request.deadline_ms = request.cap_ms = 3600000;
	mounts.system = why;
	mounts.n_system = 1;
	run_to(NULL, 0, DG_STATE_STAYED, "system-device");
	request.forced = true;
	run_to(NULL, 0, DG_STATE_DONE, "clean");
	why[0] = "/";
	run_to(NULL, 0, DG_STATE_STAYED, "system-device");
}

/* Who asks without the module knows nothing of file systems. */
static void test_without_module(void **state)
{
	struct dg_holder who = mapper(7);

	input.fs = NULL;
	run(&who, 1);
	expect_ladder(7, "built-in:mapped: sigbus@0+2000 term@2000+3000 kill@5000+1000 =killed");
	assert_string_equal(forecast.incident.outcome, "clean");
}

static void test_many(void **state)
{
	static struct dg_holder many[DG_FORECAST_HOLDERS_MAX + 10];
	const size_t n = sizeof(many) / sizeof(*many);

	for (size_t i = 0; i < n; i++)
		many[i] = mapper((pid_t)i + 10);
	run(many, n);
	assert_true(forecast.cut);
	assert_int_equal(forecast.incident.plan.n_entries, DG_FORECAST_HOLDERS_MAX);
	for (size_t i = 0; i < DG_FORECAST_HOLDERS_MAX; i++)
		assert_string_equal(forecast.ladders[i].end, "killed");
}

static void test_why(void **state)
{
	struct dg_process_facts who = {.uses = 1U << DG_USE_OPEN, .command = "b"};
	const struct dg_rule *chosen;
	struct dg_why why;

	add_rule(policy, "1.policy", "Command=b\nAccess=cwd mapped", "Action=kill");
	add_rule(policy, "2.policy", "Unit=x.service", "Action=kill");
	add_rule(policy, "3.policy", "\nCommand=!b", "Action=kill");
	add_rule(policy, "4.policy", "User=nobody-knows", "Action=kill");
	add_rule(policy, "5.policy", "MountPoint=/elsewhere", "Action=kill");
	chosen = dg_policy_find(policy, "built-in:other");
	who.has_uid = true;
	dg_why_rules(policy, &device, &who, chosen, &why);
	assert_int_equal(why.n_rules, 8);
	assert_int_equal(why.n_more, 0);
	assert_int_equal(why.rules[0].reason.verdict, DG_VERDICT_NOT_PROTECTED);
	assert_string_equal(why.rules[1].name, "1.policy");
	assert_int_equal(why.rules[1].reason.verdict, DG_VERDICT_DIFFERS);
	assert_int_equal(why.rules[1].reason.key, DG_KEY_ACCESS);
	assert_int_equal(why.rules[1].reason.line, 3);
	assert_int_equal(why.rules[2].reason.verdict, DG_VERDICT_UNKNOWN);
	assert_int_equal(why.rules[3].reason.verdict, DG_VERDICT_UNWANTED);
	assert_int_equal(why.rules[3].reason.line, 3);
	assert_int_equal(why.rules[4].reason.verdict, DG_VERDICT_UNRESOLVED);
	assert_int_equal(why.rules[5].reason.verdict, DG_VERDICT_DIFFERS);
	assert_int_equal(why.rules[5].reason.key, DG_KEY_MOUNT_POINT);
	assert_string_equal(why.rules[6].name, "built-in:mapped");
	assert_null(why.rules[6].path);
	assert_int_equal(why.rules[7].reason.key, DG_KEY_EVENT);
	/* Where the rules stand. */
	assert_int_equal(policy->rules[0].line, 5);
	assert_int_equal(policy->rules[2].line, 5);
}

static void test_why_many(void **state)
{
	const struct dg_device_rule *chosen;
	struct dg_why why;

	for (int i = 0; i < DG_WHY_MAX + 6; i++)
		add_device_rule(policy, "1.device", "MountPoint=/elsewhere", "OnBusy=keep");
	chosen = dg_policy_match_device(policy, &device);
	assert_int_equal(chosen->line, 0);
	assert_int_equal(policy->device_rules[0].line, 3);
	dg_why_device_rules(policy, &device, chosen, &why);
	assert_int_equal(why.n_rules, DG_WHY_MAX);
	assert_int_equal(why.n_more, 6);
	assert_int_equal(why.rules[0].reason.key, DG_KEY_MOUNT_POINT);
}

#define FORECAST_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		FORECAST_TEST(test_builtin),
		FORECAST_TEST(test_nobody),
		FORECAST_TEST(test_shrinks),
		FORECAST_TEST(test_budget),
		FORECAST_TEST(test_keep),
		FORECAST_TEST(test_dry_run),
		FORECAST_TEST(test_survives),
		FORECAST_TEST(test_system),
		FORECAST_TEST(test_protected),
		FORECAST_TEST(test_locked),
		FORECAST_TEST(test_devdax),
		FORECAST_TEST(test_without_module),
		FORECAST_TEST(test_many),
		FORECAST_TEST(test_why),
		FORECAST_TEST(test_why_many),
		FORECAST_TEST(test_by_user),
		FORECAST_TEST(test_by_user_of_system),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
