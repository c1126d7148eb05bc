/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The rules that are in force: what a holder gets, and the device.
 *
 * The first rule that matches is the one, in this order: built-in:protected,
 * which no file can override; the files by name; built-in:mapped,
 * built-in:memory-failure and built-in:other. So there is always an answer. Device rules likewise,
 * with built-in:device at the end.
 *
 * A policy is made while no hold waits for it, and does not change any more
 * once somebody matches with it; who keeps it has a reference. What may block,
 * reading the files and looking up users, is done by others.
 */
#pragma once

#include "core/rule.h"

#define DG_RULES_MAX 16384U /* of each kind */

struct dg_policy {
	unsigned n_ref; /* 0: the built-in one, which lives for ever */
	struct dg_rule *rules;
	size_t n_rules;
	struct dg_device_rule *device_rules;
	size_t n_device_rules;
};

/* No files. */
const struct dg_policy *dg_policy_builtin(void);

struct dg_policy *dg_policy_new(void); /* NULL: no memory */
const struct dg_policy *dg_policy_ref(const struct dg_policy *policy);
const struct dg_policy *
dg_policy_unref(const struct dg_policy *policy); /* NULL is fine; returns NULL */

/* The next one in the order of names; takes its contents. -ENOMEM. -E2BIG: DG_RULES_MAX. */
int dg_policy_add(struct dg_policy *policy, struct dg_rule *rule);
int dg_policy_add_device(struct dg_policy *policy, struct dg_device_rule *rule);

/* All rules in their order, the built-in ones included. i: 0, 1, … until NULL. */
const struct dg_rule *dg_policy_rule_at(const struct dg_policy *policy, size_t i);
const struct dg_device_rule *dg_policy_device_rule_at(const struct dg_policy *policy, size_t i);
const struct dg_rule *dg_policy_find(const struct dg_policy *policy,
				     const char *name); /* or NULL */

/*
 * Names of users and groups, DG_KEY_USER and DG_KEY_GROUP, each as often as it
 * stands there. What func returns ends the loop if it is not 0, and is returned.
 */
typedef int (*dg_policy_name_func)(void *userdata, const struct dg_rule *rule, enum dg_key key,
				   const struct dg_pattern *pattern);
int dg_policy_foreach_name(const struct dg_policy *policy, dg_policy_name_func func,
			   void *userdata);

/* Their numbers. A func that fails leaves a name unresolved: it matches nobody. How many. */
typedef int (*dg_policy_resolve_func)(void *userdata, enum dg_key key, const char *name,
				      uint32_t *ret_id);
size_t dg_policy_resolve(struct dg_policy *policy, dg_policy_resolve_func func, void *userdata);

/* Never NULL. */
const struct dg_device_rule *dg_policy_match_device(const struct dg_policy *policy,
						    const struct dg_device_facts *device);
