// SPDX-License-Identifier: GPL-2.0-only
/*
 * The source of memory failures: two tracepoints of the kernel, which have no
 * exported names and are found by theirs.
 *
 * memory_failure_event comes once for each page, in the task that handles it,
 * when the kernel has done what it does. signal_generate comes before it in the
 * same task, for each process that the kernel tells. Probes are atomic: they put
 * what they see into tables of a fixed size, and the worker takes it from there
 * (failure.c). Where a table is full, a page widens the nearest entry: precision
 * is lost then, no page is.
 */
#include <linux/mm.h>
#include <linux/sched/signal.h>
#include <linux/spinlock.h>
#include <linux/tracepoint.h>
#include <trace/events/signal.h>

#include "failure.h"

#define DG_EVENTS_MAX	4096
#define DG_NOTED_MAX	4096
#define DG_SENT_MAX	1024

/* What the probes have seen; filled by them, emptied by the worker, in turns. */
struct dg_batch {
	unsigned int nr_events, nr_noted;
	struct dg_event events[DG_EVENTS_MAX];
	struct dg_noted noted[DG_NOTED_MAX];
};

/* A SIGBUS for a failed page whose memory_failure_event has not come yet. */
struct dg_sent {
	pid_t sender;			/* a thread; 0: free */
	u64 sender_start_ns;
	struct dg_told told;
};

static DEFINE_RAW_SPINLOCK(dg_event_lock);
static struct dg_batch dg_batches[2];
static struct dg_batch *dg_filling = &dg_batches[0];	/* dg_event_lock */
static struct dg_sent dg_sent[DG_SENT_MAX];		/* dg_event_lock, and below */
static unsigned int dg_sent_at, dg_sent_used;
static pid_t dg_sent_lost;				/* whose were overwritten */
static struct tracepoint *dg_failure_tp, *dg_signal_tp;

static unsigned long dg_event_distance(const struct dg_event *event, unsigned long pfn)
{
	if (pfn < event->pfn)
		return event->pfn - pfn;
	return pfn < event->end ? 0 : pfn - event->end + 1;
}

/* The table is full: into the nearest, good pages between or not. */
static struct dg_event *dg_event_widen(struct dg_batch *batch, unsigned long pfn, unsigned long end)
{
	struct dg_event *best = &batch->events[0];
	unsigned int i;

	for (i = 1; i < batch->nr_events; i++)
		if (dg_event_distance(&batch->events[i], pfn) < dg_event_distance(best, pfn))
			best = &batch->events[i];
	best->widened |= pfn > best->end || end < best->pfn;
	best->pfn = min(best->pfn, pfn);
	best->end = max(best->end, end);
	return best;
}

/*
 * The entry for these pages: the last one, if they continue it, else a new one.
 * Only of the last are those noted that were told; of another, *ret_last is false.
 */
static struct dg_event *dg_event_for(struct dg_batch *batch, unsigned long pfn, unsigned long end,
				     u8 result, bool *ret_last)
{
	struct dg_event *event = &batch->events[batch->nr_events];

	lockdep_assert_held(&dg_event_lock);
	*ret_last = true;
	if (batch->nr_events && event[-1].result == result && event[-1].pfn <= pfn &&
	    pfn <= event[-1].end && pfn / DG_EVENT_PAGES == event[-1].pfn / DG_EVENT_PAGES) {
		event--;
		event->end = max(event->end, end);
		return event;
	}
	if (batch->nr_events == DG_EVENTS_MAX) {
		*ret_last = false;
		return dg_event_widen(batch, pfn, end);
	}
	batch->nr_events++;
	memset(event, 0, sizeof(*event));
	event->pfn = pfn;
	event->end = end;
	event->result = result;
	event->first_noted = batch->nr_noted;
	return event;
}

static bool dg_sent_by_us(const struct dg_sent *sent)
{
	return sent->sender == task_pid_nr(current) &&
	       sent->sender_start_ns == current->start_boottime;
}

static void dg_sent_free(struct dg_sent *sent)
{
	sent->sender = 0;
	dg_sent_used--;
}

/* A worker handles one page after the other: whom it told of memory that is not ours. */
static void dg_drop_sent(void)
{
	unsigned int i;

	for (i = 0; i < DG_SENT_MAX && dg_sent_used; i++)
		if (dg_sent_by_us(&dg_sent[i]))
			dg_sent_free(&dg_sent[i]);
	if (dg_sent_lost == task_pid_nr(current))
		dg_sent_lost = 0;
}

/* Whom this task has just told goes with the page. */
static void dg_claim_sent(struct dg_batch *batch, struct dg_event *event, bool last,
			  unsigned long pfn)
{
	unsigned int i;

	if (dg_sent_lost == task_pid_nr(current)) {
		dg_sent_lost = 0;
		event->told_more = true;
	}
	for (i = 0; i < DG_SENT_MAX && dg_sent_used; i++) {
		struct dg_sent *sent = &dg_sent[i];

		if (!dg_sent_by_us(sent))
			continue;
		dg_sent_free(sent);
		if (!last || batch->nr_noted == DG_NOTED_MAX) {
			event->told_more = true;
			continue;
		}
		batch->noted[batch->nr_noted].pfn = pfn;
		batch->noted[batch->nr_noted].told = sent->told;
		batch->nr_noted++;
		event->nr_noted++;
	}
}

static void dg_on_memory_failure(void *data, unsigned long pfn, int type, int result)
{
	struct dg_event *event;
	unsigned long flags;
	bool last;

	raw_spin_lock_irqsave(&dg_event_lock, flags);
	if (type != MF_MSG_DAX) {
		dg_drop_sent();
		raw_spin_unlock_irqrestore(&dg_event_lock, flags);
		atomic64_inc(&dg_counters.failures_other);
		return;
	}
	event = dg_event_for(dg_filling, pfn, pfn + 1, result, &last);
	event->count++;
	event->time_ns = ktime_get_boottime_ns();
	dg_claim_sent(dg_filling, event, last, pfn);
	raw_spin_unlock_irqrestore(&dg_event_lock, flags);
	dg_failures_wake();
}

/* Under the receiver's siglock. */
static void dg_on_signal(void *data, int sig, struct kernel_siginfo *info,
			 struct task_struct *task, int group, int result)
{
	struct dg_sent *sent;
	unsigned long flags;

	/* One that is pending already, or ignored, tells nobody. */
	if (sig != SIGBUS || result != TRACE_SIGNAL_DELIVERED || info == SEND_SIG_NOINFO ||
	    info == SEND_SIG_PRIV || READ_ONCE(dg_telling) == current ||
	    (info->si_code != BUS_MCEERR_AO && info->si_code != BUS_MCEERR_AR))
		return;
	raw_spin_lock_irqsave(&dg_event_lock, flags);
	sent = &dg_sent[dg_sent_at++ % DG_SENT_MAX];
	if (!sent->sender)
		dg_sent_used++;
	else if (dg_sent_by_us(sent))
		dg_sent_lost = sent->sender;
	sent->sender = task_pid_nr(current);
	sent->sender_start_ns = current->start_boottime;
	sent->told.pid = task_tgid_nr(task);
	sent->told.start_ns = task->group_leader->start_boottime;
	sent->told.len = 1ULL << min_t(unsigned int, info->si_addr_lsb, BITS_PER_LONG - 1);
	sent->told.addr = (unsigned long)info->si_addr & ~(sent->told.len - 1);
	raw_spin_unlock_irqrestore(&dg_event_lock, flags);
}

/* What could not be looked up now, once more later; who was told of it is not kept. */
static void dg_event_again(const struct dg_event *old)
{
	struct dg_event *event;
	unsigned long flags;
	bool last;

	raw_spin_lock_irqsave(&dg_event_lock, flags);
	event = dg_event_for(dg_filling, old->pfn, old->end, old->result, &last);
	event->count += old->count;
	event->time_ns = max(event->time_ns, old->time_ns);
	event->widened |= old->widened;
	event->told_more |= old->told_more || old->nr_noted;
	raw_spin_unlock_irqrestore(&dg_event_lock, flags);
}

/*
 * Called by the worker, of which there is one at a time. -EAGAIN: @take said so
 * of some, and they are kept for another time.
 */
int dg_events_take(int (*take)(const struct dg_event *event, const struct dg_noted *noted))
{
	struct dg_batch *batch;
	unsigned long flags;
	unsigned int i;
	int ret = 0;

	raw_spin_lock_irqsave(&dg_event_lock, flags);
	batch = dg_filling;
	dg_filling = batch == &dg_batches[0] ? &dg_batches[1] : &dg_batches[0];
	raw_spin_unlock_irqrestore(&dg_event_lock, flags);
	for (i = 0; i < batch->nr_events; i++) {
		const struct dg_event *event = &batch->events[i];

		if (take(event, &batch->noted[event->first_noted])) {
			dg_event_again(event);
			ret = -EAGAIN;
		}
		cond_resched();
	}
	batch->nr_events = 0;
	batch->nr_noted = 0;
	return ret;
}

static void dg_meet_tracepoint(struct tracepoint *tp, void *data)
{
	if (!strcmp(tp->name, "memory_failure_event"))
		dg_failure_tp = tp;
	else if (!strcmp(tp->name, "signal_generate"))
		dg_signal_tp = tp;
}

/* A kernel without memory failures is guarded against removals all the same. */
int dg_source_failure_init(void)
{
	int ret;

	for_each_kernel_tracepoint(dg_meet_tracepoint, NULL);
	if (!dg_failure_tp || !dg_signal_tp) {
		pr_info("this kernel tells nobody of memory failures\n");
		dg_failure_tp = NULL;
		return 0;
	}
	ret = tracepoint_probe_register(dg_signal_tp, dg_on_signal, NULL);
	if (ret)
		return ret;
	ret = tracepoint_probe_register(dg_failure_tp, dg_on_memory_failure, NULL);
	if (ret) {
		tracepoint_probe_unregister(dg_signal_tp, dg_on_signal, NULL);
		tracepoint_synchronize_unregister();
	}
	return ret;
}

/* No probe runs after this. The worker may, until it is stopped as well. */
void dg_source_failure_exit(void)
{
	if (!dg_failure_tp)
		return;
	tracepoint_probe_unregister(dg_failure_tp, dg_on_memory_failure, NULL);
	tracepoint_probe_unregister(dg_signal_tp, dg_on_signal, NULL);
	tracepoint_synchronize_unregister();
}
