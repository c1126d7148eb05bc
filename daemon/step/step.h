/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * daxguard-step: one verb, one process, records on stdout.
 *
 * A step may block; the daemon that started it may not, and kills it at its
 * deadline. So whatever a verb has found or done is written at once, and
 * what it does can be done again: nothing is kept between two steps.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "core/record.h"

/* Exit statuses; also in daxguard-step(8). */
#define STEP_EXIT_OK 0
#define STEP_EXIT_LEFT 1 /* something could not be done; the records say what */
#define STEP_EXIT_USAGE 2
#define STEP_EXIT_FAILURE 3 /* could not work at all; stderr says why */

struct step {
	const char *sys; /* where sysfs is */
	int proc_fd;     /* the host's /proc, also after setns() into some namespace */
	int home_fd;     /* the mount namespace that we came from; -1: not known */
	dg_dev_t *devs;
	size_t n_devs;
	char **words; /* of a verb that takes no devices but others */
	size_t n_words;
	struct dg_record_writer writer;
};

bool step_has_dev(const struct step *step, dg_dev_t dev);
dg_dev_t step_dev(dev_t dev); /* of stat(2) and mountinfo */

/* Back to the mount namespace that we came from. */
void step_go_home(const struct step *step);

/* Close the record and write it out. Negative errno: there is no memory, or nobody reads. */
int step_emit(struct step *step);
int step_write(const char *records, size_t n);

/* Be the program whose name is ours with this suffix, for this verb without arguments. */
int step_exec_other(struct step *step, const char *suffix, const char *verb);

/* "ok" for 0, "EBUSY" for -EBUSY. */
const char *step_result(int r);

/* The verbs, see main.c; each returns an exit status or a negative errno. */
int verb_checkpoint(struct step *step);
int verb_checkpoints(struct step *step);
int verb_claim(struct step *step); /* does not return */
int verb_criu(struct step *step);
int verb_detach(struct step *step);
int verb_forget(struct step *step);
int verb_hook(struct step *step);
int verb_ledger(struct step *step);
int verb_mounts(struct step *step);
int verb_names(struct step *step);
int verb_place(struct step *step);
int verb_processes(struct step *step);
int verb_procscan(struct step *step);
int verb_protected(struct step *step);
int verb_repaired(struct step *step);
int verb_restore(struct step *step);
int verb_shutdown(struct step *step);
int verb_stop(struct step *step);
int verb_sync(struct step *step);
int verb_topology(struct step *step);
int verb_unbind(struct step *step);
int verb_unmount(struct step *step);
int verb_who(struct step *step);
