/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What is done to holders, for those manager-*.c files that have one in hand. */
#pragma once

#include "core/checkpoint.h"
#include "manager-internal.h"

/* manager-holders.c */
void incident_watch(struct incident *incident, size_t entry);
struct act {
	const char *outcome;
	const char *refused;         /* why it was not done to the unit; NULL: no reason */
	char unit[DG_UNIT_NAME_MAX]; /* that it was done to; "" for none */
	char checkpoint[DG_CHECKPOINT_ID_MAX]; /* that was begun; "" for none */
	uint64_t root_ns;                      /* when the process began of which it is */
};
void incident_act(struct incident *incident, const struct dg_deed *deed, struct act *ret);
bool incident_has_exited(struct incident *incident, size_t entry);
void incident_unwatch_all(struct incident *incident);

/* manager-units.c */
/* Stop, freeze, term or kill. It sets the outcome, or why it is not for the unit. */
void incident_act_on_unit(struct incident *incident, const struct dg_deed *deed, struct act *ret);
/*
 * Of a holder: its unit and the group of that. Else why nothing is done to it as a whole; the
 * unit, if it is in one, is told all the same.
 */
const char *incident_find_unit(struct incident *incident, size_t entry, struct dg_unit *ret,
			       char ret_group[static CGROUP_PATH_MAX]);
/* Of what a user's own manager has started, its unit there. False: it is none of that. */
bool incident_find_user_unit(struct incident *incident, size_t entry, struct dg_unit *ret);
bool manager_is_inside(struct manager *m, pid_t pid, const char *group);
void incident_name_unit(struct incident *incident, size_t entry,
			char ret[static DG_UNIT_NAME_MAX]); /* "": none that could be told */
void incident_thaw_holder(struct incident *incident, size_t entry);
/* All that are frozen by it. record: NULL for none. */
void units_thaw(struct manager *m, struct store_record *record, struct dg_story *story);

/* manager-dumps.c */
void dump_begin(struct incident *incident, const struct dg_deed *deed, struct act *ret);
void dumps_start(struct incident *incident); /* those that wait, after that was written */
/* told: the incident is over; what comes of those that are under way is told later. */
void dumps_cancel(struct incident *incident, bool told);
void dumps_done(struct manager *m);
void dumps_inherit(struct incident *incident);      /* gone on with, of a daemon that is dead */
bool dumps_any(const struct manager *m);            /* some may be under way */
bool dumps_own(const struct manager *m, pid_t pid); /* it makes one */

/* How something has ended that took time of its own. */
struct deed_end {
	struct dg_process process;
	size_t rung;
	enum dg_action action;
	const char *outcome;
	int status; /* of a program */
	uint64_t took_us;
	const char *output;     /* "" for none */
	const char *checkpoint; /* another one than was begun; NULL: none */
};
void incident_tell_end(struct incident *incident, const struct deed_end *end);

/* manager-errands.c; the first outcome, what comes of it is written later */
const char *errand_exec(struct incident *incident, const struct dg_deed *deed, const char *unit);
const char *errand_stop(struct incident *incident, const struct dg_deed *deed, const char *unit);
/* How a hook's step has ended. *ret_output: what it said, within outcome. */
const char *hook_end(const struct step_outcome *outcome, int *ret_status, const char **ret_output);
#define DG_HOOK_SLACK_US 3000000ULL /* the step ends what the hook has started, then itself */
void errands_start(struct incident *incident); /* those that wait, after that was written */
void errands_cancel(struct incident *incident, bool told);
void errands_inherit(struct incident *incident);      /* those of a daemon that is dead */
bool errands_own(const struct manager *m, pid_t pid); /* it is the step of one */
bool errands_any(const struct manager *m);
