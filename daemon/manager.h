/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The manager: owns the adapters, the incidents and what the daemon knows.
 *
 * This is what main() and the bus see of it. Everything is called from the
 * event loop's thread; pointers that are given out are valid until control
 * returns to the loop. Nothing here blocks.
 */
#pragma once

#include <systemd/sd-event.h>

#include "core/forecast.h"
#include "core/ledger.h"
#include "core/policy.h"
#include "core/registration.h"
#include "core/stored.h"
#include "core/story.h"

struct manager;

/* Where the outside is; a test has another outside. Strings must outlive the manager. */
struct manager_paths {
	const char *run_dir;   /* DG_RUN_DIR */
	const char *state_dir; /* DG_STATE_DIR: of the ledger */
	const char *step;      /* DAXGUARD_STEP_PATH */
	const char *config;    /* a file to read instead of the usual ones, or NULL */
	const char *journal;   /* DG_JOURNAL_SOCKET */
	const char *kmsg;      /* DG_KMSG */
	const char *proc;      /* "/proc" */
	const char *cgroup;    /* DG_CGROUP_DIR */
	const char *systemd;   /* DG_SYSTEMD_SOCKET: where the service manager is asked */
	const char *bus;       /* DG_SYSTEM_BUS, or NULL: none */
	const char *criu;      /* DG_CRIU: whether checkpoints can be made, for who asks before */
	/* Of rule files, by precedence, NULL at the end; or NULL: the usual ones. */
	const char *const *policy_dirs;
};

/*
 * Loads the configuration and the rules, registers with the module and takes what is held,
 * in that order and before anything else. -EBUSY: another daemon is
 * registered. Without a module it succeeds, and registers when there is one.
 */
int manager_new(sd_event *event, const struct manager_paths *paths, struct manager **ret);
/* Says so of what is held: it is left to the next daemon, or to the kernel. */
void manager_stop(struct manager *m);
struct manager *manager_free(struct manager *m); /* NULL is fine; returns NULL */

/*
 * What does not matter to a hold: topology, records of before, the service
 * manager's watchdog (0: none). What cannot be had is logged, and missing.
 */
void manager_start(struct manager *m, uint64_t watchdog_us);

sd_event *manager_event(struct manager *m);
const struct manager_paths *manager_paths(const struct manager *m);
/* A hold is open: print nothing, log nothing, wait for nobody. */
bool manager_is_holding(const struct manager *m);

/* For the log of those above the manager; queued while a hold is open. */
void manager_log(struct manager *m, int priority, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* Status. */
struct manager_status {
	bool module_present, registered;
	const char *why_not;        /* why not registered, for people; "" otherwise */
	const char *module_version; /* "" without a module */
	uint32_t hold_ms, cap_ms, activation_ms;
	uint64_t started_wall_us;
	size_t n_open, n_kept;           /* incidents */
	uint64_t n_total;                /* incidents since the start */
	uint64_t n_log_dropped;          /* log messages lost */
	uint64_t n_unrecorded;           /* incidents whose record is not complete */
	uint64_t n_taken_over;           /* incidents that another daemon had begun with */
	uint64_t n_lost_steps;           /* not started, out of time, killed, or of a dead daemon */
	size_t n_stuck_steps;            /* killed at their deadline and still there */
	bool config_builtin;             /* an error: the built-in default is in force */
	const char *const *config_files; /* in force, NULL at the end */
	const char *const *config_errors; /* file:line:column: reason, NULL at the end */
	bool policy_builtin;              /* an error at the start: no rule of a file is in force */
	size_t n_rules, n_device_rules;   /* of files, in force */
	const char *const *refused; /* why what is in force is not what was read last, likewise */
	const char *const *policy_warnings; /* names that nobody knows, likewise */
	bool ledger_read;                   /* the ledger is known */
	size_t n_bad;                       /* ranges of it */
	uint64_t n_ledger_unwritten;        /* records that are not on the medium */
	uint64_t n_ledger_skipped;          /* lines of its file that could not be read */
	const char *ledger_error;           /* ENOSPC, …: of its file, by now; "" for none */
};
void manager_get_status(struct manager *m, struct manager_status *ret);

/* The rules in force, which do not change; take a reference to keep them. */
const struct dg_policy *manager_policy(const struct manager *m);

/*
 * Read the configuration and the rules again; what is open goes on by what it
 * began with. The answer comes later, once, from the event loop. error: 0;
 * -EINVAL: refused, all is as it was, and errors says where and why, each as
 * file:line:column: reason (NULL at the end); -EBUSY: something is held, and
 * nothing was read; -ENOMEM.
 */
typedef void (*manager_reload_func)(void *userdata, int error, const char *const *errors);
struct manager_reload;
int manager_reload(struct manager *m, manager_reload_func func, void *userdata,
		   struct manager_reload **ret); /* -EBUSY: something is held. -ENOMEM. */
struct manager_reload *manager_reload_cancel(struct manager_reload *reload); /* no answer */
/* Nobody waits for it: while something is held it is put off. */
void manager_reload_soon(struct manager *m);

struct manager_protected {
	struct dg_process process;
	enum dg_exempt why;
	char name[DG_NAME_MAX]; /* of its unit, or what it is */
};
const struct manager_protected *manager_protected(struct manager *m, size_t *ret_n);

/* Who keeps a file system of a device that was removed; the newest incident's first. */
struct manager_pinned {
	uint64_t incident;
	const char *device; /* the disk, or what was removed */
	pid_t pid;
	char comm[DG_COMM_LEN];
	const char *path; /* of the mount that is left in his namespace; "" for none */
};
typedef void (*manager_pinned_func)(void *userdata, const struct manager_pinned *pinned);
void manager_foreach_pinned(struct manager *m, manager_pinned_func func, void *userdata);

/* Devices, as the last look at the topology found them (never during a hold). */
struct manager_mount {
	char *path; /* bytes */
	char type[DG_NAME_MAX];
	dg_dev_t dev;
};

struct manager_device {
	char name[DG_NAME_MAX];      /* pmem0, dax0.0 */
	char ns_device[DG_NAME_MAX]; /* pfn0.0 */
	char ns_name[DG_NAME_MAX];   /* namespace0.0; "" where it is not known */
	char region[DG_NAME_MAX], bus[DG_NAME_MAX], driver[DG_NAME_MAX];
	char uuid[DG_BOOT_ID_LEN]; /* "" for none */
	dg_dev_t dev;
	uint64_t diskseq; /* of a disk: of no other one since boot; 0: the kernel does not say it */
	enum dg_mode mode;
	uint64_t size;           /* bytes */
	int numa;                /* -1: not known */
	struct dg_layer *layers; /* built on it: partitions, dm, md */
	size_t n_layers;
	char **by_path; /* links in /dev/disk/by-path, NULL at the end; may be NULL */
	char **system;  /* reasons why it is a system device, NULL at the end; may be NULL */
	struct manager_mount *mounts;
	size_t n_mounts;
};
const struct manager_device *manager_devices(struct manager *m, size_t *ret_n);
/*
 * Takes its driver away in an orderly way: an incident that begins now, and that is known
 * by its id. force: also if it carries the system, but for "/", and if somebody stays who
 * uses it. -EBUSY: it is being removed already. -EPERM: it carries the system, see
 * device->system. -ENXIO: it has no driver to take away, or is not on the nd bus.
 * -ENOSPC: too many are under way. -ENOMEM.
 */
int manager_remove(struct manager *m, const struct manager_device *device, bool force,
		   uint64_t *ret_id);
/* Likewise, and nothing is done: 0, or why it would be refused. */
int manager_may_remove(struct manager *m, const struct manager_device *device, bool force);
/* The open incident that takes this device away, 0 for none. */
uint64_t manager_device_incident(struct manager *m, const struct manager_device *device);

/*
 * A process asks to be told before a device goes away, over a socket of its own. *ret_fd is
 * its end of that, the caller's to pass on and to close; when all of these are closed,
 * or the process ends, so does its registration. -EINVAL: such a name is none. -ESRCH: there is
 * no such process. -EPERM: it is another user's. -EDQUOT: the user has as many as he may.
 * -ENOSPC: all together have. -ENOMEM, and those of socketpair(2).
 */
struct manager_applicant {
	pid_t pid;
	uid_t uid;
	const char *name; /* "" for none */
};
int manager_register(struct manager *m, const struct manager_device *device,
		     const struct manager_applicant *who, int *ret_fd, uint64_t *ret_id);

struct manager_registration {
	const struct dg_registration *what;
	bool kept;         /* also if the daemon is started again */
	uint64_t incident; /* that it was told of, and that is open; 0: none */
	const char *state; /* waiting, or what came of telling it */
};
/* n: 0, 1, … until it returns false; the newest one first. */
bool manager_registration_at(struct manager *m, size_t n, struct manager_registration *ret);

/*
 * Who uses a device. The answer comes later, once, from the event loop: error
 * is 0 or a negative errno, -ETIME when the deadline passed. Rows are those
 * of the module, or of /proc without it (then fs is empty).
 */
typedef void (*manager_holders_func)(void *userdata, int error,
				     const struct dg_holder_list *holders,
				     const struct dg_fs_list *fs);
struct manager_query;
int manager_query_holders(struct manager *m, dg_dev_t dev, manager_holders_func func,
			  void *userdata, struct manager_query **ret);
struct manager_query *manager_query_cancel(struct manager_query *query); /* no callback any more */

/*
 * What a removal would come to, if it began now. Nothing is done to anybody, and
 * nobody is asked for anything while something is held.
 */
struct manager_question {
	dg_dev_t dev;
	pid_t pid;     /* 0: of all who use it; else also of this one, if it does not */
	uint32_t uses; /* bit per enum dg_use, as if these were its; 0: those that it has, or mapped
			*/
	bool by_user;  /* a removal by manager_remove(); else one that the kernel announces */
	bool forced;   /* … with force */
};
struct manager_answer {
	const struct dg_forecast *forecast;
	const struct dg_policy *policy;
	const struct dg_device_facts *facts;
	const struct dg_holder_list *holders; /* with the process that was asked for */
	const struct dg_mount_list *mounts;   /* NULL: not known, or there can be none */
	const struct dg_holder *process;      /* that was asked for; NULL: of all */
	bool holds;                           /* … and it uses the device */
	bool held;                            /* a removal would be held at all */
	bool truncated;                       /* there are more who use it than could be listed */
	size_t n_unknown;                     /* who could not be looked at, see manager-looks.c */
};
/*
 * Once, from the event loop, or when something is held; what answer leads to lives for the
 * call. error: 0, -EBUSY: something is held; -ESRCH: no such process; -ENODEV; -ETIME: somebody
 * did not answer in time; or another one.
 */
typedef void (*manager_forecast_func)(void *userdata, int error,
				      const struct manager_answer *answer);
struct manager_forecast;
/* Likewise, and then there is no answer. -EOPNOTSUPP: only the module could tell. */
int manager_forecast(struct manager *m, const struct manager_question *question,
		     manager_forecast_func func, void *userdata, struct manager_forecast **ret);
struct manager_forecast *manager_forecast_cancel(struct manager_forecast *forecast);

/*
 * Which ranges are bad, and which were. NULL: it is still being read, and nothing
 * can be said. Ranges whose seq is above *ret_written are not on the medium yet.
 */
const struct dg_ledger *manager_ledger(struct manager *m, uint64_t *ret_written);

/*
 * What becomes of the store of checkpoints. The answer comes once, from the event loop: error
 * is 0 or a negative errno, -ETIME when the deadline passed, -ENOENT when there is none of that
 * id, -EALREADY when somebody is at it; list, NULL on an error, is what there is, or what was to
 * go.
 */
typedef void (*manager_checkpoints_func)(void *userdata, int error,
					 const struct dg_stored_list *list);
struct manager_visit;
int manager_list_checkpoints(struct manager *m, manager_checkpoints_func func, void *userdata,
			     struct manager_visit **ret);
/* -EBUSY: something is held. -EALREADY: it is being restored. */
int manager_forget_checkpoint(struct manager *m, const char *id, manager_checkpoints_func func,
			      void *userdata, struct manager_visit **ret);
/* What is too much or too old by the configuration, and what is not whole. -EBUSY. */
int manager_prune_checkpoints(struct manager *m, manager_checkpoints_func func, void *userdata,
			      struct manager_visit **ret);
/* No answer; what removes something goes on. */
struct manager_visit *manager_visit_cancel(struct manager_visit *visit);

/* How the restore of a checkpoint has ended. */
struct manager_restored {
	const char *id;
	const char *result; /* ok, or why it was not: see daxguardctl(1) */
	const char *text;   /* more of it, bytes; "" for nothing */
	const char *pids;   /* "101 102": who goes on */
	bool by_return;     /* nobody asked: its device has returned */
};
typedef void (*manager_restore_func)(void *userdata, const struct manager_restored *restored);
struct manager_restore;
/*
 * Has its processes go on. force: also if a file has changed. The answer comes once, from the
 * event loop. -EBUSY: something is held. -EALREADY: it is being restored, or removed.
 */
int manager_restore(struct manager *m, const char *id, bool force, manager_restore_func func,
		    void *userdata, struct manager_restore **ret);
struct manager_restore *manager_restore_cancel(struct manager_restore *restore); /* goes on */

/* Incidents, open and over, by ascending id. n: 0, 1, … until it returns NULL. */
const struct dg_story *manager_incident_at(struct manager *m, size_t n);
const struct dg_story *manager_incident_find(struct manager *m, uint64_t id);

/* Who wants to be told. Arguments are valid for the call only. */
struct manager_observer {
	void (*incident_began)(void *userdata, const struct dg_story *story);
	void (*incident_changed)(void *userdata, const struct dg_story *story, enum dg_state old);
	void (*holder_acted)(void *userdata, const struct dg_story *story,
			     const struct dg_story_holder *holder,
			     const struct dg_story_action *action);
	/* of a memory failure: all that is known by now has been gone through */
	void (*failure_seen)(void *userdata, const struct dg_story *story);
	/* of a device: bad ranges that are good again; on the medium, if that could be written */
	void (*failures_repaired)(void *userdata, const char *device, uint64_t n_ranges,
				  uint64_t n_bytes);
	void (*checkpoint_restored)(void *userdata, const struct manager_restored *restored);
	void (*incident_ended)(void *userdata, const struct dg_story *story);
	void (*incident_forgotten)(void *userdata, uint64_t id);
	/* old: what manager_devices() said before */
	void (*devices_changed)(void *userdata, const struct manager_device *old, size_t n_old);
	void (*status_changed)(void *userdata);
};
/* One observer; NULL ends it. A function that is NULL is not called. */
void manager_observe(struct manager *m, const struct manager_observer *observer, void *userdata);
