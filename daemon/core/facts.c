/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "core/facts.h"

const char *dg_rule_event_name(enum dg_rule_event event)
{
	static const char *const names[_DG_RULE_EVENT_MAX] = {
		[DG_RULE_EVENT_PRE_REMOVE] = "pre-remove",
	};

	return (unsigned)event < _DG_RULE_EVENT_MAX ? names[event] : "unknown";
}

void dg_facts_of_holder(const struct dg_holder *holder, struct dg_process_facts *ret)
{
	*ret = (struct dg_process_facts){
		.exempt = holder->exempt,
		.has_uid = true,
		.uid = holder->uid,
		.command = holder->comm,
	};
	for (unsigned use = 0; use < _DG_USE_MAX; use++)
		if (dg_holder_uses(holder, use))
			ret->uses |= 1U << use;
}
