/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "test.h"

#include "core/plan.h"

#define BEGIN (100 * SEC)

static struct dg_plan plan;

static struct dg_holder mapper(pid_t pid, uint64_t caught)
{
	return (struct dg_holder){
		.process = {pid, 1}, .counts[DG_USE_MAPPED] = 1, .sig_caught = caught};
}

static void scan(struct dg_holder *items, size_t n, uint64_t now)
{
	struct dg_holder_list list = {items, n, false};

	assert_int_equal(dg_plan_scanned(&plan, &list, now), 0);
}

static struct dg_deed expect(uint64_t now, pid_t pid, enum dg_action action, const char *skipped)
{
	struct dg_deed deed;
	uint64_t wake;

	assert_true(dg_plan_next(&plan, now, &deed, &wake));
	assert_int_equal(plan.entries[deed.entry].holder.process.pid, pid);
	assert_int_equal(deed.action, action);
	if (skipped)
		assert_string_equal(deed.skipped, skipped);
	else
		assert_null(deed.skipped);
	return deed;
}

static uint64_t expect_nothing(uint64_t now)
{
	struct dg_deed deed;
	uint64_t wake;

	assert_false(dg_plan_next(&plan, now, &deed, &wake));
	return wake;
}

static int setup(void **state)
{
	dg_plan_init(&plan, dg_policy_builtin(), BEGIN + 20 * SEC, 6 * SEC);
	return 0;
}

static int teardown(void **state)
{
	dg_plan_done(&plan);
	return 0;
}

static void the_default_ladder(void **state)
{
	struct dg_holder holders[] = {mapper(10, SIG(SIGBUS))};

	scan(holders, 1, BEGIN);
	assert_int_equal(expect(BEGIN, 10, DG_ACTION_SIGBUS, NULL).grace_ms, 2000);
	assert_int_equal(expect_nothing(BEGIN), BEGIN + 2 * SEC);
	assert_int_equal(expect_nothing(BEGIN + 2 * SEC - 1), BEGIN + 2 * SEC);
	scan(holders, 1, BEGIN + 2 * SEC);
	assert_int_equal(expect(BEGIN + 2 * SEC, 10, DG_ACTION_TERM, NULL).grace_ms, 3000);
	assert_int_equal(expect_nothing(BEGIN + 2 * SEC), BEGIN + 5 * SEC);
	scan(holders, 1, BEGIN + 5 * SEC);
	expect(BEGIN + 5 * SEC, 10, DG_ACTION_KILL, NULL);
	assert_int_equal(expect_nothing(BEGIN + 5 * SEC), BEGIN + 6 * SEC);
	scan(holders, 1, BEGIN + 6 * SEC);
	assert_int_equal(expect_nothing(BEGIN + 6 * SEC), UINT64_MAX);
	assert_int_equal(plan.entries[0].state, DG_ENTRY_SURVIVED);
	assert_int_equal(dg_plan_count(&plan, DG_ENTRY_CLIMBING), 0);
}

static void a_skipped_rung_takes_no_time(void **state)
{
	struct dg_holder holders[] = {mapper(10, 0)};

	scan(holders, 1, BEGIN);
	expect(BEGIN, 10, DG_ACTION_SIGBUS, "no-handler");
	expect(BEGIN, 10, DG_ACTION_TERM, NULL);
	assert_int_equal(expect_nothing(BEGIN), BEGIN + 3 * SEC);
}

static void all_climb_at_the_same_time(void **state)
{
	struct dg_holder holders[] = {mapper(10, 0), mapper(11, SIG(SIGBUS)), mapper(12, 0)};

	scan(holders, 3, BEGIN);
	expect(BEGIN, 10, DG_ACTION_SIGBUS, "no-handler");
	expect(BEGIN, 10, DG_ACTION_TERM, NULL);
	expect(BEGIN, 11, DG_ACTION_SIGBUS, NULL);
	expect(BEGIN, 12, DG_ACTION_SIGBUS, "no-handler");
	expect(BEGIN, 12, DG_ACTION_TERM, NULL);
	assert_int_equal(expect_nothing(BEGIN), BEGIN + 2 * SEC);
	scan(holders, 3, BEGIN + 2 * SEC);
	expect(BEGIN + 2 * SEC, 11, DG_ACTION_TERM, NULL);
	assert_int_equal(expect_nothing(BEGIN + 2 * SEC), BEGIN + 3 * SEC);
}

static void who_unmaps_is_done_alive_or_not(void **state)
{
	struct dg_holder holders[] = {mapper(10, SIG(SIGBUS)), mapper(11, SIG(SIGBUS))};

	scan(holders, 2, BEGIN);
	expect(BEGIN, 10, DG_ACTION_SIGBUS, NULL);
	expect(BEGIN, 11, DG_ACTION_SIGBUS, NULL);
	/* 10 still has a file open, 11 is not seen any more. */
	holders[0].counts[DG_USE_MAPPED] = 0;
	holders[0].counts[DG_USE_OPEN] = 1;
	scan(holders, 1, BEGIN + SEC);
	assert_int_equal(plan.entries[0].state, DG_ENTRY_FREED);
	assert_int_equal(plan.entries[1].state, DG_ENTRY_FREED);
	assert_int_equal(expect_nothing(BEGIN + 10 * SEC), UINT64_MAX);
}

static void who_maps_again_climbs_on(void **state)
{
	struct dg_holder holders[] = {mapper(10, SIG(SIGBUS))};

	scan(holders, 1, BEGIN);
	expect(BEGIN, 10, DG_ACTION_SIGBUS, NULL);
	scan(holders, 0, BEGIN + SEC);
	scan(holders, 1, BEGIN + SEC);
	expect(BEGIN + SEC, 10, DG_ACTION_TERM, NULL);
}

static void a_cut_list_proves_no_absence(void **state)
{
	struct dg_holder holders[] = {mapper(10, 0)};
	struct dg_holder_list cut = {NULL, 0, true};

	scan(holders, 1, BEGIN);
	assert_int_equal(dg_plan_scanned(&plan, &cut, BEGIN), 0);
	assert_int_equal(plan.entries[0].state, DG_ENTRY_CLIMBING);
	dg_plan_exited(&plan, holders[0].process, BEGIN);
	assert_int_equal(plan.entries[0].state, DG_ENTRY_FREED);
	assert_true(plan.entries[0].exited);
	/* A last row of it may be on the way still. */
	scan(holders, 1, BEGIN);
	assert_int_equal(plan.entries[0].state, DG_ENTRY_FREED);
}

/* Its time is up, but the last look is older than that: it may have let go. */
static void nobody_climbs_on_unseen(void **state)
{
	struct dg_holder holders[] = {mapper(10, 0), mapper(11, 0)};
	struct dg_holder_list cut = {holders, 1, true};

	scan(holders, 2, BEGIN);
	for (pid_t pid = 10; pid <= 11; pid++) {
		expect(BEGIN, pid, DG_ACTION_SIGBUS, "no-handler");
		expect(BEGIN, pid, DG_ACTION_TERM, NULL);
	}
	expect_nothing(BEGIN);
	assert_false(plan.must_look);
	scan(holders, 2, BEGIN + 3 * SEC - 1);
	expect_nothing(BEGIN + 3 * SEC);
	assert_true(plan.must_look);
	/* 11 is not in the list, which was cut: not gone, but not to be killed. */
	assert_int_equal(dg_plan_scanned(&plan, &cut, BEGIN + 3 * SEC), 0);
	expect(BEGIN + 3 * SEC, 10, DG_ACTION_KILL, NULL);
	expect_nothing(BEGIN + 3 * SEC);
	assert_true(plan.must_look);
	dg_plan_not_scanned(&plan, BEGIN + 13 * SEC);
	assert_int_equal(dg_plan_count(&plan, DG_ENTRY_CLIMBING), 2);
	/* The cut is at 14 s; the kernel has had its second for 10. */
	assert_int_equal(dg_plan_scanned(&plan, &cut, BEGIN + 14 * SEC), 0);
	assert_int_equal(plan.entries[1].state, DG_ENTRY_UNSEEN);
	expect_nothing(BEGIN + 14 * SEC);
	assert_int_equal(plan.entries[0].state, DG_ENTRY_SURVIVED);
	/* Told apart at last. */
	scan(holders, 1, BEGIN + 15 * SEC);
	assert_int_equal(plan.entries[1].state, DG_ENTRY_FREED);
}

/* For half a second: who keeps his mappings locked for long is found unlocked, perhaps. */
static void what_missed_is_done_again_a_few_times(void **state)
{
	struct dg_holder holders[] = {mapper(10, SIG(SIGBUS))};
	uint64_t now = BEGIN, due;
	struct dg_deed deed;

	scan(holders, 1, now);
	for (unsigned i = 0; i < 5; i++) {
		deed = expect(now, 10, DG_ACTION_SIGBUS, NULL);
		dg_plan_missed(&plan, &deed, now);
		due = expect_nothing(now);
		assert_true(due > now);
		/* Seen before it is due again: its mappings may have moved since. */
		scan(holders, 1, now + MSEC);
		expect_nothing(due);
		assert_true(plan.must_look);
		scan(holders, 1, now = due);
	}
	assert_in_range(now - BEGIN, 400 * MSEC, 600 * MSEC);
	deed = expect(now, 10, DG_ACTION_SIGBUS, NULL);
	dg_plan_missed(&plan, &deed, now);
	assert_int_equal(expect_nothing(now), now + 2 * SEC);
}

static void what_missed_and_let_go_is_free(void **state)
{
	struct dg_holder holders[] = {mapper(10, SIG(SIGBUS))};
	struct dg_deed deed;

	scan(holders, 1, BEGIN);
	deed = expect(BEGIN, 10, DG_ACTION_SIGBUS, NULL);
	dg_plan_missed(&plan, &deed, BEGIN);
	scan(NULL, 0, BEGIN + MSEC);
	assert_int_equal(plan.entries[0].state, DG_ENTRY_FREED);
	assert_int_equal(expect_nothing(BEGIN + SEC), UINT64_MAX);
}

static void who_is_left_gets_nothing(void **state)
{
	struct dg_holder holders[] = {
		{.process = {10, 1}, .counts[DG_USE_OPEN] = 1},
		{.process = {1, 1}, .counts[DG_USE_MAPPED] = 1, .exempt = DG_EXEMPT_INIT},
	};

	scan(holders, 2, BEGIN);
	assert_int_equal(expect_nothing(BEGIN), UINT64_MAX);
	assert_int_equal(expect_nothing(BEGIN + 19 * SEC), UINT64_MAX);
	assert_int_equal(dg_plan_count(&plan, DG_ENTRY_LEFT), 2);
	/* Until it maps. */
	holders[0].counts[DG_USE_MAPPED] = 1;
	scan(holders, 2, BEGIN + SEC);
	expect(BEGIN + SEC, 10, DG_ACTION_SIGBUS, "no-handler");
}

static void the_kernel_and_we_are_no_entry(void **state)
{
	struct dg_holder holders[] = {
		{.counts[DG_USE_KERNEL] = 1, .exempt = DG_EXEMPT_KERNEL},
		{.process = {5, 1}, .counts[DG_USE_OPEN] = 1, .exempt = DG_EXEMPT_STEP},
		{.process = {6, 1}, .counts[DG_USE_OPEN] = 1, .exempt = DG_EXEMPT_SELF},
	};

	scan(holders, 3, BEGIN);
	assert_int_equal(plan.n_entries, 0);
}

static void graces_shrink_in_proportion(void **state)
{
	struct dg_holder holders[] = {mapper(10, SIG(SIGBUS))};

	/* 8.5 s left, 6 of them reserved: 2.5 for 2 + 3. */
	scan(holders, 1, BEGIN + 11500 * MSEC);
	assert_int_equal(plan.entries[0].permille, 500);
	assert_int_equal(expect(BEGIN + 11500 * MSEC, 10, DG_ACTION_SIGBUS, NULL).grace_ms, 1000);
	assert_int_equal(expect_nothing(BEGIN + 11500 * MSEC), BEGIN + 12500 * MSEC);
	scan(holders, 1, BEGIN + 12500 * MSEC);
	assert_int_equal(expect(BEGIN + 12500 * MSEC, 10, DG_ACTION_TERM, NULL).grace_ms, 1500);
	scan(holders, 1, BEGIN + 14 * SEC);
	expect(BEGIN + 14 * SEC, 10, DG_ACTION_KILL, NULL);
}

static void past_the_cut_there_is_only_the_kill(void **state)
{
	struct dg_holder holders[] = {mapper(10, SIG(SIGBUS)), mapper(11, SIG(SIGBUS))};

	scan(holders, 1, BEGIN);
	expect(BEGIN, 10, DG_ACTION_SIGBUS, NULL);
	/* The deadline moves nearer: the cut is at BEGIN + 1 s. */
	dg_plan_set_deadline(&plan, BEGIN + 7 * SEC);
	assert_int_equal(expect_nothing(BEGIN), BEGIN + SEC);
	scan(holders, 2, BEGIN + SEC);
	expect(BEGIN + SEC, 10, DG_ACTION_KILL, NULL);
	expect(BEGIN + SEC, 11, DG_ACTION_KILL, NULL);
	assert_true(plan.entries[0].hurried);
	/* The kill's own second is for the kernel. */
	assert_int_equal(expect_nothing(BEGIN + SEC), BEGIN + 2 * SEC);
}

static void rounds_are_bounded(void **state)
{
	struct dg_holder holders[DG_PLAN_ROUNDS_MAX + 1];

	for (unsigned i = 0; i <= DG_PLAN_ROUNDS_MAX; i++) {
		holders[i] = mapper(100 + (pid_t)i, SIG(SIGBUS));
		scan(holders, i + 1, BEGIN);
		if (i < DG_PLAN_ROUNDS_MAX)
			expect(BEGIN, 100 + (pid_t)i, DG_ACTION_SIGBUS, NULL);
	}
	expect(BEGIN, 100 + DG_PLAN_ROUNDS_MAX, DG_ACTION_KILL, NULL);
}

#define MAPPED (1U << DG_USE_MAPPED)

static void a_restart_repeats_no_signal(void **state)
{
	struct dg_holder holders[] = {mapper(10, SIG(SIGBUS)), mapper(11, SIG(SIGBUS))};
	const struct dg_rule *mapped = dg_policy_find(dg_policy_builtin(), "built-in:mapped");
	struct dg_process process = {10, 1};

	assert_int_equal(dg_plan_restore(&plan, process, mapped, MAPPED, 1, BEGIN), 0);
	assert_int_equal(dg_plan_restore(&plan, process, mapped, MAPPED, 1, BEGIN), -EINVAL);
	assert_int_equal(dg_plan_restore(&plan, (struct dg_process){9, 1}, mapped, MAPPED, 4, 0),
			 -EINVAL);
	scan(holders, 2, BEGIN + SEC);
	expect(BEGIN + SEC, 11, DG_ACTION_SIGBUS, NULL);
	assert_int_equal(expect_nothing(BEGIN + SEC), BEGIN + 2 * SEC);
	scan(holders, 2, BEGIN + 2 * SEC);
	expect(BEGIN + 2 * SEC, 10, DG_ACTION_TERM, NULL);
}

static void full_is_full(void **state)
{
	struct dg_holder *many = calloc(DG_PLAN_ENTRIES_MAX + 1, sizeof(*many));

	for (size_t i = 0; i <= DG_PLAN_ENTRIES_MAX; i++)
		many[i] = mapper(100 + (pid_t)i, 0);
	scan(many, DG_PLAN_ENTRIES_MAX + 1, BEGIN);
	assert_int_equal(plan.n_entries, DG_PLAN_ENTRIES_MAX);
	assert_true(plan.full);
	free(many);
}

static void no_error(void *userdata, const struct dg_text_error *error)
{
	fail_msg("%u:%u: %s", error->line, error->column, error->reason);
}

static struct dg_policy *policy_of(const char *text)
{
	struct dg_policy *policy = dg_policy_new();
	struct dg_rule rule;

	assert_int_equal(dg_rule_parse("a.policy", text, strlen(text), no_error, NULL, &rule), 0);
	assert_int_equal(dg_policy_add(policy, &rule), 0);
	return policy;
}

/* The plan, begun anew, of one rule for a device of which nothing is known. */
static struct dg_policy *one_rule(const char *text)
{
	struct dg_policy *policy = policy_of(text);

	dg_plan_done(&plan);
	dg_plan_init(&plan, policy, BEGIN + 20 * SEC, 6 * SEC);
	assert_int_equal(dg_plan_select(&plan, &(struct dg_device_facts){}), 0);
	return policy;
}

static void rules_of_files(void **state)
{
	static const char text[] = "[Match]\nDevice=pmem0\nCommand=db*\nAccess=mapped\n[Policy]\n"
				   "Action=stop@1s term@1500ms kill\n";
	static const char *const names[] = {"pmem0"};
	const struct dg_device_facts device = {.names = {names, 1, true}};
	struct dg_holder holders[] = {mapper(10, 0), mapper(11, 0)};
	struct dg_policy *policy = policy_of(text);

	dg_plan_done(&plan);
	dg_plan_init(&plan, policy, BEGIN + 20 * SEC, 6 * SEC);
	strcpy(holders[0].comm, "db-server");
	strcpy(holders[1].comm, "db-server");

	/* Before it is known what goes away. */
	scan(holders, 1, BEGIN);
	assert_string_equal(plan.entries[0].rule->name, "built-in:mapped");
	assert_int_equal(dg_plan_select(&plan, &device), 0);
	scan(holders, 2, BEGIN);
	assert_string_equal(plan.entries[0].rule->name, "built-in:mapped");
	assert_string_equal(plan.entries[1].rule->name, "a.policy");
	expect(BEGIN, 10, DG_ACTION_SIGBUS, "no-handler");
	expect(BEGIN, 10, DG_ACTION_TERM, NULL);
	assert_int_equal(expect(BEGIN, 11, DG_ACTION_STOP, NULL).grace_ms, 1000);
	scan(holders, 2, BEGIN + SEC);
	assert_int_equal(expect(BEGIN + SEC, 11, DG_ACTION_TERM, NULL).grace_ms, 1500);
	dg_plan_done(&plan);
	dg_policy_unref(policy);
}

/* The next daemon has other rules: what was begun goes on, as long as nothing else is used. */
static void a_ladder_that_was_begun_goes_on(void **state)
{
	const struct dg_rule *mapped = dg_policy_find(dg_policy_builtin(), "built-in:mapped");
	struct dg_policy *policy = one_rule("[Match]\nCommand=*\n[Policy]\nAction=leave\n");
	struct dg_holder holder = mapper(10, SIG(SIGBUS));

	assert_int_equal(dg_plan_restore(&plan, holder.process, mapped, MAPPED, 1, BEGIN), 0);
	scan(&holder, 1, BEGIN + 2 * SEC);
	expect(BEGIN + 2 * SEC, 10, DG_ACTION_TERM, NULL);
	assert_string_equal(plan.entries[0].rule->name, "built-in:mapped");
	holder.counts[DG_USE_MAPPED] = 0;
	holder.counts[DG_USE_OPEN] = 1;
	scan(&holder, 1, BEGIN + 3 * SEC);
	assert_int_equal(plan.entries[0].state, DG_ENTRY_FREED);
	dg_plan_done(&plan);
	dg_policy_unref(policy);
}

/* It is looked at once, and protected all the same when that is known later. */
static void a_rule_is_kept_while_the_use_is_the_same(void **state)
{
	struct dg_policy *policy =
		one_rule("[Match]\nUnit=a.service\n[Policy]\nAction=term kill\n");
	const struct dg_process_facts looked = {.unit = "a.service", .user_unit = ""};
	struct dg_holder holders[] = {mapper(10, SIG(SIGBUS)), mapper(11, 0)};

	holders[1].looked = &looked;
	scan(holders, 2, BEGIN);
	assert_string_equal(plan.entries[0].rule->name, "built-in:mapped");
	assert_string_equal(plan.entries[1].rule->name, "a.policy");
	holders[0].looked = &looked;
	scan(holders, 2, BEGIN + SEC);
	assert_string_equal(plan.entries[0].rule->name, "built-in:mapped");
	holders[1].exempt = DG_EXEMPT_SERVICE;
	scan(holders, 2, BEGIN + 2 * SEC);
	assert_int_equal(plan.entries[1].state, DG_ENTRY_FREED);
	dg_plan_done(&plan);
	dg_policy_unref(policy);
}

static void a_dry_run_tells_the_ladder_and_leaves(void **state)
{
	struct dg_holder holders[] = {mapper(10, 0)};
	struct dg_policy *policy =
		one_rule("[Match]\nAccess=mapped\n[Policy]\nDryRun=yes\nSignal=USR1\n"
			 "Action=notify term@7s kill\n");

	scan(holders, 1, BEGIN);
	assert_int_equal(expect(BEGIN, 10, DG_ACTION_NOTIFY, "no-handler").grace_ms, 0);
	assert_int_equal(expect(BEGIN, 10, DG_ACTION_TERM, "dry-run").grace_ms, 7000);
	expect(BEGIN, 10, DG_ACTION_KILL, "dry-run");
	assert_int_equal(expect_nothing(BEGIN), UINT64_MAX);
	assert_int_equal(plan.entries[0].state, DG_ENTRY_LEFT);
	/* Once, however often it is seen. */
	scan(holders, 1, BEGIN + SEC);
	expect_nothing(BEGIN + SEC);
	assert_int_equal(plan.entries[0].state, DG_ENTRY_LEFT);
	dg_plan_done(&plan);
	dg_policy_unref(policy);
}

static void a_dry_run_is_whole_without_time(void **state)
{
	struct dg_holder holders[] = {mapper(10, 0)};
	uint64_t late = BEGIN + 19 * SEC;
	struct dg_policy *policy =
		one_rule("[Match]\nAccess=mapped\n[Policy]\nDryRun=yes\nAction=term@7s kill\n");

	scan(holders, 1, late);
	expect(late, 10, DG_ACTION_TERM, "dry-run");
	expect(late, 10, DG_ACTION_KILL, "dry-run");
	expect_nothing(late);
	assert_int_equal(plan.entries[0].state, DG_ENTRY_LEFT);

	dg_plan_done(&plan);
	dg_plan_init(&plan, policy, BEGIN + 20 * SEC, 6 * SEC);
	assert_int_equal(dg_plan_select(&plan, &(struct dg_device_facts){}), 0);
	assert_int_equal(
		dg_plan_restore(&plan, holders[0].process, &policy->rules[0], MAPPED, 1, BEGIN), 0);
	scan(holders, 1, BEGIN + 1);
	expect(BEGIN + 1, 10, DG_ACTION_KILL, "dry-run");
	dg_plan_done(&plan);
	dg_policy_unref(policy);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(the_default_ladder),
		TEST(a_skipped_rung_takes_no_time),
		TEST(all_climb_at_the_same_time),
		TEST(who_unmaps_is_done_alive_or_not),
		TEST(who_maps_again_climbs_on),
		TEST(a_cut_list_proves_no_absence),
		TEST(nobody_climbs_on_unseen),
		TEST(what_missed_is_done_again_a_few_times),
		TEST(what_missed_and_let_go_is_free),
		TEST(who_is_left_gets_nothing),
		TEST(the_kernel_and_we_are_no_entry),
		TEST(graces_shrink_in_proportion),
		TEST(past_the_cut_there_is_only_the_kill),
		TEST(rounds_are_bounded),
		TEST(a_restart_repeats_no_signal),
		TEST(full_is_full),
		TEST(rules_of_files),
		TEST(a_ladder_that_was_begun_goes_on),
		TEST(a_rule_is_kept_while_the_use_is_the_same),
		TEST(a_dry_run_tells_the_ladder_and_leaves),
		TEST(a_dry_run_is_whole_without_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
