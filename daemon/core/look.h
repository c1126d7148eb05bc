/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What looks at processes have found of them, for rules that ask for it: the
 * records of the step `processes`, kept as long as the incident lasts.
 *
 * A process is looked at once. What could not be told then stays unknown, so
 * that its rule does not change from one scan to the next.
 */
#pragma once

#include "core/container.h"
#include "core/policy.h"
#include "core/unit.h"

#define DG_LOOKS_MAX 1024 /* processes that are looked at in one incident */

struct dg_look {
	struct dg_process process;
	struct dg_process_facts facts;  /* all unknown: nobody could say */
	struct dg_unit unit, user_unit; /* without a name: in none */
	char container[DG_CONTAINER_NAME_MAX];
	char *executable, *cgroup;
	gid_t *gids;
};

struct dg_look_list {
	struct dg_look **items; /* by ascending pid */
	size_t n_items;
};

/* A rule of a file asks for what only such a look can tell. */
bool dg_policy_asks_for_looks(const struct dg_policy *policy);

/* That it is looked at, whatever comes of it. -ENOMEM. -E2BIG: DG_LOOKS_MAX. */
int dg_look_add(struct dg_look_list *list, struct dg_process process);
/* What a step printed of those who were added. Its records may end anywhere. -ENOMEM. */
int dg_look_read(struct dg_look_list *list, const char *output, size_t n_output);
void dg_look_list_done(struct dg_look_list *list);

/* NULL: not looked at. */
const struct dg_look *dg_look_find(const struct dg_look_list *list, struct dg_process process);
/* Holders of whom something is known are told so; it lies in the list. */
void dg_look_attach(const struct dg_look_list *list, struct dg_holder_list *holders);
