/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The parts of the manager, for the manager-*.c files only.
 *
 *	manager.c	    life: begin, end, the watchdog
 *	manager-module.c    the module: registration, what it holds and says
 *	manager-incident.c  an open incident: inputs in, effects out
 *	manager-effects.c   what each effect does
 *	manager-removal.c   what a user asks for: the same, without the kernel
 *	manager-rules.c	    which rules are for it
 *	manager-looks.c	    what rules ask of processes
 *	manager-jobs.c	    what takes time: steps, scans, the module's work
 *	manager-holders.c   processes: pidfds, signals, who is exempt
 *	manager-units.c	    units as a whole: signalled, stopped, frozen, thawed
 *	manager-dump*.c	    processes that are checkpointed
 *	manager-registrations.c, -cooperation.c  see manager-registrations.h
 *	manager-errands.c   hooks, and what the service manager is asked for
 *	manager-scan.c	    one scan at a time, as the module keeps one snapshot
 *	manager-failures.c  failed pages: what the kernel keeps, and may forget
 *	manager-checks.c    lists of bad blocks, looked at
 *	manager-repairs.c   bad ranges that are good again
 *	manager-failure.c   those of one device, until everybody has been told
 *	manager-place.c	    what they were used for
 *	manager-failure-record.c  the record of that, and the journal
 *	manager-failure-log.c     how many of them the journal is told
 *	manager-failure-limit.c   whether there are too many
 *	manager-failure-action.c  what is done about them, once everybody has been told
 *	manager-prune.c	    when checkpoints are removed
 *	manager-checkpoints.c, -restore.c, -return.c  see manager-checkpoints.h
 *	manager-query.c	    who uses a device, for a client
 *	manager-forecast.c  what a removal would come to, likewise
 *	manager-devices.c   topology and protected processes, while nothing is held
 *	manager-pinned.c    who keeps what is gone
 *	manager-history.c   incidents that are over
 *	manager-record.c    the record of an incident, and its story
 *	manager-policy.c    the rules in force
 *	manager-reload.c    rules and configuration, read again
 *	manager-names.c	    users and groups of rules
 *	manager-status.c    how the daemon is
 *	manager-ledger.c    failures of memory, see keeper.h
 *	manager-log.c	    the journal
 */
#pragma once

#include <time.h>

#include "config.h"
#include "core/burst.h"
#include "core/counted.h"
#include "core/description.h"
#include "core/incident.h"
#include "core/look.h"
#include "core/unit.h"
#include "io/cgroup.h"
#include "io/channel.h"
#include "io/doorbell.h"
#include "io/klink.h"
#include "io/logger.h"
#include "io/steps.h"
#include "io/store.h"
#include "keeper.h"
#include "manager.h"
#include "names.h"
#include "policy-files.h"

struct checkpoints;
struct checks;
struct dump;
struct entry;
struct errand;
struct failure;
struct failures;
struct incident;
struct ledger;
struct looks;
struct manager_forecast;
struct names;
struct places;
struct registration;
struct repairs;
struct scan;

/* Texts, NULL at the end if there are any. */
struct lines {
	char **items;
	size_t n;
};

struct reload {
	struct manager_reload *waiting;
	bool wanted; /* also by nobody who waits: when nothing is held */
	bool asked;  /* not only by ourselves */
	bool told;   /* the service manager believes us to be at it */
	sd_event_source *source;
	struct config config;      /* what was read */
	struct policy_files files; /* likewise */
	struct names *names;
};

/* Scans. error: 0 or a negative errno; then rows and fs are NULL. */
typedef void (*scan_func)(void *userdata, int error, const struct dg_usage_list *rows,
			  const struct dg_fs_list *fs);

struct manager {
	sd_event *event;
	const struct manager_paths *paths;
	struct config config;
	const struct dg_policy *policy; /* never NULL */
	bool policy_builtin;            /* since there were errors at the start */
	struct lines refused, warnings;
	struct reload reload;
	struct klink *link;
	struct klink_info info;
	bool registered;
	int register_error;
	struct steps *steps;
	struct doorbell *doorbell;
	struct logger *logger;
	struct store *store;
	struct keeper *keeper; /* of failures */
	struct ledger *ledger;
	struct dg_process self;
	uint64_t started_wall_us;

	struct incident *open[DG_INCIDENTS_OPEN_MAX]; /* by ascending id */
	size_t n_open;
	uint64_t n_total, n_unrecorded, n_taken_over, n_lost_steps;
	uint64_t removal_id; /* the last that a user asked for */
	struct {
		bool wanted;
		sd_event_source *timer;
		struct manager_visit *visit;
	} prune;
	uint64_t dumps_by_us;   /* until then whoever makes checkpoints is ours */
	uint64_t refused_id;    /* the last hold that there was no room for */
	struct dg_story **kept; /* over, by ascending id */
	size_t n_kept;

	struct registration *registrations;
	uint64_t registration_id; /* the last one */
	struct failures *failures;
	struct checks *checks;
	struct repairs *repairs;
	struct dg_tally *tallies; /* of namespaces with a limit */
	struct scan *scans;       /* the first one is at work in the module */
	struct manager_query *queries;
	struct manager_forecast *forecasts;

	struct checkpoints *checkpoints;
	struct dump *late_dumps; /* whose incident is over */
	struct manager_device *devices;
	size_t n_devices;
	struct step *topology_step;
	sd_event_source *topology_timer, *ready_source;
	uint64_t look_by_us; /* when the timer goes off, whatever comes until then */
	struct manager_protected *protected;
	size_t n_protected;
	bool knows_protected;
	uint64_t n_protected_lists; /* made so far */
	struct step *protected_step;

	sd_event_source *refresh_source;
	sd_event_source *gone_source; /* for those that are missing */
	sd_event_source *retry_timer; /* of a registration that was refused */
	sd_event_source *watchdog_timer;
	uint64_t watchdog_us;

	const struct manager_observer *observer;
	void *observer_userdata;
};

#define OBSERVE(m, function, ...)                                                                  \
	do {                                                                                       \
		if ((m)->observer && (m)->observer->function)                                      \
			(m)->observer->function((m)->observer_userdata, ##__VA_ARGS__);            \
	} while (0)

/* Something of an incident that takes time. */
struct job {
	struct incident *incident;
	enum dg_job job;
	bool active;
	uint64_t started_us;
	struct step *step;
	struct scan *scan;
	uint32_t token;      /* of the module's work */
	struct looks *looks; /* at whom a scan has found */
	sd_event_source *timer;
};

/* A process that must not be confused with the next one of its pid. */
struct watch {
	struct incident *incident;
	struct dg_process process;
	int fd;    /* a pidfd; -1: none could be had */
	int error; /* then why */
	bool exited;
	sd_event_source *source;
};

/* Who has been looked at, for an incident or for a question. */
struct looking {
	struct manager *m;
	bool wanted; /* the rules ask for it */
	struct dg_look_list list;
	uint64_t spent_us; /* that looks have taken */
	size_t n_unknown;  /* who could not be looked at in time */
};

struct incident {
	struct manager *m;
	const struct dg_policy *policy; /* that it began with */
	struct dg_incident core;
	struct looking looking;
	bool noted_looks;
	struct dg_story *story;
	struct store_record *record; /* NULL: unrecorded */
	sd_event_source *timer;
	struct job jobs[_DG_JOB_MAX];
	struct watch **watches; /* by plan entry; NULL for who is left */
	size_t n_watches;
	struct errand *errands; /* in the order in which they came */
	struct dump *dumps;     /* likewise */
	unsigned n_outputs;     /* that were kept */
	bool busy;              /* effects are being carried out */
	bool missing; /* the kernel did not name it when asked; unless DONE comes, it is gone */
	struct dg_effects effects;
};

/* manager.c */
uint64_t manager_now(const struct manager *m);
uint64_t manager_clock_ns(clockid_t clock);
void manager_holds_changed(struct manager *m);

/* manager-module.c */
/*
 * Registers, and takes what is held. 0 also without a module: then when there is one.
 * -EBUSY: another daemon is registered.
 */
int module_start(struct manager *m);
void module_done(struct manager *m);
void module_refresh(struct manager *m);              /* ask it what is pending, soon */
void module_log(struct manager *m);                  /* whether removals are held */
const char *module_why_not(const struct manager *m); /* registered; for people */

/* manager-incident.c */
int incident_open(struct manager *m, const struct dg_request *request);
struct incident *incident_find(struct manager *m, uint64_t id);
struct incident *incident_free(struct incident *incident);
/* An input is: call a dg_incident_*() with &incident->effects, then this. */
void incident_carry_out(struct incident *incident);
void incident_over(struct incident *incident);

/* manager-removal.c */
/* All but its id. ret refers to what it is made of. */
void removal_request(const struct manager_device *device, bool force, struct dg_target *target,
		     struct dg_request *ret);
/* The daemon is told to stop: nobody goes on with them. */
void removals_give_up(struct manager *m);

/* manager-effects.c */
void incident_effect(struct incident *incident, const struct dg_effect *effect);

/* manager-jobs.c */
void incident_start_job(struct incident *incident, enum dg_job job, uint64_t timeout_us);
void incident_cancel_jobs(struct incident *incident);
/* Those of a daemon that is dead: over, and what is left is adopted. record: NULL for none. */
void jobs_inherit(struct manager *m, struct store_record *record, struct dg_story *story);
/* The module's work; false: none of ours. */
bool incident_completed(struct manager *m, uint32_t token, int error);
const char **block_devices(const struct dg_request *request, const char *verb); /* to be freed */

/* manager-rules.c */
/* The mounts of a device, as they were at rest. 1: they are known. -ENOMEM. */
int rules_add_mounts(struct manager *m, const char *name, struct dg_description *description);
/*
 * What rules ask of the devices, but their mounts: by what the kernel says of them and
 * what was known of them at rest. -ENOMEM.
 */
int rules_describe(struct manager *m, const struct dg_request *request,
		   struct dg_description *description, bool *ret_complete);
/* By what is known of the devices, as often as there is more. */
void incident_choose_rules(struct incident *incident);
void incident_write_device_rule(struct incident *incident);
void incident_write_rule(struct incident *incident, const struct dg_rule *rule);
/*
 * Once, and before its first holder: the next daemon may find other files. The text, to be
 * freed when *ret was written; NULL: there is nothing to be written.
 */
char *rule_entry(const struct dg_story *story, const struct dg_rule *rule, struct entry *ret);

/* manager-looks.c. The answer comes once, from the event loop; holders are looks' own. */
typedef void (*looks_func)(void *userdata, struct dg_holder_list *holders,
			   const struct dg_fs_list *fs);
/* 1: begun, and *holders were taken. 0, or a negative errno: there is nothing to be waited for. */
int looks_start(struct looking *looking, uint64_t deadline_us, struct dg_holder_list *holders,
		const struct dg_fs_list *fs, looks_func func, void *userdata, struct looks **ret);
void looking_done(struct looking *looking);
struct looks *looks_free(struct looks *looks);

/* manager-holders.c; what is done to them is in manager-acts.h */
int manager_merge_holders(struct manager *m, const struct dg_request *request,
			  const struct dg_usage_list *rows, struct dg_holder_list *ret);
/* A pidfd of this process, and of no later one of its pid. -ESRCH, and others. */
int manager_open_process(struct manager *m, struct dg_process process);
/*
 * A pidfd of who asks, and who that is. -ESRCH. -EPERM: the pid is another user's, whoever
 * has had it before.
 */
int manager_open_applicant(struct manager *m, pid_t pid, uid_t uid, struct dg_process *ret);
int manager_read_self(struct manager *m);
int manager_read_process(struct manager *m, pid_t pid, struct dg_process *ret, pid_t *ret_parent);
#define DG_ANCESTORS_MAX 32 /* that are looked at of a process */
bool manager_is_alive(struct manager *m, struct dg_process process);
void manager_read_comm(struct manager *m, pid_t pid, char ret[static DG_COMM_LEN]);

/* manager-scan.c. One answer, from the event loop. */
enum scan_kind {
	SCAN_REQUEST, /* id */
	SCAN_UNMAP,   /* dev, range, badblocks: rows say only whether they are truncated */
	SCAN_RANGE,   /* dev, range; no file systems */
	SCAN_CHECK,   /* dev; likewise */
	SCAN_DEVICE,  /* dev */
};
struct scan_what {
	enum scan_kind kind;
	uint64_t id;
	dg_dev_t dev;
	struct dg_range range;
	bool badblocks;
};
int scan_start(struct manager *m, const struct scan_what *what, uint64_t timeout_us, scan_func func,
	       void *userdata, struct scan **ret);
struct scan *scan_cancel(struct scan *scan); /* NULL is fine; returns NULL */
bool scan_completed(struct manager *m, uint32_t token, int error, bool truncated);
int procscan_read(const char *output, size_t n_output, struct dg_usage_list *ret);

/* manager-failures.c */
int failures_new(struct manager *m); /* -ENOMEM and the like: none is handled */
void failures_free(struct manager *m);
void failures_registered(struct manager *m);
void failures_look(struct manager *m); /* the kernel may have some: soon */
void failures_seen(struct manager *m, const struct dg_failure_record *record);
/* A removal has begun: what it takes away is left to it. */
void failures_removal(struct manager *m, const struct dg_request *request);
/* What takes time, and can wait: not while any removal is open. */
void failures_hold(struct manager *m, bool holding);
size_t failures_open(const struct manager *m);
const struct dg_story *failures_story(const struct manager *m, size_t n); /* or NULL */
struct failure *failures_first(const struct manager *m);                  /* or NULL */

/* manager-checks.c: lists of bad blocks */
int checks_new(struct manager *m); /* -ENOMEM */
void checks_free(struct manager *m);
void checks_registered(struct manager *m);
void checks_devices(struct manager *m); /* of what is new among them */

/* manager-repairs.c */
int repairs_new(struct manager *m); /* -ENOMEM, and those of sd_event_add_time(3) */
void repairs_free(struct manager *m);
void repairs_begin(struct manager *m);              /* what was bad before is known */
void repairs_devices(struct manager *m);            /* of what is new among them */
void repairs_look(struct manager *m, dg_dev_t dev); /* its list may be another: soon */
void repairs_hold(struct manager *m, bool holding);

/* manager-failure.c */
#define DG_FAILURE_ID 1000000000000ULL  /* and the serial of the first record: its number */
void failures_go_on(struct manager *m); /* from the loop: what they wait for may be there */

/* manager-failure-record.c */
/* written: nothing is to be said of the ledger; else that it has not all of it as yet. */
void log_failure(struct manager *m, const struct dg_story *story, bool written);

/* manager-failure-limit.c */
void limits_past(void *m, const struct dg_ledger *past); /* for keeper_set_past() */
void limit_recall(struct manager *m, const struct dg_story *story);

/* manager-failure-action.c */
bool reactions_own(const struct manager *m, pid_t pid); /* it is the step of a hook */
bool reactions_hooks(const struct manager *m);          /* there is one */

/* manager-policy.c */
int lines_add(struct lines *lines, const char *format, ...) __attribute__((format(printf, 2, 3)));
void lines_done(struct lines *lines);
int policy_error_lines(const struct policy_files *files, struct lines *lines); /* -ENOMEM */
/* At the start: reads the rules; names in them are unknown as yet. -ENOMEM. */
int policy_begin(struct manager *m);
void policy_log_begin(struct manager *m);
/* From now on these, of which there must be no error. names: of users; or NULL. -ENOMEM. */
int policy_take(struct manager *m, struct policy_files *files, struct names *names);
void policy_done(struct manager *m);

/* manager-names.c; *ret is untouched if there is nothing to look up. */
int names_start(struct manager *m, const struct dg_policy *policy, void (*func)(void *userdata),
		void *userdata, struct names **ret);
int names_resolve(void *names, enum dg_key key, const char *text, uint32_t *ret_id);
struct names *names_free(struct names *names);

/* manager-reload.c */
int reload_start(struct manager *m);
void reload_holds_changed(struct manager *m, bool holding);
void reload_done(struct manager *m);

/* manager-prune.c */
int prune_start(struct manager *m);
void prune_soon(struct manager *m); /* there may be more than before, when nothing is held */
void prune_hold(struct manager *m, bool holding);
void prune_done(struct manager *m);

/* manager-query.c */
void manager_cancel_queries(struct manager *m);
/* Without the module: for block devices only. -EOPNOTSUPP. */
int query_start_procscan(struct manager *m, dg_dev_t dev, uint64_t timeout_us, step_func func,
			 void *userdata, struct step **ret);

/* manager-forecast.c */
void forecasts_hold(struct manager *m); /* a hold begins: nobody is answered but it */
void forecasts_done(struct manager *m);

/* manager-devices.c */
int devices_start(struct manager *m);
void devices_look_again(struct manager *m); /* soon, and only while nothing is held */
void devices_hold(struct manager *m);       /* a hold begins: stop looking */
void devices_done(struct manager *m);
bool devices_are_fresh(const struct manager *m); /* nothing has been heard of since the last look */
/* A disk's number may be a character device's as well. NULL: there is none. */
const struct manager_device *devices_find(const struct manager *m, dg_dev_t dev, bool is_char);
/* Records of the step `protected`. */
int devices_set_protected(struct manager *m, const char *output, size_t n_output);
/* Who is protected is known, and nobody of them has been replaced since. */
bool devices_knows_protected(struct manager *m);
/*
 * By a step, also while something is held. The number of the list that is made of now,
 * of m->n_protected_lists.
 */
uint64_t devices_ask_protected(struct manager *m);

/* manager-history.c */
int history_load(struct manager *m);
int history_keep(struct manager *m, struct dg_story *story); /* takes it; or -ENOMEM */
void history_trim(struct manager *m); /* the oldest go, if there are too many */
/* What was written of an incident that is open (again); NULL: nothing. The caller's. */
struct dg_story *history_read(struct manager *m, uint64_t id);
void history_forget(struct manager *m, uint64_t id); /* its record stays */
void history_done(struct manager *m);
struct dg_story *story_free(struct dg_story *story);
/* Of memory failures of this boot: who was told, what may be counted; each one's id and story. */
int history_recall(struct manager *m, struct dg_told_list *told, struct dg_counted_list *counted,
		   void (*func)(void *userdata, const struct dg_story *story), void *userdata);

/* manager-record.c: one event, built, written, told. */
struct entry {
	struct dg_history_event event;
	char text[1024]; /* of numbers */
	size_t n_text;
};
void entry_begin(struct entry *entry, const char *kind);
void entry_text(struct entry *entry, const char *key, const char *value);
void entry_number(struct entry *entry, const char *key, uint64_t value);
void entry_hex(struct entry *entry, const char *key, uint64_t value);
void entry_dev(struct entry *entry, const char *key, dg_dev_t dev);
void entry_process(struct entry *entry, struct dg_process process);
/* Stamps it. record: NULL for none. -ENOMEM, or what store_record_append() says. */
int entry_write(struct manager *m, struct entry *entry, struct store_record *record,
		struct dg_story *story);
void incident_write(struct incident *incident, struct entry *entry);
void incident_write_text(struct incident *incident, const char *kind, const char *key,
			 const char *value);
void incident_write_begin(struct incident *incident);
void incident_write_holder(struct incident *incident, const struct dg_plan_entry *holder);
void incident_write_done(struct incident *incident);

/* manager-ledger.c */
int ledger_begin(struct manager *m);
void ledger_done(struct manager *m);
struct dg_counted_list *ledger_counted(struct manager *m); /* for dg_counted_read() */
/* The kernel has forgotten all up to this serial, and a dump has been read since. */
void ledger_forgotten(struct manager *m, uint64_t serial);
/*
 * What the kernel has told of, as far as it is news. func: with m, once, when that is on the
 * medium, or why it is not. *ret_seq: for ledger_has(). -EINVAL: it is nothing for the ledger,
 * of which it is not known where it lies. -EAGAIN: only who has read the ledger can say what of
 * it is news. -ENOMEM, -ENOSPC. It was not taken then, and there is no call.
 */
int ledger_report(struct manager *m, const struct dg_failure_record *record, keeper_func func,
		  uint64_t *ret_seq);
/* It is on the medium. */
bool ledger_has(struct manager *m, uint64_t *seq);
/* A process more was told of what the order is about, of the story's device. */
void ledger_told(struct manager *m, const struct dg_story *story,
		 const struct dg_burst_order *order);

/* manager-log.c */
/* watched: this daemon was there when it ended. */
void log_incident(struct manager *m, const struct dg_story *story, bool watched);
void log_state(struct manager *m, const struct dg_story *story);
void log_message(struct manager *m, int priority, const char *id, const char *format, ...)
	__attribute__((format(printf, 4, 5)));
