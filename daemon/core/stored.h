/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Checkpoints of processes, as the steps `checkpoints` and `forget` tell of the store.
 *
 * The strings lie in the step's output and live as long as it does; what it does
 * not say is "" or 0.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* A file system on a device that it had files of. */
struct dg_stored_mount {
	const char *path; /* bytes */
	const char *uuid; /* of the namespace; "" for none */
};

struct dg_stored {
	const char *id;
	const char *state;  /* whole, part, broken; of what is to go: removed, busy, failed */
	const char *result; /* of failed: an errno's name */
	const char *comm;   /* bytes, of the root of the tree */
	const char *unit, *scope, *rule, *criu;
	uint64_t incident, time_us, bytes, dump_us;
	pid_t pid;
	bool has_uid;
	uid_t uid;
	bool restore; /* when the device returns */
	struct dg_stored_mount *mounts;
	size_t n_mounts;
};

struct dg_stored_list {
	struct dg_stored *items; /* the oldest first */
	size_t n_items;
};

bool dg_stored_is_whole(const struct dg_stored *stored);

/* Records of an unknown form are passed over. -EBADMSG: no records. -ENOMEM. */
int dg_stored_list_read(const char *output, size_t n_output, struct dg_stored_list *ret);
void dg_stored_list_done(struct dg_stored_list *list);
