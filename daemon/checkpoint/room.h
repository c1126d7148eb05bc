/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Whether a dump fits into the time and the room that there are. */
#pragma once

#include "checkpoint/result.h"
#include "checkpoint/tree.h"

/* -ECANCELED: "too-big". */
int room_check(const struct request *request, int store_fd, int proc_fd, const struct tree *tree,
	       struct result *result);

/*
 * Of one that is written, and has no name yet: -ECANCELED likewise. The store is locked
 * (lock.h), so that none gets a name meanwhile.
 */
int room_check_written(const struct request *request, int store_fd, uint64_t bytes,
		       struct result *result);

/* What this one has taken, for the next. */
void room_learn(int store_fd, uint64_t bytes, uint64_t took_us);
