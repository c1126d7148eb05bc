/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Actions on a unit as a whole: its control group is signalled, killed, frozen.
 *
 * It is told before it is done, so that a new daemon knows whom to thaw, and who
 * has had what. Who is frozen is thawed before somebody asks him for anything, and
 * at the end in any case; a freeze that no record tells is not made.
 */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <syslog.h>

#include "manager-acts.h"

static struct cgroup_paths paths_of(const struct manager *m)
{
	return (struct cgroup_paths){.root = m->paths->cgroup, .proc = m->paths->proc};
}

bool manager_is_inside(struct manager *m, pid_t pid, const char *group)
{
	const struct cgroup_paths paths = paths_of(m);
	char where[CGROUP_PATH_MAX];

	return pid > 0 && cgroup_of(&paths, pid, where) >= 0 &&
	       dg_cgroup_is_in(where, group, strlen(group));
}

/* Somebody in it must never be signalled, stopped or frozen, or waits for us. */
static bool is_protected(struct incident *incident, const char *group)
{
	struct manager *m = incident->m;

	if (manager_is_inside(m, 1, group) || manager_is_inside(m, m->self.pid, group) ||
	    manager_is_inside(m, incident->core.request.unbinder_pid, group))
		return true;
	for (size_t i = 0; i < m->n_protected; i++)
		if (manager_is_inside(m, m->protected[i].process.pid, group))
			return true;
	return false;
}

const char *incident_find_unit(struct incident *incident, size_t entry, struct dg_unit *ret,
			       char ret_group[static CGROUP_PATH_MAX])
{
	const struct cgroup_paths paths = paths_of(incident->m);
	pid_t pid = incident->core.plan.entries[entry].holder.process.pid;
	char group[CGROUP_PATH_MAX];
	int r;

	r = cgroup_of(&paths, pid, group);
	/* Read first: what was read of a process that has not ended since is its own. */
	if (incident_has_exited(incident, entry))
		return "gone";
	if (r < 0 || dg_unit_of_cgroup(group, ret) < 0)
		return "no-unit";
	if (ret->shared)
		return "shared-unit";
	group[ret->n_path] = '\0';
	if (!cgroup_is_there(&paths, group, ret->n_path))
		return "unsupported";
	if (is_protected(incident, group))
		return "protected-unit";
	memcpy(ret_group, group, sizeof(group));
	return NULL;
}

bool incident_find_user_unit(struct incident *incident, size_t entry, struct dg_unit *ret)
{
	const struct cgroup_paths paths = paths_of(incident->m);
	pid_t pid = incident->core.plan.entries[entry].holder.process.pid;
	char group[CGROUP_PATH_MAX];

	return cgroup_of(&paths, pid, group) >= 0 && dg_user_unit_of_cgroup(group, ret) >= 0;
}

/* A start that /proc tells is cut to a tick, and so never too late. */
static bool was_there(struct dg_process process, const struct dg_story_unit *done)
{
	return process.start_ns <= done->boot_ns;
}

/* False: no record could say so, or none that is kept. */
static bool write_unit(struct incident *incident, const char *group, enum dg_action action)
{
	size_t n_before = incident->story->n_units;
	struct entry entry;

	entry_begin(&entry, "unit");
	entry_text(&entry, "action", dg_action_name(action));
	entry_text(&entry, "cgroup", group);
	entry_number(&entry, "boot_ns", manager_clock_ns(CLOCK_BOOTTIME));
	incident_write(incident, &entry);
	return incident->story->n_units > n_before;
}

static const char *result(int r, const char *done)
{
	if (r >= 0)
		return done;
	if (r == -E2BIG)
		return "sent-to-some";
	return strerrorname_np(-r) ?: "failed";
}

static void thaw(struct manager *m, struct store_record *record, struct dg_story *story, size_t n);

static const char *freeze(struct incident *incident, const char *group)
{
	const struct cgroup_paths paths = paths_of(incident->m);
	struct dg_story *story = incident->story;
	int r;

	/* By somebody else, who will not want it thawed by us. */
	if (cgroup_is_frozen(&paths, group, strlen(group)))
		return "frozen-before";
	if (story->unrecorded || !write_unit(incident, group, DG_ACTION_FREEZE))
		return "unrecorded";
	/* By what has just been written. */
	r = story->unrecorded ? -EIO : cgroup_freeze(&paths, group, strlen(group));
	if (r < 0)
		thaw(incident->m, incident->record, story, story->n_units - 1);
	return story->unrecorded ? "unrecorded" : result(r, "frozen");
}

static const char *signal_unit(struct incident *incident, const char *group, int signo)
{
	const struct cgroup_paths paths = paths_of(incident->m);
	int r;

	if (signo == SIGKILL)
		r = cgroup_kill(&paths, group, strlen(group));
	else
		r = cgroup_signal(&paths, group, strlen(group), signo, NULL);
	return result(r, "sent-to-unit");
}

/* What a unit gets, each who is in it has got, and gets not again. */
static bool has_had(struct incident *incident, const struct dg_deed *deed, const char *group)
{
	const struct dg_story_unit *done = dg_story_find_unit(incident->story, group, deed->action);

	if (!done || (deed->action == DG_ACTION_FREEZE && !done->frozen))
		return false;
	return was_there(incident->core.plan.entries[deed->entry].holder.process, done);
}

void incident_name_unit(struct incident *incident, size_t entry, char ret[static DG_UNIT_NAME_MAX])
{
	const struct cgroup_paths paths = paths_of(incident->m);
	pid_t pid = incident->core.plan.entries[entry].holder.process.pid;
	char group[CGROUP_PATH_MAX];
	struct dg_unit unit;

	*ret = '\0';
	if (cgroup_of(&paths, pid, group) >= 0 && dg_unit_of_cgroup(group, &unit) >= 0 &&
	    !incident_has_exited(incident, entry))
		memcpy(ret, unit.name, sizeof(unit.name));
}

void incident_act_on_unit(struct incident *incident, const struct dg_deed *deed, struct act *ret)
{
	char group[CGROUP_PATH_MAX];
	struct dg_unit unit;

	ret->refused = incident_find_unit(incident, deed->entry, &unit, group);
	if (ret->refused)
		return;
	memcpy(ret->unit, unit.name, sizeof(unit.name));
	if (has_had(incident, deed, group)) {
		ret->outcome = "with-its-unit";
		return;
	}
	if (deed->action == DG_ACTION_FREEZE) {
		ret->outcome = freeze(incident, group);
		return;
	}
	/* Who came later is alone with it: the others have had theirs. */
	if (deed->action == DG_ACTION_TERM &&
	    dg_story_find_unit(incident->story, group, deed->action))
		ret->refused = "started-later";
	else if (!write_unit(incident, group, deed->action))
		ret->refused = "unrecorded";
	else if (deed->action == DG_ACTION_STOP)
		ret->outcome = errand_stop(incident, deed, unit.name);
	else
		ret->outcome = signal_unit(incident, group,
					   deed->action == DG_ACTION_KILL ? SIGKILL : SIGTERM);
}

/* One that is gone is thawed as well. */
static void thaw(struct manager *m, struct store_record *record, struct dg_story *story, size_t n)
{
	const struct cgroup_paths paths = paths_of(m);
	/* What the event does to the story leaves the text alone. */
	const char *group = story->units[n].cgroup;
	struct entry entry;
	int r;

	r = cgroup_thaw(&paths, group, strlen(group));
	if (r < 0 && r != -ENOENT) {
		log_message(m, LOG_ERR, NULL, "Cannot thaw %s: %s", group, strerror(-r));
		return;
	}
	entry_begin(&entry, "unit");
	entry_text(&entry, "action", "thaw");
	entry_text(&entry, "cgroup", group);
	(void)!entry_write(m, &entry, record, story);
}

void units_thaw(struct manager *m, struct store_record *record, struct dg_story *story)
{
	for (size_t i = 0; i < story->n_units; i++)
		if (story->units[i].frozen)
			thaw(m, record, story, i);
}

void incident_thaw_holder(struct incident *incident, size_t entry)
{
	struct dg_story *story = incident->story;
	pid_t pid = incident->core.plan.entries[entry].holder.process.pid;

	for (size_t i = 0; i < story->n_units; i++)
		if (story->units[i].frozen &&
		    manager_is_inside(incident->m, pid, story->units[i].cgroup))
			thaw(incident->m, incident->record, story, i);
}
