/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A restore, from its request to the end of the checkpoint. */
#pragma once

#include "checkpoint/criu-run.h"
#include "checkpoint/result.h"
#include "step/service-manager.h"

struct restore {
	struct request *request;
	struct result *result;
	const char *criu;
	int proc_fd;
	int store_fd;
	int checkpoint_fd; /* locked */
	struct service_manager *manager;
	char scope[CHECKPOINT_NAME_MAX];
	struct dg_manifest manifest;
};

/* Always leaves a result. */
void restore_run(struct request *request, struct result *result);

/* restore-checks.c: that it can be done. -ECANCELED: the result says why not. */
int restore_check(struct restore *restore);

/* A part of that: their unit does not run, nor is it to. */
int restore_check_unit(struct restore *restore);

/* Whatever of it is there goes; for who comes after our death, too. */
void restore_abandon(struct request *request, const char *why);
