/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The failed pages of one device, until everybody who maps them has been told.
 * Nothing is held for it, and nobody waits: what a turn of the loop does of it is
 * bounded, and what a removal needs comes first.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "manager-failure.h"

#define TURN_MAX 64 /* orders that are carried out in one turn of the loop */
#define SCAN_US 5000000ULL
#define LOOK_BY_US 2000000ULL
#define PROTECTED_US 60000000ULL    /* for the list of those who must not be signalled */
#define PROTECTED_ASK_US 1000000ULL /* it is asked for again; then twice that, and so on */

struct failure *failure_free(struct failure *failure)
{
	if (!failure)
		return NULL;
	reactions_cancel(failure);
	scan_cancel(failure->scan);
	looks_free(failure->looks);
	places_free(failure->places);
	sd_event_source_disable_unref(failure->timer);
	store_record_close(failure->record);
	story_free(failure->story);
	dg_burst_done(&failure->core);
	dg_selection_done(&failure->selection);
	dg_policy_unref(failure->policy);
	looking_done(&failure->looking);
	free(failure);
	return NULL;
}

/* There is a removal of it. */
static bool is_target(const struct failure *failure, bool users_too)
{
	const struct manager *m = failure->m;

	for (size_t i = 0; i < m->n_open; i++) {
		const struct dg_request *request = &m->open[i]->core.request;

		for (size_t k = 0; (users_too || !request->by_user) && k < request->n_targets; k++)
			if (request->targets[k].dev == failure->dev)
				return true;
	}
	return false;
}

/* A removal takes it away. Not one that a user has asked for: it may end without. */
static bool is_taken(const struct failure *failure)
{
	return is_target(failure, false);
}

static void wake_at(struct failure *failure, uint64_t at_us)
{
	if (at_us == UINT64_MAX) {
		sd_event_source_set_enabled(failure->timer, SD_EVENT_OFF);
	} else if (sd_event_source_set_time(failure->timer, at_us) >= 0) {
		sd_event_source_set_enabled(failure->timer, SD_EVENT_ONESHOT);
	}
}

void failure_go_on(struct failure *failure)
{
	wake_at(failure, 0);
}

void failures_go_on(struct manager *m)
{
	for (struct failure *failure = failures_first(m); failure; failure = failure->next)
		failure_go_on(failure);
}

static void take_holders(struct failure *failure, struct dg_holder_list *holders)
{
	dg_look_attach(&failure->looking.list, holders);
	dg_burst_scanned(&failure->core, holders, manager_now(failure->m));
	failure_go_on(failure);
}

static void on_looked(void *userdata, struct dg_holder_list *holders, const struct dg_fs_list *fs)
{
	struct failure *failure = userdata;
	struct looks *looks = failure->looks;

	failure->looks = NULL;
	take_holders(failure, holders);
	looks_free(looks);
}

static void on_scan(void *userdata, int error, const struct dg_usage_list *rows,
		    const struct dg_fs_list *fs)
{
	struct failure *failure = userdata;
	uint64_t now_us = manager_now(failure->m);
	struct dg_holder_list holders = {};

	failure->scan = NULL;
	if (error >= 0)
		error = manager_merge_holders(failure->m, NULL, rows, &holders);
	if (error < 0) {
		dg_burst_not_scanned(&failure->core, error, now_us);
		failure_go_on(failure);
		return;
	}
	if (looks_start(&failure->looking, now_us + LOOK_BY_US, &holders, NULL, on_looked, failure,
			&failure->looks) > 0)
		return;
	take_holders(failure, &holders);
	dg_holder_list_done(&holders);
}

static void scan(struct failure *failure, const struct dg_burst_order *order)
{
	const struct scan_what what = {SCAN_RANGE, .dev = failure->dev, .range = order->range};
	int r;

	if (failure->story->n_states == 0)
		failure_write_state(failure, DG_STATE_SCANNING);
	r = scan_start(failure->m, &what, SCAN_US, on_scan, failure, &failure->scan);
	if (r < 0)
		dg_burst_not_scanned(&failure->core, r, manager_now(failure->m));
}

static void on_unmapped(void *userdata, int error, const struct dg_usage_list *rows,
			const struct dg_fs_list *fs)
{
	struct failure *failure = userdata;

	failure->scan = NULL;
	dg_burst_unmapped(&failure->core, error, error >= 0 && !rows->truncated,
			  manager_now(failure->m));
	failure_go_on(failure);
}

/* A disk lists them as bad before, so that nobody gets them back. */
static void unmap(struct failure *failure, const struct dg_burst_order *order)
{
	const struct scan_what what = {SCAN_UNMAP, .dev = failure->dev, .range = order->range,
				       .badblocks = failure->mode != DG_MODE_DEVDAX};
	int r;

	r = scan_start(failure->m, &what, SCAN_US, on_unmapped, failure, &failure->scan);
	if (r < 0)
		dg_burst_unmapped(&failure->core, r, false, manager_now(failure->m));
}

static int send_sigbus(struct failure *failure, const struct dg_burst_order *order)
{
	uint8_t lsb = (uint8_t)__builtin_ctzl((unsigned long)sysconf(_SC_PAGESIZE));

	return klink_sigbus_device(failure->m->link, failure->dev, order->holder->process,
				   order->addr, lsb, BUS_MCEERR_AO);
}

static int send_signal(struct failure *failure, const struct dg_holder *holder, int signo)
{
	int fd, r;

	fd = manager_open_process(failure->m, holder->process);
	if (fd < 0)
		return fd;
	r = syscall(SYS_pidfd_send_signal, fd, signo, NULL, 0) < 0 ? -errno : 0;
	close(fd);
	return r;
}

/* Told all the same: to go on reading would be worse. */
static const char *sigbus_sent(const struct dg_holder *holder)
{
	if (dg_holder_ignores(holder, SIGBUS))
		return "ignored";
	if (!dg_holder_catches(holder, SIGBUS))
		return "no-handler";
	return dg_holder_blocks(holder, SIGBUS) ? "blocked" : "sent";
}

/* The reader of rules lets no other action pass. */
static int act(struct failure *failure, const struct dg_burst_order *order)
{
	const struct dg_rule *rule = order->rule;
	enum dg_action action = rule->ladder[0].action;

	if (action == DG_ACTION_SIGBUS)
		return send_sigbus(failure, order);
	if (action == DG_ACTION_NOTIFY)
		return send_signal(failure, order->holder, rule->signo);
	return send_signal(failure, order->holder, action == DG_ACTION_KILL ? SIGKILL : SIGTERM);
}

/* What becomes of it without being done; NULL: it is to be done. */
static const char *skipped(const struct dg_burst_order *order)
{
	const struct dg_rule *rule = order->rule;

	if (dg_rule_leaves(rule))
		return "left";
	if (rule->dry_run)
		return "dry-run";
	return rule->ladder[0].action == DG_ACTION_SIGBUS ? NULL
							  : dg_rule_skipped(rule, 0, order->holder);
}

/* The process, or the machine, is short of something, which it may have again soon. */
static bool passes(int error)
{
	return error == -EBUSY || error == -EFAULT || error == -EAGAIN || error == -ENOMEM ||
	       error == -EMFILE || error == -ENFILE;
}

static enum dg_burst_answer answer_of(int r)
{
	if (r >= 0)
		return DG_BURST_DONE;
	if (r == -ESRCH)
		return DG_BURST_ENDED;
	return passes(r) ? DG_BURST_MISSED : DG_BURST_FAILED;
}

static void tell(struct failure *failure, const struct dg_burst_order *order)
{
	enum dg_burst_answer answer = DG_BURST_SKIPPED;
	const char *outcome;
	int r;

	if (failure->story->state != DG_STATE_ACTING)
		failure_write_state(failure, DG_STATE_ACTING);
	failure_write_holder(failure, order);
	failure_write_tell(failure, order);
	outcome = skipped(order);
	if (!outcome) {
		r = act(failure, order);
		answer = answer_of(r);
		if (r < 0)
			outcome = r == -ESRCH ? "gone" : strerrorname_np(-r) ?: "failed";
		else if (order->rule->ladder[0].action == DG_ACTION_SIGBUS)
			outcome = sigbus_sent(order->holder);
		else
			outcome = "sent";
	}
	failure_write_told(failure, order, outcome, answer);
	if (answer == DG_BURST_DONE)
		ledger_told(failure->m, failure->story, order);
	dg_burst_told(&failure->core, answer);
}

/* The disk is taken away, for which it must not be in use, or is not there. */
static const char *no_place(const struct failure *failure)
{
	if (is_target(failure, true))
		return "removal";
	return failure->core.marks & (DG_BURST_REMOVED | DG_BURST_GONE)
		       ? dg_burst_outcome(&failure->core)
		       : NULL;
}

/*
 * Everybody is told. What it was used for, and what is done about it, take their time, and
 * nobody waits for that.
 */
static void end(struct failure *failure)
{
	const char *why_not = no_place(failure);
	uint64_t until_us;
	bool wait;

	failures_settled(failure);
	/* Now: what is new later is the next one's. */
	reactions_judge(failure);
	/* There must be room for those that have somebody to tell. */
	if (failures_open(failure->m) > DG_INCIDENTS_OPEN_MAX / 2)
		why_not = why_not ?: "too-many";
	wait = places_wait(failure, why_not, &until_us);
	/* A removal would not let it be found out what they were used for. */
	if (!wait) {
		reactions_go_on(failure);
		wait = reactions_wait(failure, &until_us);
	}
	if (wait) {
		failure_write_state(failure, DG_STATE_SETTLING);
		wake_at(failure, until_us);
		return;
	}
	limit_give_up(failure);
	failure_write_end(failure);
	failures_over(failure);
}

/* False: nothing is to be done for the time being, or it is no more. */
static bool carry_out(struct failure *failure, const struct dg_burst_order *order)
{
	switch (order->kind) {
	case DG_BURST_SCAN:
		scan(failure, order);
		break;
	case DG_BURST_TELL:
		tell(failure, order);
		break;
	case DG_BURST_UNMAP:
		unmap(failure, order);
		break;
	case DG_BURST_ROUND:
		failures_round(failure);
		if (!no_place(failure))
			places_ask(failure);
		break;
	case DG_BURST_WAIT:
		/* Not while a range is put off: somebody has to be told of it still. */
		if (failure->core.phase == DG_BURST_RESTS && failure->core.n_fresh == 0 &&
		    !places_busy(failure))
			reactions_go_on(failure);
		wake_at(failure, order->wake_us);
		break;
	case DG_BURST_END:
		end(failure);
		return false;
	}
	return true;
}

static void ask_protected(struct failure *failure, uint64_t now_us)
{
	uint64_t list;

	if (now_us < failure->ask_us)
		return;
	failure->ask_pause_us =
		failure->ask_pause_us > 0 ? failure->ask_pause_us * 2 : PROTECTED_ASK_US;
	failure->ask_us = now_us + failure->ask_pause_us;
	list = devices_ask_protected(failure->m);
	if (failure->protected_list == 0 || list < failure->protected_list)
		failure->protected_list = list;
}

/*
 * Nobody is told before it is known who must not be. False: not yet. Of a list that was
 * asked for since it does not matter who has ended: udev's workers always do.
 */
static bool knows_protected(struct failure *failure)
{
	uint64_t now_us = manager_now(failure->m), end_us;

	if (failure->knows_protected || devices_knows_protected(failure->m) ||
	    (failure->protected_list > 0 &&
	     failure->m->n_protected_lists >= failure->protected_list)) {
		failure->knows_protected = true;
		return true;
	}
	ask_protected(failure, now_us);
	if (now_us > failure->began_us + PROTECTED_US) {
		dg_burst_stop(&failure->core, DG_BURST_NO_LIST);
		return true;
	}
	/* The list wakes it, see failures_go_on(). */
	end_us = failure->began_us + PROTECTED_US + 1;
	wake_at(failure, failure->ask_us < end_us ? failure->ask_us : end_us);
	return false;
}

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct failure *failure = userdata;
	struct dg_burst_order order;

	if (failure->settled) {
		end(failure);
		return 0;
	}
	if (!is_taken(failure) && !knows_protected(failure))
		return 0;
	for (int i = 0; i < TURN_MAX; i++) {
		/* Its holders are told to let go of all of it, and what stays is revoked. */
		if (is_taken(failure))
			dg_burst_stop(&failure->core, DG_BURST_REMOVED);
		dg_burst_next(&failure->core, manager_now(failure->m), &order);
		if (!carry_out(failure, &order) || order.kind == DG_BURST_WAIT)
			return 0;
	}
	failure_go_on(failure);
	return 0;
}

static int describe(struct failure *failure, const struct dg_failure_record *record,
		    struct dg_description *d)
{
	struct dg_target target = {.dev = record->dev, .mode = record->mode, .in_use = true};
	struct dg_request request = {.targets = &target, .n_targets = 1};
	bool known;
	int r, mounts = record->mode == DG_MODE_DEVDAX;

	memcpy(target.name, record->name, sizeof(target.name));
	memcpy(target.ns_device, record->ns_device, sizeof(target.ns_device));
	memcpy(request.device, record->ns_device, sizeof(request.device));
	target.has_uuid = record->has_uuid;
	memcpy(target.uuid, record->uuid, sizeof(target.uuid));
	r = rules_describe(failure->m, &request, d, &known);
	if (r >= 0 && record->mode != DG_MODE_DEVDAX)
		r = mounts = rules_add_mounts(failure->m, record->name, d);
	d->facts.event = DG_RULE_EVENT_MEMORY_FAILURE;
	dg_description_complete(d, known, mounts > 0);
	return r;
}

static int choose_rules(struct failure *failure, const struct dg_failure_record *record)
{
	struct dg_description description = {};
	int r = describe(failure, record, &description);

	if (r >= 0)
		r = dg_selection_init(failure->policy, &description.facts, &failure->selection);
	if (r >= 0)
		failure->rule = dg_policy_match_device(failure->policy, &description.facts);
	dg_description_done(&description);
	return r;
}

static int open_story(struct failure *failure)
{
	struct manager *m = failure->m;

	failure->story = m->store ? history_read(m, failure->id) : NULL;
	/* Of another boot there is none: it was in /run. */
	history_forget(m, failure->id);
	if (!failure->story)
		failure->story = calloc(1, sizeof(*failure->story));
	if (!failure->story)
		return -ENOMEM;
	if (m->store &&
	    store_record_open(m->store, failure->id, DG_RECORD_MAX, &failure->record) >= 0)
		return 0;
	failure->record = NULL;
	failure->story->unrecorded = true;
	m->n_unrecorded++;
	return 0;
}

int failure_open(struct manager *m, const struct dg_failure_record *record, uint64_t id,
		 struct dg_told_list *told, struct failure **ret)
{
	struct failure *failure = calloc(1, sizeof(*failure));
	int r;

	if (!failure)
		return -ENOMEM;
	*failure = (struct failure){.m = m, .id = id, .dev = record->dev, .mode = record->mode};
	failure->began_us = manager_now(m);
	failure->policy = dg_policy_ref(m->policy);
	failure->looking.m = m;
	failure->looking.wanted = dg_policy_asks_for_looks(failure->policy);
	r = choose_rules(failure, record);
	if (r >= 0)
		r = sd_event_add_time(m->event, &failure->timer, CLOCK_MONOTONIC, 0, 1, on_timer,
				      failure);
	if (r >= 0)
		r = open_story(failure);
	if (r < 0) {
		failure_free(failure);
		return r;
	}
	dg_burst_init(&failure->core, told, &failure->selection, (uint64_t)sysconf(_SC_PAGESIZE),
		      failure->rule->unmap_poison, manager_now(m));
	failure_write_begin(failure, record);
	jobs_inherit(m, failure->record, failure->story);
	reactions_begin(failure);
	*ret = failure;
	return 0;
}
