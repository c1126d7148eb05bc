/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Who uses a device: asked by a client, answered by the module or by /proc. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "manager-internal.h"

#define QUERY_US 5000000ULL

struct manager_query {
	struct manager *m;
	struct manager_query *next;
	dg_dev_t dev;
	manager_holders_func func;
	void *userdata;
	struct scan *scan;
	struct step *step;
};

struct manager_query *manager_query_cancel(struct manager_query *query)
{
	struct manager_query **at;

	if (!query)
		return NULL;
	for (at = &query->m->queries; *at != query; at = &(*at)->next)
		;
	*at = query->next;
	scan_cancel(query->scan);
	if (query->step)
		step_cancel(query->step);
	free(query);
	return NULL;
}

void manager_cancel_queries(struct manager *m)
{
	while (m->queries)
		manager_query_cancel(m->queries);
	forecasts_done(m);
}

static void answer(struct manager_query *query, int error, const struct dg_usage_list *rows,
		   const struct dg_fs_list *fs)
{
	manager_holders_func func = query->func;
	struct manager *m = query->m;
	void *userdata = query->userdata;
	struct dg_holder_list holders = {};
	const struct dg_fs_list none = {};

	manager_query_cancel(query);
	if (error >= 0)
		error = manager_merge_holders(m, NULL, rows, &holders);
	func(userdata, error, error < 0 ? NULL : &holders, error < 0 ? NULL : fs ?: &none);
	dg_holder_list_done(&holders);
}

static void on_scan(void *userdata, int error, const struct dg_usage_list *rows,
		    const struct dg_fs_list *fs)
{
	struct manager_query *query = userdata;

	query->scan = NULL;
	answer(query, error, rows, fs);
}

static void on_step(void *userdata, const struct step_outcome *outcome)
{
	struct manager_query *query = userdata;
	struct dg_usage_list rows = {};
	int r;

	query->step = NULL;
	if (outcome->end == STEP_OK)
		r = procscan_read(outcome->output, outcome->n_output, &rows);
	else
		r = outcome->end == STEP_TIMEOUT ? -ETIME : -EIO;
	answer(query, r, &rows, NULL);
	dg_usage_list_done(&rows);
}

/* Only for block devices: the number of a character device would be another disk's. */
int query_start_procscan(struct manager *m, dg_dev_t dev, uint64_t timeout_us, step_func func,
			 void *userdata, struct step **ret)
{
	const char *argv[] = {"procscan", NULL, NULL};
	char text[24];

	if (devices_find(m, dev, true))
		return -EOPNOTSUPP;
	snprintf(text, sizeof(text), "%" PRIu32 ":%" PRIu32, DG_DEV_MAJOR(dev), DG_DEV_MINOR(dev));
	argv[1] = text;
	return step_start(m->steps, argv, timeout_us, func, userdata, ret);
}

int manager_query_holders(struct manager *m, dg_dev_t dev, manager_holders_func func,
			  void *userdata, struct manager_query **ret)
{
	struct manager_query *query;
	int r;

	query = calloc(1, sizeof(*query));
	if (!query)
		return -ENOMEM;
	*query = (struct manager_query){
		.m = m, .next = m->queries, .dev = dev, .func = func, .userdata = userdata};
	m->queries = query;
	if (klink_module_present(m->link))
		r = scan_start(m, &(struct scan_what){SCAN_DEVICE, .dev = dev}, QUERY_US, on_scan,
			       query, &query->scan);
	else
		r = query_start_procscan(m, dev, QUERY_US, on_step, query, &query->step);
	if (r < 0) {
		manager_query_cancel(query);
		return r;
	}
	*ret = query;
	return 0;
}
