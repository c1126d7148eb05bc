/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a step wants of us: the verbs `checkpoint` and `restore` of step/main.c, as it
 * has written it down, and until when.
 */
#pragma once

#include "step/checkpoint-run.h"

struct request {
	enum checkpoint_run run;
	struct dg_checkpoint_id id;
	char id_text[DG_CHECKPOINT_ID_MAX];
	uint64_t deadline_us;
	const char *address; /* of the service manager */
	const char *dir;     /* the store */
	int run_fd;          /* where requests and results are */
	/* Of a dump. */
	uint64_t start_ns;
	const char *comm;
	const char *unit;    /* or NULL */
	char *restored_unit; /* what unit points to if the process was restored before */
	const char *rule;
	uint32_t uid;
	enum dg_scope scope;
	bool trusted; /* nobody in it need be root */
	bool restore;
	uint64_t max_bytes, keep_free;
	pid_t *holders;
	size_t n_holders;
	pid_t *protected;
	size_t n_protected;
	dg_dev_t *guarded;
	size_t n_guarded;
	struct dg_manifest_mount *mounts;
	size_t n_mounts;
	/* Of a restore. */
	bool force;
	const char *journal; /* where journald takes streams */
	char *text;
};

/* path: of the file, absolute; the result goes beside it. -EBADMSG: no such request. */
int request_read(enum checkpoint_run run, const char *path, struct request *ret);
void request_done(struct request *request);
