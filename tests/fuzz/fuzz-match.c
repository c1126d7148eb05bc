/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A process, a device and rules, each field ended by a NUL: bytes for the uses
 * and the ids, eight texts, and rule files. The way by the index must find the
 * rule that each of them asked in turn finds.
 */
#include <stdlib.h>
#include <string.h>

#include "core/selection.h"
#include "fuzz.h"

#define RULES_MAX 64

static const char *next_field(const char **at, const char *end, size_t *ret_n)
{
	const char *begin = *at, *nul;

	if (begin >= end)
		return NULL;
	nul = memchr(begin, 0, (size_t)(end - begin));
	if (!nul)
		return NULL;
	*ret_n = (size_t)(nul - begin);
	*at = nul + 1;
	return begin;
}

static void ignore(void *userdata, const struct dg_text_error *error)
{
}

/* A number that stands for most names, so that these are resolved or not. */
static int lookup(void *userdata, enum dg_key key, const char *name, uint32_t *ret_id)
{
	*ret_id = (uint8_t)name[0] & 7;
	return *ret_id == 0 ? -1 : 0;
}

static const struct dg_rule *ask_in_turn(const struct dg_policy *policy,
					 const struct dg_device_facts *device,
					 const struct dg_process_facts *process)
{
	const struct dg_rule *rule;
	struct dg_subject subject;
	struct dg_reason reason;

	dg_subject_init(&subject, device, process);
	for (size_t i = 0; (rule = dg_policy_rule_at(policy, i)); i++) {
		dg_rule_explain(rule, &subject, &reason);
		if (reason.verdict == DG_VERDICT_MATCHED)
			return rule;
	}
	abort();
}

static void compare(const struct dg_policy *policy, const struct dg_device_facts *device,
		    const struct dg_process_facts *process)
{
	struct dg_selection selection;

	if (dg_selection_init(policy, device, &selection) < 0)
		return;
	if (dg_selection_match(&selection, process) != ask_in_turn(policy, device, process))
		abort();
	dg_selection_done(&selection);
	if (!dg_policy_match_device(policy, device))
		abort();
}

static void add_rule(struct dg_policy *policy, const char *text, size_t n)
{
	struct dg_rule rule;

	if (dg_rule_parse("fuzz.policy", text, n, ignore, NULL, &rule) >= 0 &&
	    dg_policy_add(policy, &rule) < 0)
		dg_rule_done(&rule);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *at = (const char *)data, *end = at + size, *texts[8] = {}, *text;
	struct dg_policy *policy = dg_policy_new();
	struct dg_device_facts device;
	struct dg_process_facts process;
	size_t n = 0;
	gid_t gids[2];

	text = next_field(&at, end, &n);
	process = (struct dg_process_facts){
		.uses = n > 0 ? (uint8_t)text[0] & 0x1f : 0,
		.has_uid = n > 1,
		.uid = n > 1 ? (uint8_t)text[1] & 7 : 0,
		.gids = gids,
		.n_gids = n > 3 ? 2 : 0,
		.gids_complete = n != 2,
		.exempt = n > 4 ? DG_EXEMPT_SERVICE : DG_EXEMPT_NONE,
	};
	for (size_t i = 0; i < process.n_gids; i++)
		gids[i] = (uint8_t)text[2 + i] & 7;
	for (size_t i = 0; i < 8; i++)
		texts[i] = next_field(&at, end, &n);
	process.executable = texts[0];
	process.command = texts[1];
	process.unit = texts[2];
	process.user_unit = texts[3];
	process.cgroup = texts[4];
	process.container = texts[5];
	device = (struct dg_device_facts){
		.names = {texts + 6, texts[6] ? 1 : 0, true},
		.mount_points = {texts + 7, texts[7] ? 1 : 0, true},
		.drivers = {texts + 6, texts[7] ? 2 : 0, false},
	};
	for (size_t i = 0; policy && i < RULES_MAX && (text = next_field(&at, end, &n)); i++)
		add_rule(policy, text, n);
	if (policy) {
		dg_policy_resolve(policy, lookup, NULL);
		compare(policy, &device, &process);
	}
	dg_policy_unref(policy);
	return 0;
}
