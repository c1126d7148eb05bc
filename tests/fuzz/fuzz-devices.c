/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the manager makes of the output of `topology`, `protected` and `procscan`. */
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "manager-checkpoints.h"

/* The adapter's part: the fuzzer is the step. */
static step_func on_topology;

int step_start(struct steps *steps, const char *const argv[], uint64_t timeout_us, step_func func,
	       void *userdata, struct step **ret)
{
	if (strcmp(argv[0], "topology") != 0)
		return -1;
	on_topology = func;
	return 0;
}

bool steps_keep_ready(struct steps *steps, size_t n)
{
	return false;
}

void step_cancel(struct step *step)
{
}

const char *step_end_name(enum step_end end)
{
	return "";
}

uint64_t manager_now(const struct manager *m)
{
	return 0;
}

uint64_t manager_clock_ns(clockid_t clock)
{
	return 0;
}

bool manager_is_holding(const struct manager *m)
{
	return false;
}

void log_message(struct manager *m, int priority, const char *id, const char *format, ...)
{
}

/* No scan is started. */
int klink_scan_request(struct klink *link, uint64_t id, uint32_t *ret_token)
{
	return -1;
}

int klink_scan_device(struct klink *link, dg_dev_t dev, uint32_t *ret_token)
{
	return -1;
}

int klink_get_holders(struct klink *link, uint32_t token, struct dg_usage_list *ret)
{
	return -1;
}

int klink_get_fs(struct klink *link, uint32_t token, struct dg_fs_list *ret)
{
	return -1;
}

int klink_scan_range(struct klink *link, dg_dev_t dev, const struct dg_range *range,
		     uint32_t *ret_token)
{
	return -1;
}

int klink_unmap(struct klink *link, dg_dev_t dev, const struct dg_range *range, bool badblocks,
		uint32_t *ret_token)
{
	return -1;
}

int klink_check(struct klink *link, dg_dev_t dev, uint32_t *ret_token)
{
	return -1;
}

void checks_devices(struct manager *m)
{
}

void failures_go_on(struct manager *m)
{
}

void returns_devices(struct manager *m, const struct manager_device *old, size_t n_old)
{
}

void returns_go_on(struct manager *m)
{
}

bool manager_is_alive(struct manager *m, struct dg_process process)
{
	return true;
}

static size_t read_all(const struct manager *m)
{
	size_t sum = 0;

	for (size_t i = 0; i < m->n_devices; i++) {
		const struct manager_device *device = &m->devices[i];

		sum += strlen(device->name) + strlen(device->ns_device) + strlen(device->uuid);
		for (size_t k = 0; k < device->n_mounts; k++)
			sum += strlen(device->mounts[k].path) + strlen(device->mounts[k].type);
		for (char **why = device->system; why && *why; why++)
			sum += strlen(*why);
	}
	for (size_t i = 0; i < m->n_protected; i++) {
		/* Compared with the pids of holders: nobody is protected by accident. */
		if (m->protected[i].process.pid <= 0)
			abort();
		sum += strlen(m->protected[i].name);
	}
	return sum;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct step_outcome outcome = {
		.end = STEP_OK, .output = (const char *)data, .n_output = size, .error = ""};
	struct dg_usage_list rows;
	struct manager m = {0};

	if (sd_event_new(&m.event) < 0 || devices_start(&m) < 0)
		abort();
	sd_event_run(m.event, 0);
	on_topology(&m, &outcome);
	devices_set_protected(&m, outcome.output, size);
	if (read_all(&m) > 16 * size)
		abort();
	if (procscan_read(outcome.output, size, &rows) >= 0) {
		for (size_t i = 0; i < rows.n_items; i++)
			if (rows.items[i].pid <= 0 || rows.items[i].use >= _DG_USE_MAX)
				abort();
		dg_usage_list_done(&rows);
	}
	devices_done(&m);
	sd_event_unref(m.event);
	return 0;
}
