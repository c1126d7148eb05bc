/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* How the daemon is. */
#include <string.h>

#include "manager-internal.h"

static const char *const *texts(const struct lines *lines)
{
	static const char *const none[] = {NULL};

	return lines->n > 0 ? (const char *const *)lines->items : none;
}

void manager_get_status(struct manager *m, struct manager_status *ret)
{
	const struct dg_ledger *ledger = keeper_ledger(m->keeper);
	struct keeper_status kept = keeper_status(m->keeper);

	*ret = (struct manager_status){
		.module_present = klink_module_present(m->link),
		.registered = m->registered,
		.why_not = module_why_not(m),
		.module_version = m->registered ? m->info.version : "",
		.hold_ms = m->info.hold_ms,
		.cap_ms = m->info.cap_ms,
		.activation_ms = m->info.activation_ms,
		.started_wall_us = m->started_wall_us,
		.n_open = m->n_open,
		.n_kept = m->n_kept,
		.n_total = m->n_total,
		.n_log_dropped = logger_dropped(m->logger),
		.n_unrecorded = m->n_unrecorded,
		.n_taken_over = m->n_taken_over,
		.n_lost_steps = m->n_lost_steps,
		.n_stuck_steps = steps_stuck(m->steps),
		.config_builtin = m->config.builtin,
		.config_files = (const char *const *)m->config.files,
		.config_errors = (const char *const *)m->config.errors,
		.policy_builtin = m->policy_builtin,
		.n_rules = m->policy->n_rules,
		.n_device_rules = m->policy->n_device_rules,
		.refused = texts(&m->refused),
		.policy_warnings = texts(&m->warnings),
		.ledger_read = ledger != NULL,
		.n_bad = ledger ? dg_ledger_counts(ledger).n_bad : 0,
		.n_ledger_unwritten = kept.n_unwritten,
		.n_ledger_skipped = kept.n_skipped,
		.ledger_error = kept.error < 0 ? strerrorname_np(-kept.error) ?: "unknown" : "",
	};
}
