/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What came of it: a word and a text. Who cannot go on says why, and returns what
 * result_end() returns, so that everybody above ends, too.
 */
#pragma once

#include "checkpoint/request.h"

#define RESULT_TEXT_MAX 1024

struct result {
	const char *word; /* NULL: not known yet */
	char text[RESULT_TEXT_MAX];
	char of[DG_CHECKPOINT_ID_MAX]; /* "with": the other checkpoint */
	char criu[32];                 /* version */
	uint64_t bytes, dump_us;
	char *pids; /* "4711 4712" */
};

/* -ECANCELED. */
__attribute__((format(printf, 3, 4))) int result_end(struct result *result, const char *word,
						     const char *format, ...);
/* Likewise, for what failed with this error: "no-space" or "failed". */
int result_end_error(struct result *result, const char *what, int error);

/* Who is dumped, or restored. */
void result_add_pid(struct result *result, pid_t pid);
void result_add_processes(struct result *result, const struct dg_manifest *manifest);

/* Written where the step waits for it. */
int result_write(const struct result *result, const struct request *request);
void result_done(struct result *result);
