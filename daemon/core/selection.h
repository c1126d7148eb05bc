/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The rules of a policy that may apply to a device, made ready for many
 * processes.
 *
 * What a rule says of the device and the event is looked at once. Of what it
 * says of a process one key is chosen by whose literal ends (or numbers) the
 * rule is found: a process is then compared with the few rules of which it
 * shares such an end, not with thousands. The answer is always that of asking
 * each rule in turn.
 */
#pragma once

#include "core/policy.h"

/* Longer literal ends are found by this many of their bytes. */
#define DG_ANCHOR_MAX 63

struct dg_selection {
	const struct dg_policy *policy; /* NULL: the built-in rules alone */
	uint32_t *rest;                 /* rules without an anchor, ascending */
	size_t n_rest;
	struct dg_anchor *anchors;
	size_t n_anchors;
	uint32_t *table; /* of chains of anchors, by hash; 0: none */
	size_t table_mask;
	/* Which lengths of anchors there are: at the begin, at the end. */
	uint64_t lengths[_DG_KEY_MAX][2];
};

/*
 * device: NULL for one of which nothing is known. Takes no reference: policy
 * must outlive the selection. -ENOMEM: *ret is untouched.
 */
int dg_selection_init(const struct dg_policy *policy, const struct dg_device_facts *device,
		      struct dg_selection *ret);
void dg_selection_done(struct dg_selection *selection); /* zeroed is fine */

/* Never NULL. */
const struct dg_rule *dg_selection_match(const struct dg_selection *selection,
					 const struct dg_process_facts *process);
