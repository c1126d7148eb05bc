/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Why it is this rule, and none of those before it. */
#pragma once

#include "core/policy.h"

#define DG_WHY_MAX 64 /* rules that are told; of the others, how many */

struct dg_why_rule {
	const char *name, *path; /* path NULL: built in */
	struct dg_reason reason;
};

struct dg_why {
	struct dg_why_rule rules[DG_WHY_MAX]; /* in their order; refer to the policy */
	size_t n_rules, n_more;
};

/* Those before chosen; NULL for what is not known of the device. */
void dg_why_rules(const struct dg_policy *policy, const struct dg_device_facts *device,
		  const struct dg_process_facts *process, const struct dg_rule *chosen,
		  struct dg_why *ret);
void dg_why_device_rules(const struct dg_policy *policy, const struct dg_device_facts *device,
			 const struct dg_device_rule *chosen, struct dg_why *ret);
