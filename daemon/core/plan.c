/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "core/plan.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/grow.h"

#define USEC_PER_MSEC 1000ULL
#define WHOLE 1000U /* permille */

/* A rung that did not reach its process is tried again for half a second, ever less often. */
#define MISSES_MAX 5
#define MISS_GAP_US (16 * USEC_PER_MSEC) /* before the first try; doubles */

const char *dg_entry_state_name(enum dg_entry_state state)
{
	static const char *const names[_DG_ENTRY_STATE_MAX] = {
		[DG_ENTRY_CLIMBING] = "climbing", [DG_ENTRY_LEFT] = "left",
		[DG_ENTRY_FREED] = "freed",       [DG_ENTRY_SURVIVED] = "survived",
		[DG_ENTRY_UNSEEN] = "unseen",     [DG_ENTRY_UNFINISHED] = "unfinished",
	};

	return (unsigned)state < _DG_ENTRY_STATE_MAX ? names[state] : "unknown";
}

void dg_plan_init(struct dg_plan *plan, const struct dg_policy *policy, uint64_t deadline_us,
		  uint64_t reserve_us)
{
	*plan = (struct dg_plan){
		.policy = policy,
		.deadline_us = deadline_us,
		.reserve_us = reserve_us,
		.is_held = true,
	};
}

void dg_plan_done(struct dg_plan *plan)
{
	dg_selection_done(&plan->selection);
	free(plan->entries);
	*plan = (struct dg_plan){};
}

int dg_plan_select(struct dg_plan *plan, const struct dg_device_facts *device)
{
	dg_selection_done(&plan->selection);
	return dg_selection_init(plan->policy, device, &plan->selection);
}

/*
 * Processes with the same memory are one holder: what one of them unmaps is gone from
 * all, and no mapping is gone before all have ended. One of them leads: his is the rule,
 * he is asked, and the others are ended with him. NULL: it leads itself, or goes its own
 * way, since it or who leads is protected, or there is nobody left to follow.
 */
static const struct dg_plan_entry *leader_of(const struct dg_plan *plan,
					     const struct dg_holder *holder)
{
	if (holder->shared_with <= 0 || holder->exempt != DG_EXEMPT_NONE)
		return NULL;
	for (size_t i = 0; i < plan->n_entries; i++) {
		const struct dg_plan_entry *entry = &plan->entries[i];

		if (entry->holder.process.pid == holder->shared_with && !entry->exited &&
		    entry->state != DG_ENTRY_FREED && entry->holder.exempt == DG_EXEMPT_NONE)
			return entry->rule && entry->holder.shared_with == 0 ? entry : NULL;
	}
	return NULL;
}

/* Who uses the device as he did when he got his rule keeps it. */
static const struct dg_rule *rule_for(const struct dg_plan *plan, const struct dg_plan_entry *entry,
				      const struct dg_holder *holder)
{
	const struct dg_plan_entry *leader = leader_of(plan, holder);
	struct dg_process_facts facts;

	if (leader)
		return leader->rule;
	dg_facts_of_holder(holder, &facts);
	if (entry->rule && entry->uses == facts.uses &&
	    entry->rule->exempt == (facts.exempt != DG_EXEMPT_NONE))
		return entry->rule;
	return dg_selection_match(&plan->selection, &facts);
}

void dg_plan_set_deadline(struct dg_plan *plan, uint64_t deadline_us)
{
	plan->deadline_us = deadline_us;
	plan->cursor = 0;
}

/* From here on only kills. */
static uint64_t cut(const struct dg_plan *plan)
{
	return plan->deadline_us > plan->reserve_us ? plan->deadline_us - plan->reserve_us : 0;
}

static struct dg_plan_entry *find(struct dg_plan *plan, struct dg_process process)
{
	for (size_t i = 0; i < plan->n_entries; i++)
		if (dg_process_equal(plan->entries[i].holder.process, process))
			return &plan->entries[i];
	return NULL;
}

/* What becomes of a rung without being done; *ret_waits: its grace is waited for. */
static const char *skipped(const struct dg_plan *plan, const struct dg_plan_entry *entry,
			   size_t rung, bool *ret_waits)
{
	const struct dg_plan_entry *leader = leader_of(plan, &entry->holder);
	enum dg_action action = entry->rule->ladder[rung].action;
	const char *why =
		dg_rule_skipped(entry->rule, rung, leader ? &leader->holder : &entry->holder);

	if (!why && !plan->is_held && action == DG_ACTION_SIGBUS)
		why = "not-held";
	if (!why && plan->no_criu && action == DG_ACTION_CHECKPOINT)
		why = "no-criu";
	*ret_waits = !why;
	if (why || !leader || action == DG_ACTION_TERM || action == DG_ACTION_KILL)
		return why;
	return DG_SKIPPED_SHARED;
}

/* What the rungs from the next one up to the kill ask for, the useless ones left out. */
static uint64_t asked_us(const struct dg_plan *plan, const struct dg_plan_entry *entry)
{
	uint64_t sum = 0;

	for (size_t i = entry->rung; i < entry->rule->n_rungs; i++) {
		const struct dg_rung *rung = &entry->rule->ladder[i];
		bool waits;

		if (rung->action == DG_ACTION_KILL)
			break;
		(void)skipped(plan, entry, i, &waits);
		if (waits)
			sum += rung->grace_ms * USEC_PER_MSEC;
	}
	return sum;
}

static uint32_t fitting_permille(const struct dg_plan *plan, const struct dg_plan_entry *entry,
				 uint64_t now_us)
{
	uint64_t end = cut(plan), asked = asked_us(plan, entry);
	uint64_t left = end > now_us ? end - now_us : 0;

	return asked <= left ? WHOLE : (uint32_t)(left * WHOLE / asked);
}

static void begin_climb(const struct dg_plan *plan, struct dg_plan_entry *entry, uint64_t now_us)
{
	entry->over = false;
	entry->state = dg_rule_leaves(entry->rule) ? DG_ENTRY_LEFT : DG_ENTRY_CLIMBING;
	entry->due_us = now_us;
	entry->permille = fitting_permille(plan, entry, now_us);
	if (plan->rounds > DG_PLAN_ROUNDS_MAX)
		entry->hurried = true;
}

/* Mappings stay with the scan: the plan needs the address of the first. */
static void remember(struct dg_plan_entry *entry, const struct dg_holder *holder)
{
	entry->holder = *holder;
	entry->holder.mappings = NULL;
	entry->holder.n_mappings = 0;
	if (holder->n_mappings > 0) {
		entry->addr = holder->mappings[0].addr;
		entry->fs_dev = holder->mappings[0].fs_dev;
	}
}

static struct dg_plan_entry *append(struct dg_plan *plan)
{
	struct dg_plan_entry *entry;

	if (DG_GROW(plan->entries, plan->n_entries) < 0)
		return NULL;
	entry = &plan->entries[plan->n_entries++];
	*entry = (struct dg_plan_entry){.permille = WHOLE};
	return entry;
}

/* It was given up, perhaps, and now its end is known after all. */
static void set_free(struct dg_plan_entry *entry)
{
	if (entry->state == DG_ENTRY_SURVIVED || entry->state == DG_ENTRY_UNSEEN)
		entry->over = false;
	entry->state = DG_ENTRY_FREED;
}

static void join(struct dg_plan *plan, struct dg_plan_entry *entry, const struct dg_holder *holder,
		 uint64_t now_us)
{
	remember(entry, holder);
	entry->seen_us = now_us;
	entry->rule = rule_for(plan, entry, holder);
	entry->uses = dg_uses_of(holder);
	begin_climb(plan, entry, now_us);
}

/* Somebody we know is still there: with a mapping or with less. */
static void meet_again(struct dg_plan *plan, struct dg_plan_entry *entry,
		       const struct dg_holder *holder, uint64_t now_us)
{
	const struct dg_rule *rule = rule_for(plan, entry, holder);
	bool leaves = dg_rule_leaves(rule), left = dg_rule_leaves(entry->rule);

	if (entry->exited)
		return;
	/* The caller knows it from a record: it is to be noted, and watched, anew. */
	if (entry->restored)
		entry->restored = entry->noted = false;
	remember(entry, holder);
	entry->seen_us = now_us;
	if (leaves && !left) {
		/* What it had to give up it has given up; what is left it may keep. */
		set_free(entry);
	} else if (!leaves && left) {
		/* Who was left alone is not watched: it is to be noted anew. */
		entry->noted = false;
		entry->rule = rule;
		entry->uses = dg_uses_of(holder);
		entry->rung = 0;
		begin_climb(plan, entry, now_us);
	} else if (!leaves && (entry->state == DG_ENTRY_FREED || entry->state == DG_ENTRY_UNSEEN)) {
		begin_climb(plan, entry, now_us);
	}
}

/* No list says that it is gone; past the cut nobody will any more. */
static void pass_over(const struct dg_plan *plan, struct dg_plan_entry *entry, uint64_t now_us)
{
	if (entry->state == DG_ENTRY_CLIMBING && entry->due_us <= now_us && now_us >= cut(plan))
		entry->state = DG_ENTRY_UNSEEN;
}

/* Those we know are met again, or gone; seen says who of the list they are. */
static void review(struct dg_plan *plan, const struct dg_holder_list *holders, bool *seen,
		   uint64_t now_us)
{
	for (size_t i = 0; i < plan->n_entries; i++) {
		struct dg_plan_entry *entry = &plan->entries[i];
		const struct dg_holder *holder = dg_holders_find(holders, entry->holder.process);

		if (holder) {
			seen[holder - holders->items] = true;
			meet_again(plan, entry, holder, now_us);
		} else if (holders->truncated) {
			pass_over(plan, entry, now_us);
		} else if (entry->state != DG_ENTRY_LEFT) {
			set_free(entry);
		}
	}
}

/* The kernel's own uses and our own work are nobody to deal with. */
static bool is_nobody(const struct dg_holder *holder)
{
	return holder->process.pid <= 0 || holder->exempt == DG_EXEMPT_SELF ||
	       holder->exempt == DG_EXEMPT_STEP;
}

int dg_plan_scanned(struct dg_plan *plan, const struct dg_holder_list *holders, uint64_t began_us)
{
	size_t n_before = plan->n_entries;
	struct dg_plan_entry *entry;
	bool *seen;
	int r = 0;

	seen = calloc(holders->n_items + 1, sizeof(*seen));
	if (!seen)
		return -ENOMEM;
	plan->cursor = 0;
	review(plan, holders, seen, began_us);
	/* Those who lead first: twice the list. */
	for (size_t k = 0; k < 2 * holders->n_items && r == 0; k++) {
		size_t i = k % holders->n_items;
		bool follows = holders->items[i].shared_with > 0;

		if (seen[i] || is_nobody(&holders->items[i]) || follows != (k >= holders->n_items))
			continue;
		if (plan->n_entries >= DG_PLAN_ENTRIES_MAX) {
			plan->full = true;
			break;
		}
		if (plan->n_entries == n_before)
			plan->rounds++;
		entry = append(plan);
		if (entry)
			join(plan, entry, &holders->items[i], began_us);
		else
			r = -ENOMEM;
	}
	free(seen);
	return r;
}

void dg_plan_not_scanned(struct dg_plan *plan, uint64_t began_us)
{
	plan->cursor = 0;
	for (size_t i = 0; i < plan->n_entries; i++)
		pass_over(plan, &plan->entries[i], began_us);
}

void dg_plan_over(struct dg_plan *plan)
{
	for (size_t i = 0; i < plan->n_entries; i++)
		if (plan->entries[i].state == DG_ENTRY_CLIMBING)
			plan->entries[i].state = DG_ENTRY_UNFINISHED;
}

void dg_plan_missed(struct dg_plan *plan, const struct dg_deed *deed, uint64_t now_us)
{
	struct dg_plan_entry *entry = &plan->entries[deed->entry];

	if (entry->n_missed >= MISSES_MAX || entry->rung != deed->rung + 1)
		return;
	entry->rung = deed->rung;
	entry->due_us = now_us + (MISS_GAP_US << entry->n_missed++);
	/* The pass that is under way may be beyond it. */
	if (entry->due_us < plan->wake_us)
		plan->wake_us = entry->due_us;
}

void dg_plan_await(struct dg_plan *plan, struct dg_process process)
{
	struct dg_plan_entry *entry = find(plan, process);

	if (entry)
		entry->awaited = true;
}

void dg_plan_awaited(struct dg_plan *plan, struct dg_process process, size_t rung, bool well,
		     uint64_t now_us)
{
	struct dg_plan_entry *entry = find(plan, process);

	if (!entry)
		return;
	entry->awaited = false;
	entry->checkpointed = well;
	plan->cursor = 0;
	for (size_t i = 0; i < plan->n_entries && !well; i++) {
		struct dg_plan_entry *other = &plan->entries[i];

		/* Those with its memory wait with it. */
		if ((other == entry || leader_of(plan, &other->holder) == entry) &&
		    other->rung == rung + 1 && other->due_us > now_us)
			other->due_us = now_us;
	}
}

bool dg_plan_is_awaiting(const struct dg_plan *plan)
{
	for (size_t i = 0; i < plan->n_entries; i++)
		if (plan->entries[i].awaited)
			return true;
	return false;
}

void dg_plan_exited(struct dg_plan *plan, struct dg_process process, uint64_t now_us)
{
	struct dg_plan_entry *entry = find(plan, process);

	if (!entry || entry->exited)
		return;
	entry->exited = true;
	set_free(entry);
	plan->cursor = 0;
}

int dg_plan_restore(struct dg_plan *plan, struct dg_process process, const struct dg_rule *rule,
		    uint32_t uses, size_t n_rungs, uint64_t acted_us)
{
	struct dg_plan_entry *entry;

	if (n_rungs > rule->n_rungs || find(plan, process))
		return -EINVAL;
	entry = append(plan);
	if (!entry)
		return -ENOMEM;
	entry->holder.process = process;
	entry->rule = rule;
	entry->uses = uses;
	entry->rung = n_rungs;
	entry->noted = true;
	entry->restored = true;
	entry->state = dg_rule_leaves(rule) ? DG_ENTRY_LEFT : DG_ENTRY_CLIMBING;
	entry->due_us = acted_us;
	if (n_rungs > 0 && !rule->dry_run)
		entry->due_us += rule->ladder[n_rungs - 1].grace_ms * USEC_PER_MSEC;
	return 0;
}

/* Past the cut a ladder is its kill and nothing else. */
static void hurry(struct dg_plan_entry *entry, uint64_t now_us)
{
	const struct dg_rule *rule = entry->rule;
	size_t i = entry->rung;

	if (i > 0 && rule->ladder[i - 1].action == DG_ACTION_KILL)
		return;
	while (i < rule->n_rungs && rule->ladder[i].action != DG_ACTION_KILL)
		i++;
	if (i > entry->rung || entry->due_us > now_us)
		entry->hurried = true;
	entry->rung = i;
	if (entry->due_us > now_us)
		entry->due_us = now_us;
}

static void take_rung(const struct dg_plan *plan, struct dg_plan_entry *entry, uint64_t now_us,
		      struct dg_deed *deed)
{
	const struct dg_rung *rung = &entry->rule->ladder[entry->rung];
	uint32_t grace_ms = rung->grace_ms;
	bool waits;

	deed->rung = entry->rung++;
	deed->action = rung->action;
	deed->skipped = skipped(plan, entry, deed->rung, &waits);
	/* A kill's grace is the kernel's time for it, not the process's. */
	if (rung->action != DG_ACTION_KILL)
		grace_ms = (uint32_t)((uint64_t)grace_ms * entry->permille / WHOLE);
	/* Of a dry run it is told what there would have been. */
	deed->grace_ms = waits || strcmp(deed->skipped, "dry-run") == 0 ? grace_ms : 0;
	/* Nothing was done: the look that led here serves the next rung as well. */
	if (waits)
		entry->due_us = now_us + grace_ms * USEC_PER_MSEC;
	if (rung->action == DG_ACTION_LEAVE)
		entry->state = DG_ENTRY_LEFT;
}

/* True: the entry has something due, in *deed. */
static bool look_at(struct dg_plan *plan, struct dg_plan_entry *entry, uint64_t now_us,
		    struct dg_deed *deed)
{
	if (entry->state != DG_ENTRY_CLIMBING)
		return false;
	/* What is only told takes no time. */
	if ((entry->hurried || now_us >= cut(plan)) && !entry->rule->dry_run)
		hurry(entry, now_us);
	if (entry->due_us > now_us) {
		if (entry->due_us < plan->wake_us)
			plan->wake_us = entry->due_us;
		return false;
	}
	if (entry->seen_us < entry->due_us) {
		plan->must_look = true;
		return false;
	}
	if (entry->rung >= entry->rule->n_rungs) {
		entry->state = entry->rule->dry_run ? DG_ENTRY_LEFT : DG_ENTRY_SURVIVED;
		return false;
	}
	take_rung(plan, entry, now_us, deed);
	return true;
}

bool dg_plan_next(struct dg_plan *plan, uint64_t now_us, struct dg_deed *ret, uint64_t *ret_wake_us)
{
	if (plan->cursor == 0) {
		plan->wake_us = UINT64_MAX;
		plan->must_look = false;
	}
	/* An entry that had a deed is looked at again: a skipped rung takes no time. */
	for (; plan->cursor < plan->n_entries; plan->cursor++) {
		struct dg_deed deed = {.entry = plan->cursor};

		if (look_at(plan, &plan->entries[plan->cursor], now_us, &deed)) {
			*ret = deed;
			return true;
		}
	}
	plan->cursor = 0;
	if (plan->wake_us != UINT64_MAX && now_us < cut(plan) && plan->wake_us > cut(plan))
		plan->wake_us = cut(plan);
	*ret_wake_us = plan->wake_us;
	return false;
}

size_t dg_plan_count(const struct dg_plan *plan, enum dg_entry_state state)
{
	size_t n = 0;

	for (size_t i = 0; i < plan->n_entries; i++)
		n += plan->entries[i].state == state;
	return n;
}
