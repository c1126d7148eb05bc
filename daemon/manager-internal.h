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
 *	manager-errands.c   hooks, and what the service manager is asked for
 *	manager-scan.c	    one scan at a time, as the module keeps one snapshot
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
 *	manager-log.c	    the journal
 */
#pragma once

#include "config.h"
#include "core/description.h"
#include "core/incident.h"
#include "core/look.h"
#include "core/unit.h"
#include "io/cgroup.h"
#include "io/doorbell.h"
#include "io/klink.h"
#include "io/logger.h"
#include "io/steps.h"
#include "io/store.h"
#include "manager.h"
#include "names.h"
#include "policy-files.h"

struct errand;
struct incident;
struct looks;
struct manager_forecast;
struct names;
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
	struct dg_process self;
	uint64_t started_wall_us;

	struct incident *open[DG_INCIDENTS_OPEN_MAX]; /* by ascending id */
	size_t n_open;
	uint64_t n_total, n_unrecorded, n_taken_over, n_lost_steps;
	uint64_t removal_id;    /* the last that a user asked for */
	uint64_t refused_id;    /* the last hold that there was no room for */
	struct dg_story **kept; /* over, by ascending id */
	size_t n_kept;

	struct scan *scans; /* the first one is at work in the module */
	struct manager_query *queries;
	struct manager_forecast *forecasts;

	struct manager_device *devices;
	size_t n_devices;
	struct step *topology_step;
	sd_event_source *topology_timer, *ready_source;
	uint64_t look_by_us; /* when the timer goes off, whatever comes until then */
	struct manager_protected *protected;
	size_t n_protected;
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
	unsigned n_outputs;     /* that were kept */
	bool busy;              /* effects are being carried out */
	bool missing; /* the kernel did not name it when asked; unless DONE comes, it is gone */
	struct dg_effects effects;
};

/* manager.c */
uint64_t manager_now(const struct manager *m);
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
/* Those of a daemon that is dead: said to be over, and what is left of them is adopted. */
void incident_inherit_jobs(struct incident *incident);
/* The module's work; false: none of ours. */
bool incident_completed(struct manager *m, uint32_t token, int error);
const char **block_devices(const struct dg_request *request, const char *verb); /* to be freed */

/* manager-rules.c */
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

/* manager-looks.c. The answer comes once, from the event loop; holders are looks' own. */
typedef void (*looks_func)(void *userdata, struct dg_holder_list *holders,
			   const struct dg_fs_list *fs);
/* 1: begun, and *holders were taken. 0, or a negative errno: there is nothing to be waited for. */
int looks_start(struct looking *looking, uint64_t deadline_us, struct dg_holder_list *holders,
		const struct dg_fs_list *fs, looks_func func, void *userdata, struct looks **ret);
void looking_done(struct looking *looking);
struct looks *looks_free(struct looks *looks);

/* manager-holders.c */
void incident_watch(struct incident *incident, size_t entry);
struct act {
	const char *outcome;
	const char *refused;         /* why it was not done to the unit; NULL: no reason */
	char unit[DG_UNIT_NAME_MAX]; /* that it was done to; "" for none */
};
void incident_act(struct incident *incident, const struct dg_deed *deed, struct act *ret);
bool incident_has_exited(struct incident *incident, size_t entry);
void incident_unwatch_all(struct incident *incident);
int manager_merge_holders(struct manager *m, const struct dg_request *request,
			  const struct dg_usage_list *rows, struct dg_holder_list *ret);
int manager_read_self(struct manager *m);
bool manager_is_alive(struct manager *m, struct dg_process process);
void manager_read_comm(struct manager *m, pid_t pid, char ret[static DG_COMM_LEN]);

/* manager-units.c */
/* Stop, freeze, term or kill. It sets the outcome, or why it is not for the unit. */
void incident_act_on_unit(struct incident *incident, const struct dg_deed *deed, struct act *ret);
void incident_name_unit(struct incident *incident, size_t entry,
			char ret[static DG_UNIT_NAME_MAX]); /* "": none that could be told */
void incident_thaw_holder(struct incident *incident, size_t entry);
/* All that are frozen by it. record: NULL for none. */
void units_thaw(struct manager *m, struct store_record *record, struct dg_story *story);

/* manager-errands.c; the first outcome, what comes of it is written later */
const char *errand_exec(struct incident *incident, const struct dg_deed *deed, const char *unit);
const char *errand_stop(struct incident *incident, const struct dg_deed *deed, const char *unit);
void errands_start(struct incident *incident); /* those that wait, after that was written */
void errands_cancel(struct incident *incident, bool told);
void errands_inherit(struct incident *incident);      /* those of a daemon that is dead */
bool errands_own(const struct manager *m, pid_t pid); /* it is the step of one */
bool errands_any(const struct manager *m);

/* manager-scan.c; by id or, if that is 0, by dev. One answer, from the event loop. */
int scan_start(struct manager *m, uint64_t id, dg_dev_t dev, uint64_t timeout_us, scan_func func,
	       void *userdata, struct scan **ret);
struct scan *scan_cancel(struct scan *scan); /* NULL is fine; returns NULL */
bool scan_completed(struct manager *m, uint32_t token, int error, bool truncated);
int procscan_read(const char *output, size_t n_output, struct dg_usage_list *ret);

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
/* Records of the step `protected`. */
int devices_set_protected(struct manager *m, const char *output, size_t n_output);

/* manager-history.c */
int history_load(struct manager *m);
int history_keep(struct manager *m, struct dg_story *story); /* takes it; or -ENOMEM */
void history_trim(struct manager *m); /* the oldest go, if there are too many */
/* What was written of an incident that is open (again); NULL: nothing. The caller's. */
struct dg_story *history_read(struct manager *m, uint64_t id);
void history_forget(struct manager *m, uint64_t id); /* its record stays */
void history_done(struct manager *m);
struct dg_story *story_free(struct dg_story *story);

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

/* manager-log.c */
/* watched: this daemon was there when it ended. */
void log_incident(struct manager *m, const struct dg_story *story, bool watched);
void log_state(struct manager *m, const struct dg_story *story);
void log_message(struct manager *m, int priority, const char *id, const char *format, ...)
	__attribute__((format(printf, 4, 5)));
