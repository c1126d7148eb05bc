/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "test.h"

#include "core/policy.h"

static struct dg_holder mapper(void)
{
	return (struct dg_holder){.process = {10, 1}, .counts[DG_USE_MAPPED] = 1};
}

static const struct dg_rule *match(const struct dg_holder *holder)
{
	return dg_policy_match(dg_policy_builtin(), holder);
}

static void who_maps_climbs(void **state)
{
	struct dg_holder holder = mapper();
	const struct dg_rule *rule = match(&holder);

	assert_string_equal(rule->name, "built-in:mapped");
	assert_int_equal(rule->n_rungs, 3);
	assert_int_equal(rule->ladder[0].action, DG_ACTION_SIGBUS);
	assert_int_equal(rule->ladder[0].grace_ms, 2000);
	assert_int_equal(rule->ladder[1].action, DG_ACTION_TERM);
	assert_int_equal(rule->ladder[1].grace_ms, 3000);
	assert_int_equal(rule->ladder[2].action, DG_ACTION_KILL);
	assert_false(dg_rule_leaves(rule));
}

static void who_does_not_map_is_left(void **state)
{
	for (unsigned use = DG_USE_OPEN; use <= DG_USE_EXE; use++) {
		struct dg_holder holder = {.process = {10, 1}};

		holder.counts[use] = 1;
		assert_string_equal(match(&holder)->name, "built-in:other");
		assert_true(dg_rule_leaves(match(&holder)));
	}
}

static void the_protected_are_left(void **state)
{
	for (unsigned why = DG_EXEMPT_INIT; why < _DG_EXEMPT_MAX; why++) {
		struct dg_holder holder = mapper();

		holder.exempt = why;
		assert_string_equal(match(&holder)->name, "built-in:protected");
	}
}

/* However a policy is written, the built-in rules stand behind it. */
static void an_empty_policy_falls_back(void **state)
{
	const struct dg_policy empty = {};
	struct dg_holder holder = mapper();

	assert_string_equal(dg_policy_match(&empty, &holder)->name, "built-in:mapped");
	holder.exempt = DG_EXEMPT_INIT;
	assert_string_equal(dg_policy_match(&empty, &holder)->name, "built-in:protected");
	assert_null(dg_policy_find(&empty, "built-in:mapped"));
	assert_non_null(dg_policy_find(dg_policy_builtin(), "built-in:mapped"));
}

static void sigbus_is_for_those_who_can_answer_it(void **state)
{
	struct dg_holder holder = mapper();

	assert_string_equal(dg_action_skipped(DG_ACTION_SIGBUS, &holder), "no-handler");
	holder.sig_caught = SIG(SIGBUS);
	assert_null(dg_action_skipped(DG_ACTION_SIGBUS, &holder));
	holder.sig_blocked = SIG(SIGBUS);
	assert_string_equal(dg_action_skipped(DG_ACTION_SIGBUS, &holder), "blocked");
	holder.sig_blocked = 0;
	holder.sig_ignored = SIG(SIGBUS);
	assert_string_equal(dg_action_skipped(DG_ACTION_SIGBUS, &holder), "no-handler");
	holder.sig_ignored = 0;
	holder.counts[DG_USE_MAPPED] = 0;
	assert_string_equal(dg_action_skipped(DG_ACTION_SIGBUS, &holder), "not-mapped");
}

static void term_is_also_for_who_blocks_it(void **state)
{
	struct dg_holder holder = mapper();

	holder.sig_blocked = UINT64_MAX;
	assert_null(dg_action_skipped(DG_ACTION_TERM, &holder));
	assert_null(dg_action_skipped(DG_ACTION_KILL, &holder));
}

static void actions_have_names(void **state)
{
	enum dg_action action;

	for (unsigned i = 0; i < _DG_ACTION_MAX; i++) {
		assert_int_equal(dg_action_from_name(dg_action_name(i), &action), 0);
		assert_int_equal(action, i);
	}
	assert_int_equal(dg_action_from_name("freez", &action), -EINVAL);
	assert_string_equal(dg_action_name(99), "unknown");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(who_maps_climbs),
		cmocka_unit_test(who_does_not_map_is_left),
		cmocka_unit_test(the_protected_are_left),
		cmocka_unit_test(an_empty_policy_falls_back),
		cmocka_unit_test(sigbus_is_for_those_who_can_answer_it),
		cmocka_unit_test(term_is_also_for_who_blocks_it),
		cmocka_unit_test(actions_have_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
