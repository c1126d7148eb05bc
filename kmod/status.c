// SPDX-License-Identifier: GPL-2.0-only
/* The read-only view: /sys/kernel/debug/daxguard/status, one KEY=VALUE a line. */
#include <linux/debugfs.h>
#include <linux/seq_file.h>

#include "failure.h"

struct dg_counters dg_counters;
static struct dentry *dg_dir;

static const char *const dg_state_names[] = {
	[DAXGUARD_STATE_ANNOUNCED] = "announced",
	[DAXGUARD_STATE_TAKEN] = "taken",
	[DAXGUARD_STATE_ORPHANED] = "orphaned",
	[DAXGUARD_STATE_REVOKING] = "revoking",
	[DAXGUARD_STATE_CLOSING] = "closing",
};

static const char *const dg_result_names[] = {
	[DAXGUARD_RESULT_NONE] = "none",
	[DAXGUARD_RESULT_ACKED] = "acked",
	[DAXGUARD_RESULT_RELEASED] = "released",
	[DAXGUARD_RESULT_TIMEOUT] = "timeout",
	[DAXGUARD_RESULT_NO_DAEMON] = "no-daemon",
	[DAXGUARD_RESULT_KILLED] = "killed",
	[DAXGUARD_RESULT_STOPPING] = "stopping",
};

static const char *const dg_revoke_names[] = {
	[DAXGUARD_REVOKE_NONE] = "none",
	[DAXGUARD_REVOKE_CLEAN] = "clean",
	[DAXGUARD_REVOKE_PINNED] = "pinned",
	[DAXGUARD_REVOKE_BUSY] = "busy",
};

const char *dg_state_name(u8 state)
{
	return dg_state_names[state];
}

const char *dg_result_name(u8 result)
{
	return dg_result_names[result];
}

static void dg_show_counter(struct seq_file *m, const char *name, atomic64_t *value)
{
	seq_printf(m, "%s=%lld\n", name, atomic64_read(value));
}

static void dg_show_counters(struct seq_file *m)
{
	unsigned int i;

	dg_show_counter(m, "removals", &dg_counters.removals);
	dg_show_counter(m, "held", &dg_counters.held);
	dg_show_counter(m, "not-held", &dg_counters.not_held);
	dg_show_counter(m, "joined", &dg_counters.joined);
	for (i = 1; i < ARRAY_SIZE(dg_result_names); i++)
		seq_printf(m, "result-%s=%lld\n", dg_result_names[i],
			   atomic64_read(&dg_counters.results[i]));
	for (i = 1; i < ARRAY_SIZE(dg_revoke_names); i++)
		seq_printf(m, "revoke-%s=%lld\n", dg_revoke_names[i],
			   atomic64_read(&dg_counters.revokes[i]));
	dg_show_counter(m, "inodes", &dg_counters.inodes);
	dg_show_counter(m, "entries", &dg_counters.entries);
	dg_show_counter(m, "shutdowns", &dg_counters.shutdowns);
	dg_show_counter(m, "signals", &dg_counters.signals);
	dg_show_counter(m, "scans", &dg_counters.scans);
	dg_show_counter(m, "refused", &dg_counters.refused);
	dg_show_counter(m, "failures", &dg_counters.failures);
	dg_show_counter(m, "failures-other", &dg_counters.failures_other);
	dg_show_counter(m, "failures-widened", &dg_counters.failures_widened);
	seq_printf(m, "failures-kept=%u\n", dg_records_count());
	dg_show_counter(m, "unmaps", &dg_counters.unmaps);
}

static int dg_status_show(struct seq_file *m, void *unused)
{
	struct dg_request *req;

	seq_printf(m, "version=%s\n", DG_VERSION);
	dg_show_counters(m);
	mutex_lock(&dg_lock);
	seq_printf(m, "registered=%u\n", dg_registered_port());
	list_for_each_entry(req, &dg_requests, node)
		if (req->held)
			seq_printf(m, "pending=%llu %s %s %s %u\n", req->id, req->device,
				   dg_state_name(req->state), dg_result_name(req->result),
				   dg_request_left_ms(req));
	mutex_unlock(&dg_lock);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(dg_status);

void dg_status_init(void)
{
	dg_dir = debugfs_create_dir("daxguard", NULL);
	debugfs_create_file("status", 0400, dg_dir, NULL, &dg_status_fops);
}

void dg_status_exit(void)
{
	debugfs_remove_recursive(dg_dir);
}
