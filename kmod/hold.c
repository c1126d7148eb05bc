// SPDX-License-Identifier: GPL-2.0-only
/*
 * Holds: the life of a removal between UNBIND and UNBOUND.
 *
 * A request is ended by one test-and-set of its result, in dg_request_end().
 * The removing task sleeps until that, or until the time of the present state
 * is over; every state has one (dg_request::until), none later than the cap.
 */
#include <linux/jiffies.h>
#include <linux/module.h>
#include <linux/pci.h>
#include <linux/random.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>

#include "daxguard.h"
#include "trace.h"

#define DG_ANNOUNCE_MS 1000

LIST_HEAD(dg_requests);
static u64 dg_last_id;
static bool dg_stopping;		/* dg_lock */
static bool dg_suspend_begun;	/* dg_lock */

/*
 * Ids are not used again while the machine is up, also when the module is
 * loaded again: they go on from the seconds since boot, and no machine holds
 * more than one removal a second for long.
 */
void dg_hold_init(void)
{
	dg_last_id = ktime_get_boottime_seconds();
}

static void dg_request_free(struct kref *kref)
{
	struct dg_request *req = container_of(kref, struct dg_request, kref);

	dg_targets_free(&req->targets);
	put_device(req->dev);
	kfree(req);
}

void dg_request_put(struct dg_request *req)
{
	kref_put(&req->kref, dg_request_free);
}

struct dg_request *dg_request_get(u64 id)
{
	struct dg_request *req, *found = NULL;

	mutex_lock(&dg_lock);
	list_for_each_entry(req, &dg_requests, node) {
		if (!req->held || req->id != id)
			continue;
		found = req;
		kref_get(&req->kref);
		break;
	}
	mutex_unlock(&dg_lock);
	return found;
}

/* The bus has said that the hardware was pulled: pciehp marks what a port has lost. */
static bool dg_dev_is_pulled(const struct device *dev)
{
	for (; dev; dev = dev->parent)
		if (dev_is_pci(dev) && to_pci_dev(dev)->error_state == pci_channel_io_perm_failure)
			return true;
	return false;
}

static struct dg_request *dg_request_new(struct device *dev)
{
	struct dg_request *req = kzalloc(sizeof(*req), GFP_KERNEL);

	if (!req)
		return NULL;
	kref_init(&req->kref);
	INIT_LIST_HEAD(&req->node);
	INIT_LIST_HEAD(&req->targets);
	init_waitqueue_head(&req->wq);
	get_random_bytes(req->cookie, sizeof(req->cookie));
	req->dev = get_device(dev);
	strscpy(req->device, dev_name(dev), sizeof(req->device));
	strscpy(req->bus, dev->bus->name, sizeof(req->bus));
	if (dev->driver)
		strscpy(req->driver, dev->driver->name, sizeof(req->driver));
	if (dg_dev_is_pulled(dev))
		req->flags |= DAXGUARD_F_SURPRISE;
	req->task = current;
	if (!(current->flags & PF_KTHREAD)) {
		req->unbinder_pid = task_tgid_nr(current);
		req->unbinder_start_ns = current->group_leader->start_boottime;
	}
	return req;
}

/* The one place where a hold ends. */
bool dg_request_end(struct dg_request *req, u8 result)
{
	lockdep_assert_held(&dg_lock);
	if (req->result != DAXGUARD_RESULT_NONE)
		return false;
	WRITE_ONCE(req->result, result);
	req->state = DAXGUARD_STATE_REVOKING;
	req->ended = ktime_get();
	atomic64_inc(&dg_counters.results[result]);
	trace_daxguard_hold(req->id, false, result, ktime_us_delta(req->ended, req->begin));
	wake_up_all(&req->wq);
	return true;
}

static ktime_t dg_within_cap(const struct dg_request *req, unsigned int ms)
{
	ktime_t until = ktime_add_ms(ktime_get(), ms);

	return ktime_before(until, req->cap) ? until : req->cap;
}

/* Only within the cap, whatever is asked for. */
void dg_request_extend(struct dg_request *req, u32 ms)
{
	lockdep_assert_held(&dg_lock);
	req->until = dg_within_cap(req, ms);
	wake_up_all(&req->wq);
}

u32 dg_request_left_ms(const struct dg_request *req)
{
	s64 left = ktime_ms_delta(req->until, ktime_get());

	if (req->result != DAXGUARD_RESULT_NONE || left < 0)
		return 0;
	return left;
}

/* Also of one whose daemon died; the deadline starts anew, within the cap. */
int dg_request_take(struct dg_request *req, u32 port)
{
	lockdep_assert_held(&dg_lock);
	if (req->result != DAXGUARD_RESULT_NONE)
		return -ENOENT;
	if (req->state == DAXGUARD_STATE_TAKEN && req->port == port)
		return 0;
	if (req->state != DAXGUARD_STATE_ANNOUNCED)
		req->flags |= DAXGUARD_F_TAKEN_OVER;
	req->state = DAXGUARD_STATE_TAKEN;
	req->port = port;
	req->until = dg_within_cap(req, dg_hold_ms);
	wake_up_all(&req->wq);
	return 0;
}

/* A daemon's socket is gone: what it had taken waits for another, for a while. */
void dg_daemon_gone(u32 port)
{
	struct dg_request *req;

	mutex_lock(&dg_lock);
	dg_unregister_port(port);
	list_for_each_entry(req, &dg_requests, node) {
		ktime_t until = dg_within_cap(req, dg_takeover_ms);

		if (req->state != DAXGUARD_STATE_TAKEN || req->port != port)
			continue;
		req->state = DAXGUARD_STATE_ORPHANED;
		req->port = 0;
		if (ktime_before(until, req->until))
			req->until = until;
		wake_up_all(&req->wq);
	}
	mutex_unlock(&dg_lock);
}

static u8 dg_result_at_deadline(u8 state)
{
	return state == DAXGUARD_STATE_TAKEN ? DAXGUARD_RESULT_TIMEOUT :
					       DAXGUARD_RESULT_NO_DAEMON;
}

/* How long to sleep now; ends the hold if its time is over. */
static unsigned long dg_hold_step(struct dg_request *req, bool *announce)
{
	u32 left;

	mutex_lock(&dg_lock);
	left = dg_request_left_ms(req);
	if (dg_stopping)
		dg_request_end(req, DAXGUARD_RESULT_STOPPING);
	else if (!left)
		dg_request_end(req, dg_result_at_deadline(req->state));
	*announce = req->state == DAXGUARD_STATE_ANNOUNCED ||
		    req->state == DAXGUARD_STATE_ORPHANED;
	if (*announce)
		left = min_t(u32, left, DG_ANNOUNCE_MS);
	mutex_unlock(&dg_lock);
	return msecs_to_jiffies(left) + 1;
}

/* Woken by the end, and by whatever moves the deadline. */
static bool dg_hold_poked(struct dg_request *req, u8 state, ktime_t until)
{
	return READ_ONCE(req->result) != DAXGUARD_RESULT_NONE || READ_ONCE(req->state) != state ||
	       req->until != until;
}

/*
 * Sleep until the hold has ended. Killable where the sleeper is a process, and
 * never freezable: a suspend is refused while this lasts.
 */
static void dg_hold(struct dg_request *req)
{
	bool killable = !(current->flags & PF_KTHREAD), announce = true;
	u8 said = DAXGUARD_STATE_ANNOUNCED;
	long ret = 0;

	dg_uevent(req, "pre-remove");
	while (READ_ONCE(req->result) == DAXGUARD_RESULT_NONE) {
		u8 state = READ_ONCE(req->state);
		ktime_t until = req->until;
		unsigned long timeout;

		timeout = dg_hold_step(req, &announce);
		if (announce && (!ret || said != state))
			dg_genl_event(req);
		said = state;
		if (killable)
			ret = wait_event_killable_timeout(req->wq, dg_hold_poked(req, state, until),
							  timeout);
		else
			ret = wait_event_timeout(req->wq, dg_hold_poked(req, state, until),
						 timeout);
		if (ret < 0) {
			mutex_lock(&dg_lock);
			dg_request_end(req, DAXGUARD_RESULT_KILLED);
			mutex_unlock(&dg_lock);
		}
	}
}

static bool dg_has_target(const struct dg_request *req, const struct dg_target *wanted)
{
	struct dg_target *target;

	list_for_each_entry(target, &req->targets, node)
		if (target->dev == wanted->dev)
			return true;
	return false;
}

static bool dg_share_target(const struct dg_request *a, const struct dg_request *b)
{
	struct dg_target *target;

	list_for_each_entry(target, &a->targets, node)
		if (dg_has_target(b, target))
			return true;
	return false;
}

/*
 * List the request, if none of its targets has one; else return that one,
 * referenced. Not held yet, it is not seen by anybody else.
 */
static struct dg_request *dg_request_list(struct dg_request *req)
{
	struct dg_request *other;

	mutex_lock(&dg_lock);
	list_for_each_entry(other, &dg_requests, node) {
		if (!dg_share_target(other, req))
			continue;
		kref_get(&other->kref);
		mutex_unlock(&dg_lock);
		return other;
	}
	req->state = DAXGUARD_STATE_REVOKING;
	list_add_tail(&req->node, &dg_requests);
	mutex_unlock(&dg_lock);
	return NULL;
}

static bool dg_is_closing(const struct dg_request *req)
{
	return READ_ONCE(req->state) == DAXGUARD_STATE_CLOSING;
}

static bool dg_dev_is_below(const struct device *dev, const struct device *above)
{
	while (dev && dev != above)
		dev = dev->parent;
	return dev;
}

/* Until the other task's removal goes on to its teardown; false: not waited for so long. */
static bool dg_wait_for(struct dg_request *other)
{
	unsigned long timeout = msecs_to_jiffies(dg_cap_ms + dg_umount_ms);

	atomic64_inc(&dg_counters.joined);
	if (current->flags & PF_KTHREAD)
		return wait_event_timeout(other->wq, dg_is_closing(other), timeout);
	return wait_event_killable_timeout(other->wq, dg_is_closing(other), timeout) > 0;
}

/*
 * A nested device of a removal under way, or a second task at the same target:
 * it shares the request and its time. Whatever came of that, another look,
 * since somebody may have mounted since. Not where the wait was cut short and
 * the other's device is below ours: the driver core lets the teardown get there
 * only when the other's is over, and the other's hold is none of our business.
 *
 * What the other does not have stays with us, to be a request of its own.
 */
static void dg_join(struct dg_request *req, struct dg_request *other)
{
	bool again = other->task == current || dg_wait_for(other) ||
		     !dg_dev_is_below(other->dev, req->dev);
	struct dg_target *target, *next;

	list_for_each_entry_safe(target, next, &req->targets, node) {
		if (!dg_has_target(other, target))
			continue;
		if (again)
			dg_revoke_again(target, other->flags);
		list_del(&target->node);
		dg_target_free(target);
	}
}

static bool dg_any_in_use(struct list_head *targets)
{
	struct dg_target *target;
	bool any = false;

	list_for_each_entry(target, targets, node) {
		target->in_use = dg_target_in_use(target);
		any |= target->in_use;
	}
	return any;
}

static void dg_request_open(struct dg_request *req)
{
	struct dg_target *target;

	if (!dg_any_in_use(&req->targets)) {
		atomic64_inc(&dg_counters.not_held);
		return;
	}
	/* Without memory for the names the daemon still knows the disk. */
	list_for_each_entry(target, &req->targets, node)
		dg_target_name_stack(target);
	mutex_lock(&dg_lock);
	req->held = !dg_stopping && !dg_suspend_begun;
	if (req->held) {
		req->id = ++dg_last_id;
		req->begin = ktime_get();
		req->cap = ktime_add_ms(req->begin, dg_cap_ms);
		req->until = dg_within_cap(req, dg_activation_ms);
		req->state = DAXGUARD_STATE_ANNOUNCED;
		trace_daxguard_hold(req->id, true, 0, 0);
	}
	mutex_unlock(&dg_lock);
	if (req->held)
		atomic64_inc(&dg_counters.held);
}

static void dg_removal_guarded(struct dg_request *req)
{
	struct sk_buff *done = NULL;

	dg_request_open(req);
	if (req->held)
		dg_hold(req);
	dg_revoke(req);
	if (req->held)
		done = dg_genl_done_alloc();
	/* As one: who has heard DONE does not find the request pending still. */
	mutex_lock(&dg_lock);
	if (done)
		dg_genl_done(req, done);
	req->state = DAXGUARD_STATE_CLOSING;
	wake_up_all(&req->wq);
	mutex_unlock(&dg_lock);
	if (req->held)
		dg_uevent(req, "done");
}

/* UNBIND: returns when the teardown may go on. */
void dg_removal(struct device *dev)
{
	struct dg_request *req, *other;

	req = dg_request_new(dev);
	if (!req || dg_targets_collect(dev, &req->targets)) {
		pr_err("%s: out of memory, its removal is not guarded\n", dev_name(dev));
		goto drop;
	}
	while (!list_empty(&req->targets)) {
		other = dg_request_list(req);
		if (!other)
			break;
		dg_join(req, other);
		dg_request_put(other);
	}
	if (list_empty(&req->targets))
		goto drop;
	atomic64_inc(&dg_counters.removals);
	__module_get(THIS_MODULE);
	dg_removal_guarded(req);
	return;
drop:
	if (req)
		dg_request_put(req);
}

/* UNBOUND: the request of exactly this device is closed. */
void dg_removed(struct device *dev)
{
	struct dg_request *req, *found = NULL;

	mutex_lock(&dg_lock);
	list_for_each_entry(req, &dg_requests, node) {
		if (req->dev == dev && req->state == DAXGUARD_STATE_CLOSING) {
			found = req;
			list_del_init(&req->node);
			break;
		}
	}
	mutex_unlock(&dg_lock);
	if (!found)
		return;
	dg_request_put(found);
	module_put(THIS_MODULE);
}

/*
 * The module is going, and no notifier runs any more: forget the requests
 * whose UNBOUND will not be seen.
 */
void dg_requests_drain(void)
{
	struct dg_request *req, *next;

	mutex_lock(&dg_lock);
	list_for_each_entry_safe(req, next, &dg_requests, node) {
		list_del_init(&req->node);
		dg_request_put(req);
	}
	mutex_unlock(&dg_lock);
}

/*
 * User space is about to be frozen: no hold begins until it is back. false: one
 * is pending, and nothing was changed.
 */
bool dg_suspend_begin(void)
{
	struct dg_request *req;
	bool pending = false;

	mutex_lock(&dg_lock);
	list_for_each_entry(req, &dg_requests, node)
		pending |= req->held && req->state < DAXGUARD_STATE_REVOKING;
	dg_suspend_begun = !pending;
	mutex_unlock(&dg_lock);
	return !pending;
}

void dg_suspend_end(void)
{
	mutex_lock(&dg_lock);
	dg_suspend_begun = false;
	mutex_unlock(&dg_lock);
}

/* The machine goes down: end every hold, begin none. */
void dg_stop_all(void)
{
	struct dg_request *req;

	mutex_lock(&dg_lock);
	dg_stopping = true;
	list_for_each_entry(req, &dg_requests, node)
		if (req->held)
			dg_request_end(req, DAXGUARD_RESULT_STOPPING);
	mutex_unlock(&dg_lock);
}
