// SPDX-License-Identifier: GPL-2.0-only
/*
 * Memory failures: the worker that looks up what the probes saw, and who is told
 * of it, how often.
 */
#include <linux/workqueue.h>

#include "failure.h"

#define DG_WINDOW	HZ		/* in which at most so many are multicast */
#define DG_WINDOW_MAX	64

/* The worker's, of which there is one at a time. */
static u64 dg_announced;		/* up to this serial */
static unsigned long dg_window_begin;	/* jiffies */
static unsigned int dg_window_nr;
static bool dg_doorbell_due;
static unsigned long dg_doorbell_at;	/* jiffies, of the last; 0: none */
static bool dg_stopping;

static void dg_failures_run(struct work_struct *work);
static void dg_failures_later(struct work_struct *work);
static DECLARE_WORK(dg_failures_work, dg_failures_run);
static DECLARE_DELAYED_WORK(dg_later_work, dg_failures_later);

void dg_failures_wake(void)
{
	dg_worker_queue(&dg_failures_work);
}

static void dg_failures_later(struct work_struct *work)
{
	dg_failures_wake();
}

static void dg_run_again(unsigned long delay)
{
	if (!READ_ONCE(dg_stopping))
		schedule_delayed_work(&dg_later_work, delay);
}

/* The last one that fits says that there may be more. */
static int dg_announce_one(const struct dg_failure *failure, void *ctx)
{
	if (dg_genl_failure(failure, ++dg_window_nr == DG_WINDOW_MAX))
		return 1;
	dg_announced = failure->serial;
	return dg_window_nr == DG_WINDOW_MAX;
}

/* What was not sent in the last window is only said to be there. */
static int dg_announce_last(const struct dg_failure *failure, void *ctx)
{
	dg_genl_failure(failure, true);
	dg_announced = failure->serial;
	return 1;
}

static void dg_announce(void)
{
	u64 last = dg_records_last();

	if (last <= dg_announced)
		return;
	dg_doorbell_due = true;
	if (time_after_eq(jiffies, dg_window_begin + DG_WINDOW)) {
		if (dg_window_nr == DG_WINDOW_MAX)
			dg_records_each(last - 1, dg_announce_last, NULL);
		dg_window_begin = jiffies;
		dg_window_nr = 0;
	}
	if (dg_window_nr < DG_WINDOW_MAX)
		dg_records_each(dg_announced, dg_announce_one, NULL);
	if (dg_records_last() > dg_announced)
		dg_run_again(DG_WINDOW);
}

static int dg_ring(const struct dg_failure *failure, void *ctx)
{
	dg_uevent_failure(failure->serial, failure->dev->id.name);
	return 1;
}

/* The uevent: once a second is often enough to start a daemon. */
static void dg_ring_doorbell(void)
{
	u64 last = dg_records_last();

	if (!dg_doorbell_due)
		return;
	if (dg_doorbell_at && time_before(jiffies, dg_doorbell_at + DG_WINDOW)) {
		dg_run_again(DG_WINDOW);
		return;
	}
	dg_doorbell_due = false;
	dg_doorbell_at = jiffies ?: 1;
	if (last)
		dg_records_each(last - 1, dg_ring, NULL);
}

static void dg_failures_run(struct work_struct *work)
{
	if (dg_events_take(dg_locate_event))
		dg_run_again(DG_WINDOW);
	dg_locate_end();
	dg_announce();
	dg_ring_doorbell();
}

void dg_failures_init(void)
{
	dg_records_init();
	dg_window_begin = jiffies - DG_WINDOW;
}

/* No probe runs any more; a look of CHECK may, which ends with the worker. */
void dg_failures_exit(void)
{
	WRITE_ONCE(dg_stopping, true);
	cancel_delayed_work_sync(&dg_later_work);
	cancel_work_sync(&dg_failures_work);
	cancel_delayed_work_sync(&dg_later_work);
	dg_records_exit();
}
