/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The rules of the directory DAXGUARD_TEST_POLICY for each incident, in the way of
 * those that the daemon has.
 */
#include <stdlib.h>

#include "core/incident.h"
#include "policy-files.h"

int __real_dg_incident_init(struct dg_incident *incident, const struct dg_request *request,
			    const struct dg_policy *policy, const struct dg_incident_limits *limits,
			    uint64_t now_us);
int __wrap_dg_incident_init(struct dg_incident *incident, const struct dg_request *request,
			    const struct dg_policy *policy, const struct dg_incident_limits *limits,
			    uint64_t now_us);

static struct policy_files files;

int __wrap_dg_incident_init(struct dg_incident *incident, const struct dg_request *request,
			    const struct dg_policy *policy, const struct dg_incident_limits *limits,
			    uint64_t now_us)
{
	const char *const dirs[] = {getenv("DAXGUARD_TEST_POLICY"), NULL};
	int r;

	if (!files.policy && policy_files_load(dirs, &files) < 0)
		abort();
	if (!files.policy)
		abort();
	r = __real_dg_incident_init(incident, request, files.policy, limits, now_us);
	return r < 0 ? r : dg_plan_select(&incident->plan, &(struct dg_device_facts){});
}
