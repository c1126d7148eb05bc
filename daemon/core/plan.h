/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Who gets what and when, within the time that there is.
 *
 * All holders climb their ladders at the same time. The budget of an incident
 * ends at its deadline; the reserve before it is kept for the last kill, the
 * sync and the unmount: at that cut whoever still climbs goes straight to his
 * kill, if his ladder has one. Graces that do not fit before the cut shrink in
 * proportion.
 *
 * Nobody climbs on unseen: after the first rung each takes a look that began
 * when its time had come and found the process still there. A list that was
 * cut, or a look that failed, is no reason to end somebody who may have let go.
 *
 * Nothing here acts: dg_plan_next() says what is due and the caller says later
 * what the scans see. Times are microseconds of one monotonic clock.
 */
#pragma once

#include "core/selection.h"

/* Scans that brought new holders; who comes after that has no time left. */
#define DG_PLAN_ROUNDS_MAX 16
#define DG_PLAN_ENTRIES_MAX 16384

enum dg_entry_state {
	DG_ENTRY_CLIMBING,
	DG_ENTRY_LEFT,       /* its rule leaves it alone */
	DG_ENTRY_FREED,      /* maps nothing any more */
	DG_ENTRY_SURVIVED,   /* end of the ladder, and it still does */
	DG_ENTRY_UNSEEN,     /* no look could tell, and there is no more time */
	DG_ENTRY_UNFINISHED, /* the incident was over before its ladder */
	_DG_ENTRY_STATE_MAX,
};
const char *dg_entry_state_name(enum dg_entry_state state);

struct dg_plan_entry {
	struct dg_holder holder; /* as last seen; without its mappings */
	uint64_t addr;           /* of its first mapping */
	dg_dev_t fs_dev;         /* likewise */
	const struct dg_rule *rule;
	uint32_t uses; /* for which it got that rule; bit per enum dg_use */
	enum dg_entry_state state;
	bool exited;
	bool restored;     /* not seen by a scan yet */
	bool noted;        /* for the caller: it is in the record */
	bool over;         /* for the caller: so is its end */
	bool hurried;      /* the cut or the bound of rounds took its time */
	size_t rung;       /* the next one */
	uint64_t due_us;   /* when the next rung is due */
	uint64_t seen_us;  /* when the look began that last saw it */
	uint32_t permille; /* what is left of each grace */
	unsigned n_missed; /* times that a rung did not reach it */
	bool awaited;      /* what was begun for it has not ended: nor has it been told how */
	bool checkpointed; /* it is gone, and can be brought back */
};

struct dg_plan {
	const struct dg_policy *policy;
	struct dg_selection selection;
	uint64_t deadline_us, reserve_us;
	unsigned rounds;
	bool is_held;                  /* by the module, which is who can send SIGBUS */
	bool no_criu;                  /* nobody can be checkpointed */
	bool full;                     /* more holders than a plan takes */
	struct dg_plan_entry *entries; /* in the order in which they were seen */
	size_t n_entries;
	size_t cursor; /* of dg_plan_next() */
	uint64_t wake_us;
	bool must_look; /* for the caller: somebody is due who was not seen since */
};

/* Not done to this one: who leads gets it for all with the same memory. */
#define DG_SKIPPED_SHARED "shared-memory"

/* Something that is due. */
struct dg_deed {
	size_t entry; /* index */
	size_t rung;  /* of its ladder */
	enum dg_action action;
	uint32_t grace_ms;   /* what follows it, after shrinking */
	const char *skipped; /* do nothing, this is the outcome; NULL: do it */
};

/* policy must outlive the plan. */
void dg_plan_init(struct dg_plan *plan, const struct dg_policy *policy, uint64_t deadline_us,
		  uint64_t reserve_us);
void dg_plan_done(struct dg_plan *plan);

/*
 * What goes away, as soon as it is known; until then, and after -ENOMEM, the
 * built-in rules alone are in force. Who has joined keeps his rule.
 */
int dg_plan_select(struct dg_plan *plan, const struct dg_device_facts *device);

/* The deadline moved; graces that run are not touched. */
void dg_plan_set_deadline(struct dg_plan *plan, uint64_t deadline_us);

/*
 * What a scan saw that began at that time: new holders join, who no longer
 * maps is freed (only if the list is whole), who maps again climbs on where it
 * was. -ENOMEM: some of the new ones have not joined.
 */
int dg_plan_scanned(struct dg_plan *plan, const struct dg_holder_list *holders, uint64_t began_us);

/* A scan that began at that time saw nothing at all. */
void dg_plan_not_scanned(struct dg_plan *plan, uint64_t began_us);

/*
 * The deed did not reach its process, for this moment: its mappings were
 * locked, or have moved. Due again soon, a few times, if it is still seen then.
 */
void dg_plan_missed(struct dg_plan *plan, const struct dg_deed *deed, uint64_t now_us);

/*
 * A deed of this process has been begun, and how it ends is told later. Its grace runs
 * meanwhile. No entry: nothing.
 */
void dg_plan_await(struct dg_plan *plan, struct dg_process process);

/*
 * It has ended, or was not begun. Well: the process is checkpointed. Else what is left of its
 * grace is given up, and what comes next is due at once.
 */
void dg_plan_awaited(struct dg_plan *plan, struct dg_process process, size_t rung, bool well,
		     uint64_t now_us);
bool dg_plan_is_awaiting(const struct dg_plan *plan);

/* The incident is over: whoever still climbs is told to be unfinished. */
void dg_plan_over(struct dg_plan *plan);

/* The process has ended. */
void dg_plan_exited(struct dg_plan *plan, struct dg_process process, uint64_t now_us);

/*
 * After a restart: this one has had n_rungs of the rule's ladder, the last at
 * acted_us. It is looked at again by the next scan, and goes on with that ladder
 * as long as it has those uses (bit per enum dg_use). The rule must outlive the plan.
 */
int dg_plan_restore(struct dg_plan *plan, struct dg_process process, const struct dg_rule *rule,
		    uint32_t uses, size_t n_rungs, uint64_t acted_us);

/*
 * The next thing that is due, if any; to be called until it says false. Then
 * *ret_wake_us is when to ask again, UINT64_MAX for never.
 */
bool dg_plan_next(struct dg_plan *plan, uint64_t now_us, struct dg_deed *ret,
		  uint64_t *ret_wake_us);

/* How many are in this state. */
size_t dg_plan_count(const struct dg_plan *plan, enum dg_entry_state state);
