/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Memory failures in the journal: a module that fails page by page for hours must not fill it. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <syslog.h>

#include "manager-failure.h"
#include "names.h"

#define EVERY_US 60000000ULL
#define BURST 10U /* incidents that are told in that time */

struct failure_log {
	struct manager *m;
	sd_event_source *timer;
	unsigned n_told; /* before it goes off */
	uint64_t n_untold;
};

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct failure_log *log = userdata;

	if (log->n_untold > 0)
		log_message(log->m, LOG_ERR, DG_MESSAGE_DROPPED,
			    "%" PRIu64 " more memory failures were not told here (daxguardctl "
			    "incidents)",
			    log->n_untold);
	log->n_told = 0;
	log->n_untold = 0;
	return 0;
}

void failure_log_tell(struct failure_log *log, const struct dg_story *story, bool written)
{
	if (log->n_told >= BURST) {
		log->n_untold++;
		return;
	}
	if (log->n_told++ == 0 && sd_event_source_set_time_relative(log->timer, EVERY_US) >= 0)
		sd_event_source_set_enabled(log->timer, SD_EVENT_ONESHOT);
	log_failure(log->m, story, written);
}

int failure_log_new(struct manager *m, struct failure_log **ret)
{
	struct failure_log *log = calloc(1, sizeof(*log));
	int r;

	if (!log)
		return -ENOMEM;
	log->m = m;
	r = sd_event_add_time(m->event, &log->timer, CLOCK_MONOTONIC, 0, 1, on_timer, log);
	if (r >= 0)
		r = sd_event_source_set_enabled(log->timer, SD_EVENT_OFF);
	if (r < 0)
		failure_log_free(log);
	else
		*ret = log;
	return r;
}

void failure_log_free(struct failure_log *log)
{
	if (!log)
		return;
	sd_event_source_disable_unref(log->timer);
	free(log);
}
