/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* How checkpoints are called, and how a ladder waits for one. */
#include "test.h"

#include "core/checkpoint.h"
#include "core/incident.h"
#include "rules.h"

#define BEGIN (100 * SEC)

static struct dg_policy *policy;
static struct dg_incident incident;
static struct dg_plan *const plan = &incident.plan;

static struct dg_holder mapper(pid_t pid, pid_t shared_with)
{
	return (struct dg_holder){.process = {pid, 1},
				  .comm = "a",
				  .counts[DG_USE_MAPPED] = 1,
				  .shared_with = shared_with};
}

static void scan(struct dg_holder *items, size_t n, uint64_t now)
{
	struct dg_holder_list list = {items, n, false};

	assert_int_equal(dg_plan_scanned(plan, &list, now), 0);
}

/* "PID:action!skipped …": all that is due. */
static void expect(uint64_t now, const char *expected)
{
	struct dg_deed deed;
	char text[512] = "";
	size_t n = 0;
	uint64_t wake;

	while (dg_plan_next(plan, now, &deed, &wake))
		n += (size_t)snprintf(text + n, sizeof(text) - n, "%s%d:%s%s%s", n > 0 ? " " : "",
				      plan->entries[deed.entry].holder.process.pid,
				      dg_action_name(deed.action), deed.skipped ? "!" : "",
				      deed.skipped ?: "");
	assert_string_equal(text, expected);
}

static int setup(void **state)
{
	policy = dg_policy_new();
	add_rule(policy, "1.policy", "Command=a", "Action=checkpoint@9s term@2s kill");
	dg_plan_init(plan, policy, BEGIN + 20 * SEC, 6 * SEC);
	return dg_plan_select(plan, NULL);
}

static int teardown(void **state)
{
	dg_plan_done(plan);
	dg_policy_unref(policy);
	return 0;
}

static void names(void **state)
{
	char name[DG_CHECKPOINT_ID_MAX];
	pid_t pid = 0;

	dg_checkpoint_name("0b1cf8cc-1111-2222-3333-444444444444", 17, 4711, name);
	assert_string_equal(name, "0b1cf8cc-17-4711");
	assert_int_equal(dg_checkpoint_pid(name, &pid), 0);
	assert_int_equal(pid, 4711);
	dg_checkpoint_name("ffffffff-1111-2222-3333-444444444444", UINT64_MAX, INT32_MAX, name);
	assert_string_equal(name, "ffffffff-18446744073709551615-2147483647");
	assert_int_equal(dg_checkpoint_pid("", &pid), -EINVAL);
	assert_int_equal(dg_checkpoint_pid("a-", &pid), -EINVAL);
	assert_int_equal(dg_checkpoint_pid("a-0", &pid), -EINVAL);
	assert_int_equal(dg_checkpoint_pid("a-7x", &pid), -EINVAL);
	assert_int_equal(dg_checkpoint_pid("a-2147483648", &pid), -EINVAL);
	assert_int_equal(dg_checkpoint_pid("a-99999999999999999999", &pid), -EINVAL);
	assert_true(dg_checkpoint_is_maker("daxguard-checkpoint-0b1cf8cc-17-4711.service"));
	assert_false(dg_checkpoint_is_maker("daxguard-checkpoint-0b1cf8cc-17-4711.scope"));
	assert_false(dg_checkpoint_is_maker("a-daxguard-checkpoint-1.service"));
	assert_false(dg_checkpoint_is_maker("daxguard-checkpoint-"));
}

static void what_failed_takes_no_more_time(void **state)
{
	struct dg_holder who[] = {mapper(7, 0), mapper(8, 7), mapper(9, 0)};

	scan(who, 3, BEGIN);
	expect(BEGIN, "7:checkpoint 9:checkpoint 8:checkpoint!shared-memory");
	dg_plan_await(plan, who[0].process);
	assert_true(dg_plan_is_awaiting(plan));
	dg_plan_awaited(plan, who[0].process, 0, false, BEGIN + SEC);
	assert_false(dg_plan_is_awaiting(plan));
	/* Not before a look, and not who waits for something else. */
	expect(BEGIN + SEC, "");
	assert_true(plan->must_look);
	scan(who, 3, BEGIN + SEC);
	expect(BEGIN + SEC, "7:term 8:term");
	/* It is told again, and late: the next grace is its own. */
	dg_plan_awaited(plan, who[0].process, 0, false, BEGIN + 2 * SEC);
	scan(who, 3, BEGIN + 2 * SEC);
	expect(BEGIN + 2 * SEC, "");
	dg_plan_awaited(plan, (struct dg_process){99, 1}, 0, false, BEGIN);
}

static void its_end_is_told_when_it_is_known(void **state)
{
	struct dg_holder who[] = {mapper(7, 0), mapper(9, 0)};

	scan(who, 2, BEGIN);
	expect(BEGIN, "7:checkpoint 9:checkpoint");
	for (size_t i = 0; i < 2; i++) {
		plan->entries[i].noted = true;
		dg_plan_await(plan, who[i].process);
		dg_plan_exited(plan, who[i].process, BEGIN + SEC);
		assert_null(dg_incident_end_of(&incident, i));
	}
	dg_plan_awaited(plan, who[0].process, 0, true, BEGIN + 2 * SEC);
	dg_plan_awaited(plan, who[1].process, 0, false, BEGIN + 2 * SEC);
	assert_string_equal(dg_incident_end_of(&incident, 0), "checkpointed");
	assert_null(dg_incident_end_of(&incident, 0));
	assert_string_equal(dg_incident_end_of(&incident, 1), "exited");
}

static void it_survived_its_own_checkpoint(void **state)
{
	struct dg_holder who[] = {mapper(7, 0)};

	scan(who, 1, BEGIN);
	expect(BEGIN, "7:checkpoint");
	plan->entries[0].noted = true;
	dg_plan_awaited(plan, who[0].process, 0, true, BEGIN + SEC);
	scan(who, 1, BEGIN + 9 * SEC);
	expect(BEGIN + 9 * SEC, "7:term");
	dg_plan_over(plan);
	assert_string_equal(dg_incident_end_of(&incident, 0), "unfinished");
}

static void without_criu(void **state)
{
	struct dg_holder who[] = {mapper(7, 0)};

	plan->no_criu = true;
	scan(who, 1, BEGIN);
	expect(BEGIN, "7:checkpoint!no-criu 7:term");
	assert_int_equal(plan->entries[0].permille, 1000);
}

static void who_is_not_trusted(void **state)
{
	struct dg_process_facts facts = {.user_unit = "b.scope"};
	struct dg_holder who[] = {mapper(7, 0), mapper(8, 0), mapper(9, 0)};

	who[0].uid = who[1].uid = who[2].uid = 1000;
	memcpy(who[1].comm, "b", 2);
	memcpy(who[2].comm, "b", 2);
	facts.command = "b";
	facts.unit = "user@1000.service";
	who[1].looked = &facts;
	add_rule(policy, "2.policy", "Command=b\nUnit=b.scope", "Action=checkpoint@9s term kill");
	add_rule(policy, "3.policy", "Command=b\nUser=1000", "Action=checkpoint@9s term kill");
	assert_int_equal(dg_plan_select(plan, NULL), 0);
	scan(who, 3, BEGIN);
	expect(BEGIN, "7:checkpoint!not-trusted 7:term 8:checkpoint!not-trusted 8:term "
		      "9:checkpoint");
}

#define CHECKPOINT_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names),
		CHECKPOINT_TEST(what_failed_takes_no_more_time),
		CHECKPOINT_TEST(its_end_is_told_when_it_is_known),
		CHECKPOINT_TEST(it_survived_its_own_checkpoint),
		CHECKPOINT_TEST(without_criu),
		CHECKPOINT_TEST(who_is_not_trusted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
