/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "core/facts.h"

const char *dg_rule_event_name(enum dg_rule_event event)
{
	static const char *const names[_DG_RULE_EVENT_MAX] = {
		[DG_RULE_EVENT_PRE_REMOVE] = "pre-remove",
		[DG_RULE_EVENT_MEMORY_FAILURE] = "memory-failure",
	};

	return (unsigned)event < _DG_RULE_EVENT_MAX ? names[event] : "unknown";
}

uint32_t dg_uses_of(const struct dg_holder *holder)
{
	uint32_t uses = 0;

	for (unsigned use = 0; use < _DG_USE_MAX; use++)
		if (dg_holder_uses(holder, use))
			uses |= 1U << use;
	return uses;
}

void dg_facts_of_holder(const struct dg_holder *holder, struct dg_process_facts *ret)
{
	*ret = holder->looked ? *holder->looked : (struct dg_process_facts){};
	ret->exempt = holder->exempt;
	ret->uses = dg_uses_of(holder);
	ret->has_uid = true;
	ret->uid = holder->uid;
	ret->command = holder->comm;
}
