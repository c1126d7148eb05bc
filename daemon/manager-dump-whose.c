/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Whose checkpoint is to be made: the tree or the unit of a holder. */
#include <string.h>

#include "manager-dumps.h"

/* It is to be checkpointed itself, as a process. */
static bool is_eligible(struct incident *incident, const struct dg_plan_entry *entry)
{
	return entry->state == DG_ENTRY_CLIMBING && !entry->exited &&
	       entry->holder.exempt == DG_EXEMPT_NONE && entry->rule &&
	       entry->rule->scope == DG_SCOPE_PROCESS && !entry->rule->dry_run &&
	       dg_rule_has(entry->rule, DG_ACTION_CHECKPOINT) &&
	       manager_is_alive(incident->m, entry->holder.process);
}

/* The highest ancestor, as long as each is a holder who is to be checkpointed. */
static size_t find_root(struct incident *incident, size_t entry)
{
	const struct dg_plan *plan = &incident->core.plan;

	for (int i = 0; i < DG_ANCESTORS_MAX; i++) {
		struct dg_process process;
		pid_t parent = 0;
		size_t k = 0;

		(void)!manager_read_process(incident->m, plan->entries[entry].holder.process.pid,
					    &process, &parent);
		while (k < plan->n_entries && (plan->entries[k].holder.process.pid != parent ||
					       !is_eligible(incident, &plan->entries[k])))
			k++;
		if (parent <= 1 || k == plan->n_entries)
			break;
		entry = k;
	}
	return entry;
}

/*
 * A process needs no unit, nor a group of it. But who would start it again beside its checkpoint
 * must be asked not to, and that is only the system's manager; and not for a unit that may not
 * be stopped. Whom nobody starts again is in a scope: of a session, or of a user's manager.
 */
static const char *refuse_process(struct incident *incident, size_t entry, const char *refused,
				  const struct dg_unit *unit)
{
	struct dg_unit user_unit;

	if (!refused || strcmp(refused, "no-unit") == 0 || strcmp(refused, "unsupported") == 0)
		return NULL;
	if (strcmp(refused, "shared-unit") != 0)
		return refused;
	if (incident_find_user_unit(incident, entry, &user_unit))
		return user_unit.scope && !user_unit.shared ? NULL : "unsupported";
	return unit->scope && strcmp(unit->name, "init.scope") != 0 ? NULL : refused;
}

/* The main process of the unit, if it is a tree; whether it is one is for the step to say. */
static const char *find_main(struct incident *incident, const char *group, struct whose *ret)
{
	pid_t pid = ret->root.pid, parent;
	struct dg_process process;

	for (int i = 0; i < DG_ANCESTORS_MAX; i++) {
		if (manager_read_process(incident->m, pid, &process, &parent) < 0)
			return "gone";
		ret->root = process;
		if (!manager_is_inside(incident->m, parent, group))
			break;
		pid = parent;
	}
	return NULL;
}

static const char *find_unit(struct incident *incident, size_t entry, struct whose *ret)
{
	char group[CGROUP_PATH_MAX];
	struct dg_unit unit = {};
	const char *refused;

	refused = incident_find_unit(incident, entry, &unit, group);
	if (ret->scope == DG_SCOPE_PROCESS)
		refused = refuse_process(incident, entry, refused, &unit);
	if (refused)
		return refused;
	/* A shared one is nobody's to stop. */
	if (!unit.shared)
		memcpy(ret->unit, unit.name, sizeof(unit.name));
	return ret->scope == DG_SCOPE_UNIT ? find_main(incident, group, ret) : NULL;
}

const char *dump_find_whose(struct incident *incident, size_t entry, struct whose *ret)
{
	const struct dg_plan_entry *entries = incident->core.plan.entries;
	struct dg_unit user_unit;
	const char *refused;

	*ret = (struct whose){.scope = entries[entry].rule->scope};
	if (ret->scope == DG_SCOPE_PROCESS)
		entry = find_root(incident, entry);
	ret->root = entries[entry].holder.process;
	ret->uid = entries[entry].holder.uid;
	ret->trusted = dg_rule_trusts(entries[entry].rule,
				      incident_find_user_unit(incident, entry, &user_unit));
	if (ret->uid != 0 && !ret->trusted)
		return "not-trusted";
	refused = find_unit(incident, entry, ret);
	if (refused)
		return refused;
	memcpy(ret->comm, entries[entry].holder.comm, sizeof(ret->comm));
	if (ret->scope == DG_SCOPE_UNIT)
		manager_read_comm(incident->m, ret->root.pid, ret->comm);
	return NULL;
}
