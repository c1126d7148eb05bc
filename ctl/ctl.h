/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What every verb of daxguardctl is given, and what it may answer.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "table.h"

/* Exit status; part of the interface, see daxguardctl(1). */
enum ctl_exit {
	CTL_OK = 0,
	CTL_FAILURE = 1,
	CTL_USAGE = 2,
	CTL_NOT_RUNNING = 3,  /* no daemon answers */
	CTL_NOT_FOUND = 4,    /* no such device, process or incident */
	CTL_NOT_HELD = 5,     /* the daemon runs, but removals are not held */
	CTL_INVALID = 6,      /* a rule file, or the configuration, has an error */
	CTL_NOT_REMOVED = 7,  /* it was refused, or ended with the device where it was */
	CTL_GOES_ON = 8,      /* nobody watches the removal any more, and it goes on */
	CTL_NOT_RESTORED = 9, /* the processes of a checkpoint do not go on */
};

enum ctl_json {
	CTL_JSON_OFF,
	CTL_JSON_SHORT,  /* one line */
	CTL_JSON_PRETTY, /* for eyes */
};

struct ctl {
	const char *socket;
	enum ctl_json json;
	bool history;              /* of poison: what is over as well */
	struct table_style style;  /* of the outermost table */
	bool dry_run, no_progress; /* of remove */
	bool force;                /* of remove and restore */
	bool deletes, prunes;      /* of checkpoints */
};

struct ctl_verb {
	const char *name;
	const char *arguments; /* for the help text; "" for none */
	const char *help;
	int min_args, max_args;
	enum ctl_exit (*run)(const struct ctl *ctl, int argc, char *argv[]);
};

/* One of these in each verb-*.c. */
enum ctl_exit verb_status(const struct ctl *ctl, int argc, char *argv[]);
enum ctl_exit verb_list(const struct ctl *ctl, int argc, char *argv[]);
enum ctl_exit verb_holders(const struct ctl *ctl, int argc, char *argv[]);
enum ctl_exit verb_explain(const struct ctl *ctl, int argc, char *argv[]);
enum ctl_exit verb_incidents(const struct ctl *ctl, int argc, char *argv[]);
enum ctl_exit verb_show(const struct ctl *ctl, int argc, char *argv[]);
enum ctl_exit verb_monitor(const struct ctl *ctl, int argc, char *argv[]);
enum ctl_exit verb_poison(const struct ctl *ctl, int argc, char *argv[]);
enum ctl_exit verb_policy(const struct ctl *ctl, int argc, char *argv[]);
enum ctl_exit verb_remove(const struct ctl *ctl, int argc, char *argv[]);
enum ctl_exit verb_checkpoints(const struct ctl *ctl, int argc, char *argv[]);
enum ctl_exit verb_restore(const struct ctl *ctl, int argc, char *argv[]);
enum ctl_exit verb_reload(const struct ctl *ctl, int argc, char *argv[]);
enum ctl_exit verb_check_policy(const struct ctl *ctl, int argc, char *argv[]);

/* The verb of that name, or NULL; then ret_near is one that looks like it, or NULL. */
const struct ctl_verb *verb_find(const struct ctl_verb *verbs, size_t n_verbs, const char *name,
				 const char **ret_near);
