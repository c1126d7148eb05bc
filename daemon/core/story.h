/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * An incident as it is told: what `daxguardctl show` prints.
 *
 * Made of the events of its record, one after the other, whether they were
 * just written or are read back after a restart; so both tell the same, and
 * a new daemon knows from it who has had what. Events of an unknown kind, and
 * broken ones, are passed over. Times of the parts are monotonic microseconds.
 *
 * Kinds and keys of events:
 *
 *	begin    id kind boot_id device bus driver surprise taken_over unbinder
 *	         unbinder_start_ns elapsed_ms deadline_us cap_ms reserve_us
 *	         by_user forced
 *	target   name ns_device mode dev uuid in_use
 *	resume   state pid                        a new daemon goes on
 *	state    name
 *	job      name timeout_us                  something that may block begins
 *	step     name pid start_ns                the job runs in this process
 *	job-end  name end status took_us error
 *	mount    path type dev ns host locked pid result
 *	system   why                              what makes it a system device
 *	device-rule  name on_busy budget_ms restore    of the device, once it is chosen
 *	rule     name path line text              of a file, before its first holder; as a file
 *	holder   pid start_ns comm uid rule exempt mapped open cwd root exe bytes
 *	         addr fs_dev permille shared_with
 *	act      pid start_ns action grace_ms rung     before it is done
 *	acted    pid start_ns action outcome rung      after; and again when it is known what
 *	         unit status took_us output            came of it
 *	         checkpoint root_ns
 *	cooperate  pid start_ns outcome           it has registered: what came of telling it
 *	unit     action cgroup boot_ns         before it is done to all of a unit; after "thaw"
 *	freed    pid start_ns how                 unmapped, exited, or dg_entry_state_name()
 *	kernel   name device path                 loop, swap, nfsd: no process
 *	mark     name                             see enum dg_mark
 *	note     text
 *	done     result revoke inodes entries vmas pinned shutdowns held_us revoke_us
 *	end      state outcome
 *
 * … and of a memory failure alone:
 *
 *	failure  serial source flags type result start len disk_offset fs_dev ino
 *	         generation file_offset count told time_ns
 *	tell     pid start_ns action addr start len map…   before it is done: where it maps
 *	                                       the pages, each as address:length
 *	told     pid start_ns addr outcome
 *	place    offset len kind what fs_dev ino file_offset   what lies there on the disk
 *	file     fs_dev ino path no_path deleted elsewhere     of those places; see place.h
 *	untold   pid start_ns addr outcome     it was not: left alone, gone, or it failed
 *	missed   pid start_ns addr outcome start len map…  likewise: it is told again
 *	limit    bad new count pages within_us reached   how many pages are bad, and the limit
 *	reaction cause action rule outcome removal       waiting; begun, before it is done; and
 *	         status took_us output                   again when it is known what came of it
 */
#pragma once

#include "core/failure.h"
#include "core/history.h"
#include "core/place.h"
#include "core/plan.h"
#include "core/rule.h"
#include "core/told.h"

/* The states of an incident; the table is in incident.c. */
enum dg_state {
	DG_STATE_ANNOUNCED,
	DG_STATE_SYNCING,
	DG_STATE_SCANNING,
	DG_STATE_ACTING,
	DG_STATE_SETTLING,
	DG_STATE_UNMOUNTING,
	DG_STATE_VERIFYING,
	DG_STATE_ACKED,     /* the kernel revokes, since we said so */
	DG_STATE_REVOKING,  /* it does without having been told by us */
	DG_STATE_UNBINDING, /* nobody holds it: the driver is taken away */
	DG_STATE_DONE,      /* the kernel let go when we said so */
	DG_STATE_EXPIRED,   /* it let go on its own */
	DG_STATE_ABANDONED, /* it knows the hold no more, and did not say why */
	DG_STATE_STAYED,    /* nobody holds it, and the driver was not taken away */
	_DG_STATE_MAX,
};
const char *dg_state_name(enum dg_state state);
int dg_state_from_name(const char *name, enum dg_state *ret); /* -EINVAL */
bool dg_state_is_final(enum dg_state state);

/* What happened on the way and makes the outcome; bits of a set. */
enum dg_mark {
	DG_MARK_SYSTEM,            /* carries the system: nobody signalled */
	DG_MARK_MOUNTS_UNKNOWN,    /* could not be told: nobody signalled */
	DG_MARK_PROTECTED_UNKNOWN, /* likewise */
	DG_MARK_SYNC_FAILED,       /* not all data is known to be on the medium */
	DG_MARK_MOUNT_LOCKED,      /* a mount of a user namespace stays */
	DG_MARK_COVERED,           /* so does one below somebody else's mount */
	DG_MARK_KERNEL,            /* loop, swap, nfsd, md: not ours to end */
	DG_MARK_DETACHED,          /* shut down and detached under who was left there */
	DG_MARK_KEPT,              /* left mounted, as its rule wants it */
	DG_MARK_SHUT_DOWN,         /* the module shut down what had no path */
	DG_MARK_STILL_MAPPED,      /* somebody survived his ladder or is protected */
	DG_MARK_BUSY,              /* released with a live file system on it */
	DG_MARK_SCAN_FAILED,       /* nobody could say who uses it */
	DG_MARK_RELEASED,          /* RELEASE, not ACK, ended the hold */
	DG_MARK_ACKED,             /* ACK was accepted */
	DG_MARK_UNBIND_FAILED,     /* the driver could not be taken away */
	_DG_MARK_MAX,
};
const char *dg_mark_name(enum dg_mark mark);
int dg_mark_from_name(const char *name, enum dg_mark *ret); /* -EINVAL */

#define DG_STORY_HOLDERS_MAX 4096
#define DG_STORY_FAILURES_MAX 4096
#define DG_STORY_PLACES_MAX 1024
#define DG_STORY_PARTS_MAX 512 /* of each other kind */
#define DG_STORY_WORD 32

enum dg_story_kind {
	DG_STORY_REMOVAL,
	DG_STORY_FAILURE, /* of memory */
	_DG_STORY_KIND_MAX,
};
const char *dg_story_kind_name(enum dg_story_kind kind); /* "unknown" outside the range */

struct dg_story_state {
	enum dg_state state;
	uint64_t at_us, took_us; /* took: 0 while it lasts */
};

struct dg_story_job {
	char name[DG_STORY_WORD];
	struct dg_process process; /* pid 0: none of its own */
	uint64_t at_us, took_us;
	bool over;
	char end[DG_STORY_WORD]; /* ok, failed, timeout…; empty while it runs */
	int status;
	char *error; /* may be NULL */
};

/* Of a file; what it says, without whom it is for. */
struct dg_story_rule {
	char name[DG_NAME_MAX];
	char *path;    /* of its file, bytes; "" if it was not told */
	unsigned line; /* of Action=, there */
	char *text;
};

struct dg_story_action {
	enum dg_action action;
	uint32_t grace_ms;
	size_t rung;
	uint64_t at_us;
	uint64_t addr;               /* that a signal of a memory failure bears */
	char outcome[DG_STORY_WORD]; /* sent, no-handler, blocked, ESRCH…; empty: not known */
	char *unit;                  /* that it was done to; NULL: none */
	int status;                  /* of exec: its exit status, or signal */
	uint64_t took_us;            /* of exec and stop */
	char *output;                /* bytes that exec printed, or why it failed; may be NULL */
	char *checkpoint;            /* its ID; NULL: none was begun */
	uint64_t root_ns;            /* when that process began of whose tree it is */
};

/* Something that was done to all of a unit. */
struct dg_story_unit {
	char *cgroup;
	enum dg_action action;
	uint64_t boot_ns; /* when, suspend included: who started later had none of it */
	bool frozen;      /* by us, and not thawed yet */
};

struct dg_story_holder {
	struct dg_process process;
	char comm[DG_COMM_LEN];
	uid_t uid;
	char rule[DG_NAME_MAX];
	char exempt[DG_STORY_WORD]; /* "none" or why it is protected */
	uint32_t counts[_DG_USE_MAX];
	uint64_t mapped_bytes, addr;
	dg_dev_t fs_dev;
	uint32_t permille; /* of its graces that fitted; 1000: all */
	pid_t shared_with; /* another with the same memory, that leads; 0: none */
	uint64_t at_us;
	struct dg_story_action actions[DG_LADDER_MAX];
	size_t n_actions;
	uint64_t n_told; /* of a memory failure: how often something was done */
	/* It has registered: told, not-reading, done…; empty: it was not told. */
	char cooperation[DG_STORY_WORD];
	char how[DG_STORY_WORD]; /* as above; empty: not over */
	uint64_t over_us;
};

struct dg_story_mount {
	char *path; /* bytes; need not be UTF-8 */
	char type[DG_STORY_WORD];
	dg_dev_t dev; /* st_dev; 0: not known */
	uint64_t ns;  /* inode of the mount namespace */
	bool host, locked;
	pid_t pid;                  /* a process in it; 0: none */
	char result[DG_STORY_WORD]; /* ok, busy, locked…; empty: not tried */
};

struct dg_story_target {
	char name[DG_NAME_MAX];
	char ns_device[DG_NAME_MAX];
	dg_dev_t dev;
	enum dg_mode mode;
	char uuid[DG_BOOT_ID_LEN]; /* empty: none */
};

/* A range as the kernel has told of it. */
struct dg_story_failure {
	uint64_t serial;
	enum dg_failure_source source;
	uint32_t flags; /* DG_FAIL_* */
	char type[DG_FAILURE_WORD], result[DG_FAILURE_WORD];
	struct dg_range range;
	bool unaddressed; /* its begin is not known */
	bool has_disk_offset;
	uint64_t disk_offset;
	dg_dev_t fs_dev;           /* of the file */
	uint64_t ino, file_offset; /* ino 0: no file */
	uint64_t at_us;
};

/* Neighbours of which the same is known are one. */
struct dg_story_place {
	uint64_t offset, len; /* on the disk */
	enum dg_place_kind kind;
	char what[DG_STORY_WORD];
	dg_dev_t fs_dev;           /* 0: not known */
	uint64_t ino, file_offset; /* ino 0: no file */
};

struct dg_story_file {
	dg_dev_t fs_dev;
	uint64_t ino;
	char *path; /* bytes; NULL: none is known, and why: */
	char no_path[DG_STORY_WORD];
	bool deleted, elsewhere; /* see struct dg_place_file */
};

/* Pages of the namespace, for a device whose rule has a limit. */
struct dg_story_limit {
	bool known;
	uint64_t bad, new;     /* that are bad; that have become so in this incident */
	uint64_t count;        /* what is compared with the limit */
	struct dg_limit limit; /* of the rule */
	bool reached;          /* and so it remains until there are fewer */
	uint64_t at_us;
};

/* Why something is done about a memory failure. */
enum dg_cause {
	DG_CAUSE_METADATA, /* of a file system has failed */
	DG_CAUSE_LIMIT,    /* is reached */
	_DG_CAUSE_MAX,
};
const char *dg_cause_name(enum dg_cause cause); /* "unknown" outside the range */

struct dg_story_reaction {
	enum dg_reaction action;
	char rule[DG_NAME_MAX];
	char outcome[DG_STORY_WORD]; /* waiting, begun, asked, ok…; empty: nothing is done */
	uint64_t removal; /* the incident that was begun, or stands in the way; 0: none */
	int status;       /* of exec: its exit status, or signal */
	uint64_t took_us;
	char *output; /* bytes that exec printed, or why it failed; may be NULL */
};

struct dg_story {
	uint64_t id;
	enum dg_story_kind kind;
	char boot_id[DG_BOOT_ID_LEN];
	char device[DG_NAME_MAX], bus[DG_NAME_MAX], driver[DG_NAME_MAX];
	bool surprise, taken_over;
	bool by_user, forced; /* see struct dg_request */
	pid_t unbinder_pid;
	uint64_t unbinder_start_ns;
	uint64_t began_wall_us, began_us; /* of the hold, not of our first look */
	uint64_t ended_wall_us, ended_us; /* 0: it lasts */
	uint64_t deadline_us, reserve_us;
	uint32_t cap_ms;
	enum dg_state state;
	uint32_t marks;              /* bit per enum dg_mark */
	char outcome[DG_STORY_WORD]; /* empty while it lasts */
	bool has_done;
	struct dg_done done;
	unsigned resumes;  /* daemons that went on with it */
	bool knows_mounts; /* whether it is a system device has been found out */
	bool unrecorded;   /* the record on disk is not complete */
	size_t n_left_out; /* parts that were too many */
	struct dg_story_target *targets;
	size_t n_targets;
	struct dg_story_state *states;
	size_t n_states;
	struct dg_story_job *jobs;
	size_t n_jobs;
	char device_rule[DG_NAME_MAX]; /* empty: not chosen yet */
	enum dg_on_busy on_busy;
	uint32_t budget_ms; /* 0: what the kernel gives */
	bool restore;       /* who is checkpointed is to go on when the device is back */
	struct dg_story_rule *rules;
	size_t n_rules;
	struct dg_story_holder *holders;
	size_t n_holders;
	struct dg_story_mount *mounts;
	size_t n_mounts;
	struct dg_story_unit *units;
	size_t n_units;
	char **notes;
	size_t n_notes;
	struct dg_story_failure *failures; /* the first of them */
	size_t n_failures;
	uint64_t n_failed, failed_bytes; /* all of them */
	struct dg_story_place *places;   /* the first of them */
	size_t n_places;
	struct dg_story_file *files; /* likewise */
	size_t n_files;
	struct dg_story_limit limit;
	struct dg_story_reaction reactions[_DG_CAUSE_MAX];
};

/*
 * DG_STORY_LEFT_OUT: there are too many of its kind, or it belongs to one that
 * was left out. -ENOMEM; the story is then without that event.
 */
#define DG_STORY_LEFT_OUT 1
int dg_story_add(struct dg_story *story, const struct dg_history_event *event);

/* A whole record, as read from a file. Lines that are none are passed over. -ENOMEM. */
int dg_story_read(const char *text, size_t n_text, struct dg_story *ret);
void dg_story_done(struct dg_story *story);

/* What the ledger calls the namespace of the first target. NULL: there is none. */
const char *dg_story_namespace(const struct dg_story *story);

/* Who was told, by the record of a memory failure. -ENOMEM. */
int dg_told_read(struct dg_told_list *told, const char *text, size_t n_text);

/* NULL: not in it. */
const struct dg_story_rule *dg_story_find_rule(const struct dg_story *story, const char *name);

/* NULL: not in it (there may have been too many). */
const struct dg_story_holder *dg_story_find_holder(const struct dg_story *story,
						   struct dg_process process);

/* NULL: not in it (likewise). */
const struct dg_story_file *dg_story_find_file(const struct dg_story *story, dg_dev_t fs_dev,
					       uint64_t ino);

/* The last time that this was done to this unit, or NULL. */
const struct dg_story_unit *dg_story_find_unit(const struct dg_story *story, const char *cgroup,
					       enum dg_action action);
