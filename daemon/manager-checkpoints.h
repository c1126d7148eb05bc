/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What is stored of processes, and comes back; for the manager-*.c files only.
 *
 *	manager-checkpoints.c  the store: what clients ask of it
 *	manager-restore.c      a checkpoint's processes go on
 *	manager-return.c       … when their device has returned
 */
#pragma once

#include "core/manifest.h"
#include "manager-internal.h"

struct returns;

struct checkpoints {
	struct manager_visit *visits;
	struct manager_restore *restores;
	struct returns *returns;
};

/* manager-checkpoints.c */
int checkpoints_new(struct manager *m); /* -ENOMEM, and those of sd_event_add_time(3) */
void checkpoints_free(struct manager *m);
/* Directories, to be freed: of the store, of what its units are asked and answer. NULL: no memory.
 */
char *checkpoints_dir(const struct manager *m);
char *checkpoints_run_dir(const struct manager *m);
/* Who asks for dumps now does not wait for the disk: prunes end with -EBUSY. */
void checkpoints_hold(struct manager *m);
bool checkpoints_removes(const struct manager *m, const char *id); /* it is being removed */

/* manager-restore.c */
/* by_return: nobody asked for it. Else as manager_restore(). */
int restore_start(struct manager *m, const char *id, bool force, bool by_return,
		  manager_restore_func func, void *userdata, struct manager_restore **ret);
/* Says it to the journal and to who listens. */
void restore_tell(struct manager *m, const struct manager_restored *restored);
bool restore_is_running(const struct manager *m, const char *id);
void restores_done(struct manager *m);

/* manager-return.c */
int returns_new(sd_event *event, struct manager *m, struct returns **ret);
struct returns *returns_free(struct returns *returns); /* NULL is fine; returns NULL */
void returns_devices(struct manager *m, const struct manager_device *old, size_t n_old);
void returns_go_on(struct manager *m);                  /* what kept it from the store is over */
void returns_forget(struct manager *m, const char *id); /* it is gone, or goes on */
void returns_hold(struct manager *m, bool holding);
