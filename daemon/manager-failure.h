/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The parts of a memory failure, for those manager-*.c files that have one in hand. */
#pragma once

#include "manager-internal.h"

/* Something that is done about failures; by cause. */
struct reaction {
	struct failure *failure;
	enum dg_cause cause;
	enum dg_reaction action;
	bool wanted, over;
	struct step *step;
	struct dg_record_writer input;
};

/* manager-failure.c: what failed of one device. */
struct failure {
	struct manager *m;
	struct failure *next; /* of m->failures, by ascending id */
	uint64_t id;
	dg_dev_t dev;
	enum dg_mode mode;
	bool knows_protected;
	uint64_t protected_list;       /* it is known with this one; 0: not asked for */
	uint64_t ask_us, ask_pause_us; /* when, and how long after, that is asked again */
	bool unsaid;                   /* that it was seen: the ledger has not all of it */
	uint64_t began_us;
	const struct dg_policy *policy;
	const struct dg_device_rule *rule; /* of it */
	struct dg_selection selection;
	struct dg_burst core;
	bool judged; /* by the limit, for the last time */
	struct reaction reactions[_DG_CAUSE_MAX];
	struct looking looking;
	struct looks *looks;
	struct scan *scan;
	struct places *places;        /* NULL: nothing was asked about */
	bool settled;                 /* nobody is told any more: what fails now is another one's */
	uint64_t settled_us;          /* since when */
	char metadata[DG_STORY_WORD]; /* of a file system that has failed, the first; "": none */
	sd_event_source *timer;
	struct dg_story *story;
	struct store_record *record; /* NULL: unrecorded */
};
int failure_open(struct manager *m, const struct dg_failure_record *record, uint64_t id,
		 struct dg_told_list *told, struct failure **ret);
struct failure *failure_free(struct failure *failure); /* NULL is fine; returns NULL */
void failure_go_on(struct failure *failure);           /* from the loop, as soon as it can */

/* manager-failures.c */
void failures_round(struct failure *failure); /* what has come up to this round is done */
/* Nobody is told any more; what it was used for, and what is done about it, may last. */
void failures_settled(struct failure *failure);
void failures_over(struct failure *failure); /* that is over too; it is freed */

/* manager-place.c */
struct places *places_free(struct places *places); /* NULL is fine; returns NULL */
void places_add(struct failure *failure, const struct dg_failure_record *record);
void places_ask(struct failure *failure);  /* about what has come; not while a removal is open */
void places_hold(struct failure *failure); /* one is: it is asked again afterwards */
/*
 * Something is still to come, until *ret_until_us at most; then the failure goes on.
 * why_not: there is no use in it any more; or NULL.
 */
bool places_wait(struct failure *failure, const char *why_not, uint64_t *ret_until_us);
void places_end(struct failure *failure);        /* into the record: what is not known */
bool places_busy(const struct failure *failure); /* they are asked about, or will be */

/* manager-failure-record.c */
/* 0: it is where it outlives us. */
int failure_write(struct failure *failure, struct entry *entry);
int failure_write_begin(struct failure *failure, const struct dg_failure_record *record);
/* 0: it is where it outlives us. */
int failure_keep(struct failure *failure, const struct dg_failure_record *record);
void failure_write_state(struct failure *failure, enum dg_state state);
void failure_write_holder(struct failure *failure, const struct dg_burst_order *order);
/* Before it is done, and after. */
void failure_write_tell(struct failure *failure, const struct dg_burst_order *order);
void failure_write_told(struct failure *failure, const struct dg_burst_order *order,
			const char *outcome, enum dg_burst_answer answer);
void failure_write_end(struct failure *failure);

/* manager-failure-log.c */
struct failure_log;
int failure_log_new(struct manager *m, struct failure_log **ret); /* -ENOMEM and the like */
void failure_log_free(struct failure_log *log);                   /* NULL is fine */
void failure_log_tell(struct failure_log *log, const struct dg_story *story, bool written);

/* manager-failure-limit.c */
void limit_begin(struct failure *failure); /* before anything of it is in the ledger */
/* True: by what is new the limit is reached. */
bool limit_is_reached(struct failure *failure);
/* Says so, if it is not known by now. */
void limit_give_up(struct failure *failure);
bool limit_is_unknown(const struct failure *failure); /* there is one, and the ledger is not read */

/* manager-failure-action.c */
/* A range is metadata of a file system: as the rule says, once everybody has been told of all. */
void failure_metadata(struct failure *failure);
void reactions_begin(struct failure *failure);
/* Everybody has been told by now. */
void reactions_judge(struct failure *failure);
void reactions_go_on(struct failure *failure);
/* One is under way, or waits for something, which is to be looked for at *ret_until_us. */
bool reactions_wait(const struct failure *failure, uint64_t *ret_until_us);
void reactions_cancel(struct failure *failure);
