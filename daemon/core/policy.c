/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "core/policy.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/grow.h"

static const struct dg_rule protected_rule = {
	.name = "built-in:protected",
	.exempt = true,
	.ladder = {{DG_ACTION_LEAVE, 0}},
	.n_rungs = 1,
};

static struct dg_pattern mapped_pattern = {
	.text = "mapped",
	.n = sizeof("mapped") - 1,
	.id = DG_USE_MAPPED,
	.kind = DG_PATTERN_ID,
};

static struct dg_condition mapped_condition = {
	.key = DG_KEY_ACCESS,
	.patterns = &mapped_pattern,
	.n_patterns = 1,
	.wants = true,
};

static struct dg_pattern failure_pattern = {
	.text = "memory-failure",
	.n = sizeof("memory-failure") - 1,
	.id = DG_RULE_EVENT_MEMORY_FAILURE,
	.kind = DG_PATTERN_ID,
};

static struct dg_condition failure_condition = {
	.key = DG_KEY_EVENT,
	.patterns = &failure_pattern,
	.n_patterns = 1,
	.wants = true,
};

/* Behind all others. */
static const struct dg_rule last_rules[] = {
	{
		.name = "built-in:mapped",
		.match = {&mapped_condition, 1},
		.ladder = {{DG_ACTION_SIGBUS, 2000},
			   {DG_ACTION_TERM, 3000},
			   {DG_ACTION_KILL, 1000}},
		.n_rungs = 3,
	},
	{
		.name = "built-in:memory-failure",
		.match = {&failure_condition, 1},
		.ladder = {{DG_ACTION_SIGBUS, 0}},
		.n_rungs = 1,
	},
	{
		.name = "built-in:other",
		.ladder = {{DG_ACTION_LEAVE, 0}},
		.n_rungs = 1,
	},
};
#define N_LAST (sizeof(last_rules) / sizeof(*last_rules))

static const struct dg_device_rule last_device_rule = {.name = "built-in:device"};

static const struct dg_policy builtin_policy;

const struct dg_policy *dg_policy_builtin(void)
{
	return &builtin_policy;
}

struct dg_policy *dg_policy_new(void)
{
	struct dg_policy *policy = calloc(1, sizeof(*policy));

	if (policy)
		policy->n_ref = 1;
	return policy;
}

const struct dg_policy *dg_policy_ref(const struct dg_policy *policy)
{
	if (policy->n_ref > 0)
		((struct dg_policy *)policy)->n_ref++;
	return policy;
}

const struct dg_policy *dg_policy_unref(const struct dg_policy *policy)
{
	struct dg_policy *mine = (struct dg_policy *)policy;

	if (!mine || mine->n_ref == 0 || --mine->n_ref > 0)
		return NULL;
	for (size_t i = 0; i < mine->n_rules; i++)
		dg_rule_done(&mine->rules[i]);
	for (size_t i = 0; i < mine->n_device_rules; i++)
		dg_device_rule_done(&mine->device_rules[i]);
	free(mine->rules);
	free(mine->device_rules);
	free(mine);
	return NULL;
}

int dg_policy_add(struct dg_policy *policy, struct dg_rule *rule)
{
	if (policy->n_rules >= DG_RULES_MAX)
		return -E2BIG;
	if (DG_GROW(policy->rules, policy->n_rules) < 0)
		return -ENOMEM;
	policy->rules[policy->n_rules++] = *rule;
	*rule = (struct dg_rule){};
	return 0;
}

int dg_policy_add_device(struct dg_policy *policy, struct dg_device_rule *rule)
{
	if (policy->n_device_rules >= DG_RULES_MAX)
		return -E2BIG;
	if (DG_GROW(policy->device_rules, policy->n_device_rules) < 0)
		return -ENOMEM;
	policy->device_rules[policy->n_device_rules++] = *rule;
	*rule = (struct dg_device_rule){};
	return 0;
}

const struct dg_rule *dg_policy_rule_at(const struct dg_policy *policy, size_t i)
{
	if (i == 0)
		return &protected_rule;
	if (i - 1 < policy->n_rules)
		return &policy->rules[i - 1];
	i -= policy->n_rules + 1;
	return i < N_LAST ? &last_rules[i] : NULL;
}

const struct dg_device_rule *dg_policy_device_rule_at(const struct dg_policy *policy, size_t i)
{
	if (i < policy->n_device_rules)
		return &policy->device_rules[i];
	return i == policy->n_device_rules ? &last_device_rule : NULL;
}

const struct dg_rule *dg_policy_find(const struct dg_policy *policy, const char *name)
{
	const struct dg_rule *rule;

	for (size_t i = 0; (rule = dg_policy_rule_at(policy, i)); i++)
		if (strcmp(rule->name, name) == 0)
			return rule;
	return NULL;
}

static int foreach_name(const struct dg_rule *rule, const struct dg_condition *condition,
			dg_policy_name_func func, void *userdata)
{
	int r = 0;

	for (size_t i = 0; i < condition->n_patterns && r == 0; i++)
		if (condition->patterns[i].named)
			r = func(userdata, rule, condition->key, &condition->patterns[i]);
	return r;
}

int dg_policy_foreach_name(const struct dg_policy *policy, dg_policy_name_func func, void *userdata)
{
	int r = 0;

	for (size_t i = 0; i < policy->n_rules; i++) {
		const struct dg_rule *rule = &policy->rules[i];

		for (size_t k = 0; k < rule->match.n_conditions && r == 0; k++)
			r = foreach_name(rule, &rule->match.conditions[k], func, userdata);
	}
	return r;
}

/* How many of the names stay without a number. */
static size_t resolve(struct dg_condition *condition, dg_policy_resolve_func func, void *userdata)
{
	size_t n_unresolved = 0;

	for (size_t i = 0; i < condition->n_patterns; i++) {
		struct dg_pattern *pattern = &condition->patterns[i];

		if (!pattern->named)
			continue;
		pattern->kind = DG_PATTERN_NAME;
		if (func(userdata, condition->key, pattern->text, &pattern->id) >= 0)
			pattern->kind = DG_PATTERN_ID;
		else
			n_unresolved++;
	}
	return n_unresolved;
}

size_t dg_policy_resolve(struct dg_policy *policy, dg_policy_resolve_func func, void *userdata)
{
	size_t n_unresolved = 0;

	for (size_t i = 0; i < policy->n_rules; i++) {
		struct dg_match *match = &policy->rules[i].match;

		for (size_t k = 0; k < match->n_conditions; k++)
			n_unresolved += resolve(&match->conditions[k], func, userdata);
	}
	return n_unresolved;
}

const struct dg_device_rule *dg_policy_match_device(const struct dg_policy *policy,
						    const struct dg_device_facts *device)
{
	const struct dg_device_rule *rule;
	struct dg_subject subject;

	dg_subject_init(&subject, device, NULL);
	for (size_t i = 0; (rule = dg_policy_device_rule_at(policy, i)); i++)
		if (dg_match_holds(&rule->match, &subject, DG_ASK_DEVICE, NULL))
			return rule;
	return &last_device_rule;
}
