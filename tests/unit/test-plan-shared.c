/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Processes with the same memory are one holder. */
#include "test.h"

#include "core/plan.h"
#include "rules.h"

#define BEGIN (100 * SEC)

static struct dg_policy *policy;
static struct dg_plan plan;

static struct dg_holder mapper(pid_t pid, pid_t shared_with)
{
	return (struct dg_holder){.process = {pid, 1},
				  .comm = "a",
				  .counts[DG_USE_MAPPED] = 1,
				  .sig_caught = SIG(SIGBUS),
				  .shared_with = shared_with};
}

static void scan(struct dg_holder *items, size_t n, uint64_t now)
{
	struct dg_holder_list list = {items, n, false};

	assert_int_equal(dg_plan_scanned(&plan, &list, now), 0);
}

/* "PID:action+GRACE!skipped …": all that is due. */
static void expect(uint64_t now, const char *expected)
{
	struct dg_deed deed;
	char text[512] = "";
	size_t n = 0;
	uint64_t wake;

	while (dg_plan_next(&plan, now, &deed, &wake))
		n += (size_t)snprintf(text + n, sizeof(text) - n, "%s%d:%s+%u%s%s",
				      n > 0 ? " " : "", plan.entries[deed.entry].holder.process.pid,
				      dg_action_name(deed.action), deed.grace_ms,
				      deed.skipped ? "!" : "", deed.skipped ?: "");
	assert_string_equal(text, expected);
}

static void begin(void)
{
	dg_plan_init(&plan, policy, BEGIN + 20 * SEC, 6 * SEC);
	assert_int_equal(dg_plan_select(&plan, NULL), 0);
}

static int setup(void **state)
{
	policy = dg_policy_new();
	return 0;
}

static int teardown(void **state)
{
	dg_plan_done(&plan);
	dg_policy_unref(policy);
	return 0;
}

static const char *rule_of(size_t entry)
{
	return plan.entries[entry].rule->name;
}

/* Asked is who leads, ended are all, at the same times; also if the other has the lower pid. */
static void one_ladder(void **state)
{
	struct dg_holder who[] = {mapper(7, 8), mapper(8, 0), mapper(9, 8)};

	add_rule(policy, "1.policy", "Command=a",
		 "Action=sigbus@1s notify@1s term@2s kill\nSignal=SIGUSR1");
	begin();
	who[1].sig_caught |= SIG(SIGUSR1);
	scan(who, 3, BEGIN);
	expect(BEGIN, "8:sigbus+1000 7:sigbus+1000!shared-memory 9:sigbus+1000!shared-memory");
	scan(who, 3, BEGIN + 1 * SEC);
	expect(BEGIN + 1 * SEC,
	       "8:notify+1000 7:notify+1000!shared-memory 9:notify+1000!shared-memory");
	scan(who, 3, BEGIN + 2 * SEC);
	expect(BEGIN + 2 * SEC, "8:term+2000 7:term+2000 9:term+2000");
	scan(who, 3, BEGIN + 4 * SEC);
	expect(BEGIN + 4 * SEC, "8:kill+1000 7:kill+1000 9:kill+1000");
}

/* What is of no use to who leads takes nobody's time. */
static void no_handler(void **state)
{
	struct dg_holder who[] = {mapper(7, 0), mapper(8, 7)};

	who[0].sig_caught = 0;
	begin();
	scan(who, 2, BEGIN);
	expect(BEGIN, "7:sigbus+0!no-handler 7:term+3000 8:sigbus+0!no-handler 8:term+3000");
}

static void one_rule(void **state)
{
	struct dg_holder who[] = {mapper(7, 0), mapper(8, 7), mapper(9, 77)};

	add_rule(policy, "1.policy", "Command=b", "Action=leave");
	begin();
	strcpy(who[1].comm, "b");
	strcpy(who[2].comm, "b");
	scan(who, 3, BEGIN);
	assert_string_equal(rule_of(0), "built-in:mapped");
	assert_string_equal(rule_of(1), "built-in:mapped");
	/* Whom nobody knows leads nobody. */
	assert_string_equal(rule_of(2), "1.policy");
	expect(BEGIN, "7:sigbus+2000 8:sigbus+2000!shared-memory");
}

/* He goes on with the ladder, and is asked himself what comes from then on. */
static void who_leads_ends(void **state)
{
	struct dg_holder who[] = {mapper(7, 0), mapper(8, 7)};

	add_rule(policy, "1.policy", "Command=a", "Action=sigbus@1s sigbus@1s kill");
	add_rule(policy, "2.policy", "Command=b", "Action=leave");
	strcpy(who[1].comm, "b");
	begin();
	scan(who, 2, BEGIN);
	expect(BEGIN, "7:sigbus+1000 8:sigbus+1000!shared-memory");
	dg_plan_exited(&plan, who[0].process, BEGIN + 1);
	who[1].shared_with = 0;
	scan(who + 1, 1, BEGIN + 1 * SEC);
	assert_string_equal(rule_of(1), "1.policy");
	expect(BEGIN + 1 * SEC, "8:sigbus+1000");
}

/* Nobody who is protected is ended with another, and who leads him is ended in vain no less. */
static void protected(void **state)
{
	struct dg_holder who[] = {mapper(7, 0), mapper(8, 7), mapper(9, 0), mapper(10, 9)};

	who[1].exempt = DG_EXEMPT_SERVICE;
	who[2].exempt = DG_EXEMPT_SERVICE;
	begin();
	scan(who, 4, BEGIN);
	expect(BEGIN, "7:sigbus+2000 10:sigbus+2000");
	assert_string_equal(rule_of(1), "built-in:protected");
}

static void dry_run(void **state)
{
	struct dg_holder who[] = {mapper(7, 0), mapper(8, 7)};

	add_rule(policy, "1.policy", "Command=a", "Action=sigbus@1s kill\nDryRun=yes");
	begin();
	scan(who, 2, BEGIN);
	expect(BEGIN, "7:sigbus+1000!dry-run 7:kill+1000!dry-run 8:sigbus+1000!dry-run "
		      "8:kill+1000!dry-run");
}

/* Graces are cut to the same. */
static void shrinks(void **state)
{
	struct dg_holder who[] = {mapper(7, 0), mapper(8, 7)};

	add_rule(policy, "1.policy", "Command=a", "Action=sigbus@20s term@8s kill");
	begin();
	who[1].sig_caught = 0;
	scan(who, 2, BEGIN);
	assert_int_equal(plan.entries[0].permille, 500);
	assert_int_equal(plan.entries[1].permille, 500);
}

#define SHARED_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		SHARED_TEST(one_ladder),     SHARED_TEST(no_handler), SHARED_TEST(one_rule),
		SHARED_TEST(who_leads_ends), SHARED_TEST(protected),  SHARED_TEST(dry_run),
		SHARED_TEST(shrinks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
