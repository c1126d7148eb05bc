/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One removal, from the announcement to the end of the hold: what is to be
 * done next, as a table of states.
 *
 * Nothing here acts. Every function takes an input (a job has ended, a scan, a
 * timer, a word from the kernel) with the time, and fills a list of effects
 * that the caller carries out in order; what they bring comes back as inputs.
 * After each, the caller calls dg_incident_timer() at incident.wake_us.
 *
 * A removal that is asked for in user space (request.by_user) goes the same way
 * without the kernel: nothing is held, so there is nothing to take, to extend or to
 * answer. What is in use then stays as it is; else the driver is taken away.
 *
 * The table, its order and what a new daemon does in each state are at the
 * top of incident.c. Times are monotonic microseconds.
 */
#pragma once

#include "core/mount.h"
#include "core/story.h"

/* What takes time. All but the last two run in a process of their own. */
enum dg_job {
	DG_JOB_SYNC,      /* through a path; thaws what is frozen */
	DG_JOB_MOUNTS,    /* what is mounted where; is it a system device */
	DG_JOB_PROTECTED, /* who must not be signalled */
	DG_JOB_CLAIM,     /* nobody mounts it again; goes on until it is canceled */
	DG_JOB_UNMOUNT,
	DG_JOB_SHUTDOWN,    /* sync and shut down, through a path */
	DG_JOB_DETACH,      /* unmount lazily */
	DG_JOB_PROCSCAN,    /* the fallback of SCAN */
	DG_JOB_UNBIND,      /* takes the driver away, where nobody else does */
	DG_JOB_SCAN,        /* in the module, as all that follow */
	DG_JOB_KERNEL_SYNC, /* what no path leads to */
	DG_JOB_KERNEL_SHUTDOWN,
	_DG_JOB_MAX,
};
const char *dg_job_name(enum dg_job job);

enum dg_job_end {
	DG_JOB_OK,
	DG_JOB_FAILED,
	DG_JOB_TIMEOUT,
	_DG_JOB_END_MAX,
};
const char *dg_job_end_name(enum dg_job_end end);

enum dg_effect_kind {
	DG_EFFECT_ENTER,       /* note: the incident is in .state now */
	DG_EFFECT_MARK,        /* note: .mark */
	DG_EFFECT_NOTE,        /* note: .note */
	DG_EFFECT_HOLDER,      /* note plan entry .entry, and watch its process */
	DG_EFFECT_DEED,        /* note and do .deed */
	DG_EFFECT_FREED,       /* note: entry .entry is over, .note says how */
	DG_EFFECT_JOB,         /* start .job; dg_incident_job_ended() within .timeout_us */
	DG_EFFECT_CANCEL,      /* stop all jobs; they do not end any more */
	DG_EFFECT_TAKE,        /* say so to the kernel; dg_incident_answered() */
	DG_EFFECT_ACK,         /* likewise */
	DG_EFFECT_RELEASE,     /* likewise */
	DG_EFFECT_DEVICE_RULE, /* note: .device_rule of the incident is in force */
	DG_EFFECT_EXTEND,      /* ask the kernel for .timeout_us from now, and for what it gives */
	DG_EFFECT_PENDING,     /* does the kernel still know it? dg_incident_seen() or _gone() */
	DG_EFFECT_END,         /* it is over: .state and .note, the outcome; dg_incident_end_of() */
};

struct dg_effect {
	enum dg_effect_kind kind;
	enum dg_state state;
	enum dg_mark mark;
	size_t entry;
	struct dg_deed deed;
	enum dg_job job;
	uint64_t timeout_us;
	const char *note;
};

/*
 * What comes in numbers (holders, deeds) is 64 of one input at the most, so that
 * to carry it out takes no long time; the rest is due again at once. The room
 * beyond is for what comes singly.
 */
#define DG_EFFECTS_MANY 64
#define DG_EFFECTS_MAX 256
struct dg_effects {
	struct dg_effect items[DG_EFFECTS_MAX];
	size_t n_items;
};

/* What the last scan and the last look at the mounts said. */
struct dg_findings {
	bool scanned;       /* somebody could say */
	bool truncated;     /* but not all of it */
	size_t n_processes; /* with any use, our own steps left out */
	size_t n_mapped;    /* of these, that map it */
	size_t n_kernel;    /* uses without a process */
	bool has_fs;        /* the rest is known */
	bool live_mounted, live_pathless, dying, unknown;
};

struct dg_incident {
	struct dg_request request;
	enum dg_state state;
	enum dg_state first;  /* after announced: syncing, or where to go on */
	uint64_t began_us;    /* the hold */
	uint64_t given_us;    /* until when the kernel holds it */
	uint64_t deadline_us; /* ours: that, or less by Budget= */
	uint64_t reserve_us, step_timeout_us;
	uint64_t wake_us; /* UINT64_MAX: no timer */
	uint32_t marks;   /* bit per enum dg_mark */
	uint32_t running; /* bit per enum dg_job */
	enum dg_job_end ends[_DG_JOB_MAX];
	bool has_block;       /* a target is a block device */
	bool taken;           /* the kernel has agreed that we work on it */
	bool asked, answered; /* an answer of the kernel is awaited; is there */
	int answer;
	bool knows_mounts;
	bool pathless; /* the last look at the mounts found none */
	/* What the last try to unmount left: all that nobody can take, and what of it. */
	bool stuck, locked, by_kernel;
	bool noted_cut, noted_full;
	bool by_proc, blind; /* the module cannot scan; nobody can */
	struct dg_findings findings;
	struct dg_plan plan;
	uint64_t scan_began_us, scan_due_us, scan_gap_us;
	unsigned phase;    /* within a state */
	unsigned n_rounds; /* times that settled holders were followed by new ones */
	unsigned n_unmounts, n_remounts, n_looks;
	uint64_t retry_us;   /* 0: none */
	uint64_t overdue_us; /* when to ask the kernel whether it knows it still */
	/* NULL: not chosen yet, or by a daemon before us. */
	const struct dg_device_rule *device_rule;
	bool has_device_rule;
	enum dg_on_busy on_busy;
	uint32_t budget_ms;     /* 0: what the kernel gives */
	bool extended;          /* more time was asked for */
	bool kept;              /* somebody uses it, and it is left to him */
	bool carries_root;      /* the file system of "/" is on it */
	struct dg_rule **begun; /* whose ladders an earlier daemon began with */
	size_t n_begun;
	bool has_done;
	struct dg_done done;
	const char *outcome; /* NULL while it lasts */
};

struct dg_incident_limits {
	uint64_t reserve_us, step_timeout_us;
};

/* -ENOMEM. policy must outlive the incident; request is copied. */
int dg_incident_init(struct dg_incident *incident, const struct dg_request *request,
		     const struct dg_policy *policy, const struct dg_incident_limits *limits,
		     uint64_t now_us);
void dg_incident_done(struct dg_incident *incident);

/*
 * Begins. story: what an earlier daemon wrote of it, or NULL. A story that is
 * broken or of another boot counts as none. -ENOMEM.
 */
int dg_incident_start(struct dg_incident *incident, const struct dg_story *story, uint64_t now_us,
		      struct dg_effects *effects);

/*
 * What is known of the devices, as often as there is more; after the start, and
 * before anybody is scanned. Holders that come from now on get the rules that
 * are for it; its own rule is chosen when its mounts are known. -ENOMEM: the
 * built-in ones alone are in force.
 */
int dg_incident_choose(struct dg_incident *incident, const struct dg_device_facts *device,
		       struct dg_effects *effects);

/* Inputs. Those that come too late, for a job that was cancelled, change nothing. */
void dg_incident_job_ended(struct dg_incident *incident, enum dg_job job, enum dg_job_end end,
			   uint64_t now_us, struct dg_effects *effects);
/* SCAN or PROCSCAN has ended well. fs: NULL where it is not known. -ENOMEM: as a failed scan. */
int dg_incident_scanned(struct dg_incident *incident, enum dg_job job,
			const struct dg_holder_list *holders, const struct dg_fs_list *fs,
			uint64_t now_us, struct dg_effects *effects);
/* What MOUNTS, UNMOUNT or DETACH printed; before dg_incident_job_ended(). */
void dg_incident_mounts(struct dg_incident *incident, enum dg_job job,
			const struct dg_mount_list *mounts, struct dg_effects *effects);
void dg_incident_exited(struct dg_incident *incident, struct dg_process process, uint64_t now_us,
			struct dg_effects *effects);
/* The deed could not be done at this moment, see dg_plan_missed(). */
void dg_incident_missed(struct dg_incident *incident, const struct dg_deed *deed, uint64_t now_us);
/*
 * What was begun for a process, and how it has ended, see dg_plan_awaited(). No effects: what
 * comes of it is due at once.
 */
void dg_incident_await(struct dg_incident *incident, struct dg_process process);
void dg_incident_awaited(struct dg_incident *incident, struct dg_process process, size_t rung,
			 bool well, uint64_t now_us);
/*
 * Somebody says that he has let go: the next look is due now. No effects, see
 * dg_incident_seen(); and it proves nothing, the look does.
 */
void dg_incident_look_soon(struct dg_incident *incident, uint64_t now_us);
void dg_incident_timer(struct dg_incident *incident, uint64_t now_us, struct dg_effects *effects);
/* To TAKE, ACK or RELEASE: 0 or a negative errno. */
void dg_incident_answered(struct dg_incident *incident, int error, uint64_t now_us,
			  struct dg_effects *effects);
/* The kernel has named it again. No effects: what comes of it is due at once. */
void dg_incident_seen(struct dg_incident *incident, const struct dg_request *request,
		      uint64_t now_us);
void dg_incident_ended(struct dg_incident *incident, const struct dg_done *done, uint64_t now_us,
		       struct dg_effects *effects);
/* The kernel does not know it any more. */
void dg_incident_gone(struct dg_incident *incident, uint64_t now_us, struct dg_effects *effects);

/*
 * The kernel holds it still though its time is over by far: the daemon makes
 * no progress with it. What the revoke takes is the kernel's own time.
 */
bool dg_incident_is_stuck(const struct dg_incident *incident, uint64_t now_us);

/* What is told when the kernel has forgotten a hold that was in this state. */
enum dg_state dg_state_when_gone(enum dg_state state, uint32_t marks);

/*
 * How plan entry n ended, once: NULL if that is noted already. It is asked for all
 * of them at DG_EFFECT_END; that of those who were too many came with no effect.
 */
const char *dg_incident_end_of(struct dg_incident *incident, size_t n);

/* The outcome's name. done: NULL where it was not heard. */
const char *dg_outcome(enum dg_state state, uint32_t marks, const struct dg_done *done);

/* How the kernel ended the hold: what DONE said or, unheard, what we know of it. */
enum dg_result dg_result(enum dg_state state, uint32_t marks, const struct dg_done *done);

/* Where a new daemon goes on when the record ends in this state. */
enum dg_state dg_state_resume(enum dg_state state);
