/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "core/policy.h"

#include <errno.h>
#include <signal.h>
#include <string.h>

static const struct dg_rule builtin_rules[] = {
	{
		.name = "built-in:protected",
		.exempt = true,
		.ladder = {{DG_ACTION_LEAVE, 0}},
		.n_rungs = 1,
	},
	{
		.name = "built-in:mapped",
		.uses = 1U << DG_USE_MAPPED,
		.ladder = {{DG_ACTION_SIGBUS, 2000},
			   {DG_ACTION_TERM, 3000},
			   {DG_ACTION_KILL, 1000}},
		.n_rungs = 3,
	},
	{
		.name = "built-in:other",
		.ladder = {{DG_ACTION_LEAVE, 0}},
		.n_rungs = 1,
	},
};

static const struct dg_policy builtin_policy = {
	.rules = builtin_rules,
	.n_rules = sizeof(builtin_rules) / sizeof(*builtin_rules),
};

static const char *const action_names[_DG_ACTION_MAX] = {
	[DG_ACTION_LEAVE] = "leave",
	[DG_ACTION_SIGBUS] = "sigbus",
	[DG_ACTION_TERM] = "term",
	[DG_ACTION_KILL] = "kill",
};

const char *dg_action_name(enum dg_action action)
{
	return (unsigned)action < _DG_ACTION_MAX ? action_names[action] : "unknown";
}

int dg_action_from_name(const char *name, enum dg_action *ret)
{
	for (unsigned i = 0; i < _DG_ACTION_MAX; i++)
		if (strcmp(name, action_names[i]) == 0) {
			*ret = i;
			return 0;
		}
	return -EINVAL;
}

const struct dg_policy *dg_policy_builtin(void)
{
	return &builtin_policy;
}

static bool rule_matches(const struct dg_rule *rule, const struct dg_holder *holder)
{
	if (rule->exempt != (holder->exempt != DG_EXEMPT_NONE))
		return false;
	if (rule->uses == 0)
		return true;
	for (unsigned use = 0; use < _DG_USE_MAX; use++)
		if (rule->uses & (1U << use) && dg_holder_uses(holder, use))
			return true;
	return false;
}

static const struct dg_rule *match(const struct dg_policy *policy, const struct dg_holder *holder)
{
	for (size_t i = 0; i < policy->n_rules; i++)
		if (rule_matches(&policy->rules[i], holder))
			return &policy->rules[i];
	return NULL;
}

const struct dg_rule *dg_policy_match(const struct dg_policy *policy,
				      const struct dg_holder *holder)
{
	const struct dg_rule *rule = match(policy, holder);

	return rule ?: match(&builtin_policy, holder);
}

const struct dg_rule *dg_policy_find(const struct dg_policy *policy, const char *name)
{
	for (size_t i = 0; i < policy->n_rules; i++)
		if (strcmp(policy->rules[i].name, name) == 0)
			return &policy->rules[i];
	return NULL;
}

const char *dg_action_skipped(enum dg_action action, const struct dg_holder *holder)
{
	if (action != DG_ACTION_SIGBUS)
		return NULL;
	if (!dg_holder_uses(holder, DG_USE_MAPPED))
		return "not-mapped";
	if (!dg_holder_catches(holder, SIGBUS))
		return "no-handler";
	if (dg_holder_blocks(holder, SIGBUS))
		return "blocked";
	return NULL;
}

bool dg_rule_leaves(const struct dg_rule *rule)
{
	for (size_t i = 0; i < rule->n_rungs; i++)
		if (rule->ladder[i].action != DG_ACTION_LEAVE)
			return false;
	return true;
}
