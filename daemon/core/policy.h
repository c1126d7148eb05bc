/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a holder gets: the first rule that matches it, as a ladder.
 *
 * A ladder is for a process. Each rung is an action and the time that the
 * process has afterwards; it climbs on only while it still holds on to the
 * device. The built-in rules come last and match everybody, so there is
 * always an answer.
 */
#pragma once

#include "core/holder.h"

enum dg_action {
	DG_ACTION_LEAVE,  /* nothing; it keeps what it has, and meets the revoke */
	DG_ACTION_SIGBUS, /* BUS_MCEERR_AO with the address of its first mapping */
	DG_ACTION_TERM,
	DG_ACTION_KILL,
	_DG_ACTION_MAX,
};
const char *dg_action_name(enum dg_action action);
int dg_action_from_name(const char *name, enum dg_action *ret); /* -EINVAL */

#define DG_LADDER_MAX 8

struct dg_rung {
	enum dg_action action;
	uint32_t grace_ms;
};

struct dg_rule {
	char name[DG_NAME_MAX];
	bool exempt;   /* matches the protected, and only them */
	uint32_t uses; /* bit per enum dg_use; one of them is enough; 0: any */
	struct dg_rung ladder[DG_LADDER_MAX];
	size_t n_rungs; /* at least 1 */
};

struct dg_policy {
	const struct dg_rule *rules;
	size_t n_rules;
};

/* "built-in:protected", "built-in:mapped", "built-in:other"; lives for ever. */
const struct dg_policy *dg_policy_builtin(void);

/* Never NULL. */
const struct dg_rule *dg_policy_match(const struct dg_policy *policy,
				      const struct dg_holder *holder);
const struct dg_rule *dg_policy_find(const struct dg_policy *policy, const char *name);

/*
 * Why an action would be of no use to this holder: the outcome's name, or
 * NULL when it is to be done. SIGBUS is for those who can answer it:
 * "no-handler" for who does not catch it (it would die without the TERM it
 * may handle), "blocked" for who catches it but blocks it in every thread
 * (it would stay pending, and strike later with an address of no meaning).
 * TERM is sent to who blocks it too: sigwait(3) and signalfd(2) need that.
 */
const char *dg_action_skipped(enum dg_action action, const struct dg_holder *holder);

/* A ladder whose rungs are all leave asks nothing of anybody. */
bool dg_rule_leaves(const struct dg_rule *rule);
