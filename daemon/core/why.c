/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "core/why.h"

static void add(struct dg_why *why, const char *name, const char *path, struct dg_reason reason)
{
	if (why->n_rules < DG_WHY_MAX)
		why->rules[why->n_rules++] = (struct dg_why_rule){name, path, reason};
	else
		why->n_more++;
}

void dg_why_rules(const struct dg_policy *policy, const struct dg_device_facts *device,
		  const struct dg_process_facts *process, const struct dg_rule *chosen,
		  struct dg_why *ret)
{
	const struct dg_rule *rule;
	struct dg_subject subject;
	struct dg_reason reason;

	ret->n_rules = ret->n_more = 0;
	dg_subject_init(&subject, device, process);
	for (size_t i = 0; (rule = dg_policy_rule_at(policy, i)) && rule != chosen; i++) {
		dg_rule_explain(rule, &subject, &reason);
		add(ret, rule->name, rule->path, reason);
	}
}

void dg_why_device_rules(const struct dg_policy *policy, const struct dg_device_facts *device,
			 const struct dg_device_rule *chosen, struct dg_why *ret)
{
	const struct dg_device_rule *rule;
	struct dg_subject subject;
	struct dg_reason reason;

	ret->n_rules = ret->n_more = 0;
	dg_subject_init(&subject, device, NULL);
	for (size_t i = 0; (rule = dg_policy_device_rule_at(policy, i)) && rule != chosen; i++) {
		dg_match_holds(&rule->match, &subject, DG_ASK_DEVICE, &reason);
		add(ret, rule->name, rule->path, reason);
	}
}
