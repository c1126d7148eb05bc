/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The rules of a policy that may apply to a device, made ready for many
 * processes.
 *
 * What a rule says of the device and the event is looked at once. Of what it
 * says of a process one key is chosen by whose literal parts (or numbers),
 * together with the uses that it asks for, the rule is found: a process is then
 * compared with the few rules of which it has such a part, not with thousands.
 * The answer is always that of asking each rule in turn.
 */
#pragma once

#include "core/policy.h"

/* Longer literal parts are found by this many of their bytes. */
#define DG_ANCHOR_MAX 63

/* Where in a value a literal part must be. */
enum dg_part {
	DG_PART_BEGIN,
	DG_PART_END,
	DG_PART_INSIDE, /* anywhere */
	_DG_PART_MAX,
};

struct dg_selection {
	const struct dg_policy *policy; /* NULL: the built-in rules alone */
	enum dg_rule_event event;       /* of the device */
	uint32_t *rest;                 /* rules without an anchor, ascending */
	size_t n_rest;
	struct dg_anchor *anchors;
	size_t n_anchors;
	uint32_t *table; /* of chains of anchors, by hash; 0: none */
	size_t table_mask;
	/* Which lengths of anchors there are. */
	uint64_t lengths[_DG_KEY_MAX][_DG_PART_MAX];
	uint32_t uses; /* bit per set of uses that anchors are for; 0: any use */
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
