/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a removal would come to, if it began now.
 *
 * An incident is worked through as it would be, by the same code, in a world that
 * is imagined: no job takes time, and nobody lets go before he is killed. So each
 * gets all of his ladder, at the latest time that it can come; and what is left
 * to be done to the mounts is what there is to do at the worst. The time that is
 * taken off graces, and the deadline, are those of the incident.
 */
#pragma once

#include "core/incident.h"

#define DG_FORECAST_HOLDERS_MAX 4096 /* who comes behind them in the list is not dealt with */

struct dg_forecast_input {
	/* As the kernel would announce it, or a user's; deadline_ms: for who takes it. */
	const struct dg_request *request;
	const struct dg_policy *policy;
	struct dg_incident_limits limits;
	const struct dg_device_facts *device;
	const struct dg_mount_list *mounts; /* NULL: not known */
	const struct dg_holder_list *holders;
	const struct dg_fs_list *fs; /* NULL: not known */
	bool knows_protected;
	bool no_criu; /* see struct dg_plan */
};

struct dg_forecast_rung {
	enum dg_action action;
	uint32_t grace_ms;   /* that follows it */
	uint64_t at_us;      /* since the begin */
	const char *skipped; /* why it is not done, see dg_rule_skipped(); NULL: it is done */
};

struct dg_forecast_ladder {
	struct dg_forecast_rung rungs[DG_LADDER_MAX];
	size_t n_rungs;
	const char *end; /* killed, or dg_entry_state_name() */
};

struct dg_forecast {
	struct dg_incident incident;        /* at its end: its rules, marks, outcome */
	struct dg_forecast_ladder *ladders; /* by entry of its plan */
	size_t n_ladders;
	bool cut; /* there were more than DG_FORECAST_HOLDERS_MAX */
};

/*
 * input and what it points to, but the request, must outlive the forecast. -ENOMEM.
 * -ELOOP: it comes to no end.
 */
int dg_forecast(const struct dg_forecast_input *input, struct dg_forecast *ret);
void dg_forecast_done(struct dg_forecast *forecast); /* zeroed is fine */

/* Entry of the plan; NULL: the process is nobody to deal with, or was not listed. */
const struct dg_plan_entry *dg_forecast_find(const struct dg_forecast *forecast,
					     struct dg_process process,
					     const struct dg_forecast_ladder **ret_ladder);
