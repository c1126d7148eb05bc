/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "test.h"

#include "core/selection.h"

static struct dg_holder mapper(void)
{
	return (struct dg_holder){.process = {10, 1}, .counts[DG_USE_MAPPED] = 1};
}

static const struct dg_rule *match(const struct dg_holder *holder)
{
	const struct dg_selection builtin = {};
	struct dg_process_facts facts;

	dg_facts_of_holder(holder, &facts);
	return dg_selection_match(&builtin, &facts);
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

static void the_order_of_rules(void **state)
{
	struct dg_policy *policy = dg_policy_new();
	struct dg_rule rule = {.name = "50-a.policy"};
	struct dg_device_rule device = {.name = "50-a.device"};

	assert_int_equal(dg_policy_add(policy, &rule), 0);
	assert_int_equal(dg_policy_add_device(policy, &device), 0);
	assert_string_equal(dg_policy_rule_at(policy, 0)->name, "built-in:protected");
	assert_string_equal(dg_policy_rule_at(policy, 1)->name, "50-a.policy");
	assert_string_equal(dg_policy_rule_at(policy, 2)->name, "built-in:mapped");
	assert_string_equal(dg_policy_rule_at(policy, 3)->name, "built-in:memory-failure");
	assert_string_equal(dg_policy_rule_at(policy, 4)->name, "built-in:other");
	assert_null(dg_policy_rule_at(policy, 5));
	assert_ptr_equal(dg_policy_find(policy, "50-a.policy"), dg_policy_rule_at(policy, 1));
	assert_ptr_equal(dg_policy_find(policy, "built-in:mapped"),
			 dg_policy_find(dg_policy_builtin(), "built-in:mapped"));
	assert_null(dg_policy_find(policy, "50-b.policy"));
	assert_string_equal(dg_policy_device_rule_at(policy, 0)->name, "50-a.device");
	assert_string_equal(dg_policy_device_rule_at(policy, 1)->name, "built-in:device");
	assert_null(dg_policy_device_rule_at(policy, 2));
	dg_policy_unref(policy);
}

static void as_many_as_may_be(void **state)
{
	struct dg_policy *policy = dg_policy_new();
	struct dg_rule rule = {.name = "x"};

	for (unsigned i = 0; i < DG_RULES_MAX; i++)
		assert_int_equal(dg_policy_add(policy, &rule), 0);
	rule = (struct dg_rule){.name = "y"};
	assert_int_equal(dg_policy_add(policy, &rule), -E2BIG);
	assert_string_equal(rule.name, "y");
	dg_policy_unref(policy);
}

static void references(void **state)
{
	const struct dg_policy *policy = dg_policy_new(), *again = dg_policy_ref(policy);

	assert_ptr_equal(policy, again);
	assert_null(dg_policy_unref(policy));
	assert_int_equal(again->n_rules, 0);
	assert_null(dg_policy_unref(again));
	assert_null(dg_policy_unref(NULL));
	assert_null(dg_policy_unref(dg_policy_ref(dg_policy_builtin())));
	assert_string_equal(dg_policy_rule_at(dg_policy_builtin(), 3)->name, "built-in:other");
}

static void sigbus_is_for_those_who_can_answer_it(void **state)
{
	struct dg_holder holder = mapper();

	assert_string_equal(dg_action_skipped(DG_ACTION_SIGBUS, 0, &holder), "no-handler");
	holder.sig_caught = SIG(SIGBUS);
	assert_null(dg_action_skipped(DG_ACTION_SIGBUS, 0, &holder));
	holder.sig_blocked = SIG(SIGBUS);
	assert_string_equal(dg_action_skipped(DG_ACTION_SIGBUS, 0, &holder), "blocked");
	holder.sig_blocked = 0;
	holder.sig_ignored = SIG(SIGBUS);
	assert_string_equal(dg_action_skipped(DG_ACTION_SIGBUS, 0, &holder), "no-handler");
	holder.sig_ignored = 0;
	holder.counts[DG_USE_MAPPED] = 0;
	assert_string_equal(dg_action_skipped(DG_ACTION_SIGBUS, 0, &holder), "not-mapped");
}

static void term_is_also_for_who_blocks_it(void **state)
{
	struct dg_holder holder = mapper();

	holder.sig_blocked = UINT64_MAX;
	assert_null(dg_action_skipped(DG_ACTION_TERM, 0, &holder));
	assert_null(dg_action_skipped(DG_ACTION_KILL, 0, &holder));
	assert_null(dg_action_skipped(DG_ACTION_FREEZE, 0, &holder));
}

static const char *notify(const struct dg_holder *holder)
{
	return dg_action_skipped(DG_ACTION_NOTIFY, SIGUSR1, holder);
}

static void notify_is_for_those_who_wait_for_it(void **state)
{
	struct dg_holder holder = mapper();

	assert_string_equal(notify(&holder), "no-handler");
	holder.sig_caught = SIG(SIGUSR2);
	assert_string_equal(notify(&holder), "no-handler");
	holder.sig_caught = SIG(SIGUSR1);
	assert_null(notify(&holder));
	/* For sigwait(3) or signalfd(2), with or without a handler. */
	holder.sig_blocked = SIG(SIGUSR1);
	assert_null(notify(&holder));
	holder.sig_caught = 0;
	assert_null(notify(&holder));
	holder.sig_ignored = SIG(SIGUSR1);
	assert_string_equal(notify(&holder), "no-handler");
}

static void who_is_to_answer_is_thawed(void **state)
{
	static const enum dg_action thaw[] = {DG_ACTION_NOTIFY, DG_ACTION_SIGBUS,
					      DG_ACTION_STOP,   DG_ACTION_CHECKPOINT,
					      DG_ACTION_TERM,   DG_ACTION_KILL};
	uint32_t want = 0, have = 0;

	for (size_t i = 0; i < sizeof(thaw) / sizeof(*thaw); i++)
		want |= 1U << thaw[i];
	for (unsigned action = 0; action <= _DG_ACTION_MAX; action++)
		have |= (uint32_t)dg_action_thaws(action) << action;
	assert_int_equal(have, want);
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
		cmocka_unit_test(the_order_of_rules),
		cmocka_unit_test(as_many_as_may_be),
		cmocka_unit_test(references),
		cmocka_unit_test(sigbus_is_for_those_who_can_answer_it),
		cmocka_unit_test(term_is_also_for_who_blocks_it),
		cmocka_unit_test(notify_is_for_those_who_wait_for_it),
		cmocka_unit_test(who_is_to_answer_is_thawed),
		cmocka_unit_test(actions_have_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
