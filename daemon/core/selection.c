/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "core/selection.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* A rule under one of its literal ends, or numbers. */
struct dg_anchor {
	uint64_t tag;
	uint32_t rule;
	uint32_t next; /* of the same slot of the table, by ascending rule; 0: none */
};

enum end { END_BEGIN, END_END };

/* A number tells as much as a name of this length. */
#define ID_WORTH 16

#define FNV_BASIS 0xcbf29ce484222325ULL
#define FNV_PRIME 0x100000001b3ULL

static uint64_t tag_begin(enum dg_key key, enum end end)
{
	return (FNV_BASIS ^ ((uint64_t)key << 1 | end)) * FNV_PRIME;
}

static uint64_t tag_byte(uint64_t tag, char c)
{
	return (tag ^ (unsigned char)c) * FNV_PRIME;
}

static uint64_t tag_of_id(enum dg_key key, uint32_t id)
{
	return (tag_begin(key, END_BEGIN) ^ id) * FNV_PRIME;
}

/* The high bits of a product depend on all of its factors' bits. */
static size_t slot_of(const struct dg_selection *selection, uint64_t tag)
{
	return (size_t)(tag ^ tag >> 32) & selection->table_mask;
}

static size_t anchor_length(const struct dg_pattern *pattern, enum end end)
{
	size_t n = end == END_BEGIN ? pattern->n_prefix : pattern->n_suffix;

	return n < DG_ANCHOR_MAX ? n : DG_ANCHOR_MAX;
}

static enum end better_end(const struct dg_pattern *pattern)
{
	return pattern->n_suffix > pattern->n_prefix ? END_END : END_BEGIN;
}

static uint64_t tag_of(enum dg_key key, const struct dg_pattern *pattern)
{
	enum end end = better_end(pattern);
	size_t n = anchor_length(pattern, end);
	uint64_t tag;

	if (pattern->kind == DG_PATTERN_ID)
		return tag_of_id(key, pattern->id);
	tag = tag_begin(key, end);
	for (size_t i = 0; i < n; i++)
		tag = tag_byte(tag, pattern->text[end == END_BEGIN ? i : pattern->n - 1 - i]);
	return tag;
}

/* What no process can match needs no anchor. */
static bool needs_anchor(const struct dg_pattern *pattern)
{
	return !pattern->unwanted && pattern->kind != DG_PATTERN_NAME;
}

/* How well a rule is found by this condition: by its worst pattern. 0: not at all. */
static size_t worth(const struct dg_condition *condition)
{
	size_t least = SIZE_MAX;

	if (!condition->wants || dg_key_is_device(condition->key) ||
	    condition->key == DG_KEY_ACCESS)
		return 0;
	for (size_t i = 0; i < condition->n_patterns; i++) {
		const struct dg_pattern *pattern = &condition->patterns[i];
		size_t n = pattern->kind == DG_PATTERN_ID
				   ? ID_WORTH
				   : anchor_length(pattern, better_end(pattern));

		if (needs_anchor(pattern) && n < least)
			least = n;
	}
	return least;
}

/* NULL: none will do, the rule is asked for each process. */
static const struct dg_condition *choose(const struct dg_match *match)
{
	const struct dg_condition *best = NULL;
	size_t most = 0;

	for (size_t i = 0; i < match->n_conditions; i++) {
		size_t n = worth(&match->conditions[i]);

		if (n > most) {
			most = n;
			best = &match->conditions[i];
		}
	}
	return best;
}

static size_t count_anchors(const struct dg_condition *condition)
{
	size_t n = 0;

	for (size_t i = 0; i < condition->n_patterns; i++)
		n += needs_anchor(&condition->patterns[i]);
	return n;
}

static void put_anchors(struct dg_selection *selection, uint32_t rule,
			const struct dg_condition *condition)
{
	for (size_t i = 0; i < condition->n_patterns; i++) {
		const struct dg_pattern *pattern = &condition->patterns[i];
		struct dg_anchor *anchor = &selection->anchors[selection->n_anchors];
		enum end end = better_end(pattern);
		size_t slot;

		if (!needs_anchor(pattern))
			continue;
		anchor->tag = tag_of(condition->key, pattern);
		anchor->rule = rule;
		slot = slot_of(selection, anchor->tag);
		anchor->next = selection->table[slot];
		selection->table[slot] = (uint32_t)++selection->n_anchors;
		if (pattern->kind != DG_PATTERN_ID)
			selection->lengths[condition->key][end] |= 1ULL
								   << anchor_length(pattern, end);
	}
}

/* What applies to the device, with what it is found by, in the rules' order. */
struct pick {
	uint32_t rule;
	const struct dg_condition *condition; /* NULL: none */
};

static size_t pick_rules(const struct dg_policy *policy, const struct dg_device_facts *device,
			 struct pick *picks, size_t *ret_n_anchors, size_t *ret_n_rest)
{
	struct dg_subject subject;
	size_t n = 0;

	dg_subject_init(&subject, device, NULL);
	*ret_n_anchors = *ret_n_rest = 0;
	for (size_t i = 0; i < policy->n_rules; i++) {
		const struct dg_match *match = &policy->rules[i].match;

		if (!dg_match_holds(match, &subject, DG_ASK_DEVICE, NULL))
			continue;
		picks[n] = (struct pick){(uint32_t)i, choose(match)};
		if (picks[n].condition)
			*ret_n_anchors += count_anchors(picks[n].condition);
		else
			++*ret_n_rest;
		n++;
	}
	return n;
}

static int allocate(struct dg_selection *selection, size_t n_anchors, size_t n_rest)
{
	size_t n_table = 16;

	while (n_table < n_anchors * 2)
		n_table *= 2;
	selection->table_mask = n_table - 1;
	selection->table = calloc(n_table, sizeof(*selection->table));
	selection->anchors = calloc(n_anchors + 1, sizeof(*selection->anchors));
	selection->rest = calloc(n_rest + 1, sizeof(*selection->rest));
	return selection->table && selection->anchors && selection->rest ? 0 : -ENOMEM;
}

int dg_selection_init(const struct dg_policy *policy, const struct dg_device_facts *device,
		      struct dg_selection *ret)
{
	struct dg_selection selection = {.policy = policy};
	size_t n_picks, n_anchors, n_rest;
	struct pick *picks;
	int r;

	picks = calloc(policy->n_rules + 1, sizeof(*picks));
	if (!picks)
		return -ENOMEM;
	n_picks = pick_rules(policy, device, picks, &n_anchors, &n_rest);
	r = allocate(&selection, n_anchors, n_rest);
	if (r < 0) {
		dg_selection_done(&selection);
		free(picks);
		return r;
	}
	for (size_t i = 0; i < n_picks; i++)
		if (!picks[i].condition)
			selection.rest[selection.n_rest++] = picks[i].rule;
	/* Backwards: each goes before those that are in its chain. */
	for (size_t i = n_picks; i-- > 0;)
		if (picks[i].condition)
			put_anchors(&selection, picks[i].rule, picks[i].condition);
	free(picks);
	*ret = selection;
	return 0;
}

void dg_selection_done(struct dg_selection *selection)
{
	free(selection->rest);
	free(selection->anchors);
	free(selection->table);
	*selection = (struct dg_selection){};
}

struct search {
	const struct dg_selection *selection;
	struct dg_subject subject;
	size_t best; /* the first rule so far that matches */
};

static bool try_rule(struct search *search, size_t rule)
{
	const struct dg_match *match = &search->selection->policy->rules[rule].match;

	if (!dg_match_holds(match, &search->subject, DG_ASK_PROCESS, NULL))
		return false;
	search->best = rule;
	return true;
}

static void try_tag(struct search *search, uint64_t tag)
{
	const struct dg_selection *selection = search->selection;
	const struct dg_anchor *anchor;

	for (uint32_t i = selection->table[slot_of(selection, tag)]; i > 0; i = anchor->next) {
		anchor = &selection->anchors[i - 1];
		if (anchor->rule >= search->best)
			return;
		if (anchor->tag == tag && try_rule(search, anchor->rule))
			return;
	}
}

static void try_text(struct search *search, enum dg_key key, struct dg_piece value, enum end end)
{
	uint64_t lengths = search->selection->lengths[key][end], tag = tag_begin(key, end);

	for (size_t n = 1; n <= value.n && lengths >> n != 0; n++) {
		tag = tag_byte(tag, value.text[end == END_BEGIN ? n - 1 : value.n - n]);
		if (lengths >> n & 1)
			try_tag(search, tag);
		if (n == DG_ANCHOR_MAX)
			return;
	}
}

static void try_anchors(struct search *search)
{
	const struct dg_process_facts *process = search->subject.process;

	for (enum dg_key key = 0; key < _DG_KEY_MAX; key++)
		for (size_t i = 0; i < search->subject.n_values[key]; i++) {
			try_text(search, key, search->subject.values[key][i], END_BEGIN);
			try_text(search, key, search->subject.values[key][i], END_END);
		}
	if (process->has_uid)
		try_tag(search, tag_of_id(DG_KEY_USER, process->uid));
	for (size_t i = 0; i < process->n_gids; i++)
		try_tag(search, tag_of_id(DG_KEY_GROUP, process->gids[i]));
}

const struct dg_rule *dg_selection_match(const struct dg_selection *selection,
					 const struct dg_process_facts *process)
{
	const struct dg_policy *policy = selection->policy ?: dg_policy_builtin();
	struct search search = {.selection = selection, .best = policy->n_rules};
	struct dg_reason reason;
	const struct dg_rule *rule;

	dg_subject_init(&search.subject, NULL, process);
	if (policy->n_rules > 0 && process->exempt == DG_EXEMPT_NONE) {
		try_anchors(&search);
		for (size_t i = 0; i < selection->n_rest; i++)
			if (selection->rest[i] >= search.best ||
			    try_rule(&search, selection->rest[i]))
				break;
		if (search.best < policy->n_rules)
			return &policy->rules[search.best];
	}
	/* What is left is built in: the protected, and what stands behind the files. */
	for (size_t i = 0;; i = i == 0 ? policy->n_rules + 1 : i + 1) {
		rule = dg_policy_rule_at(policy, i);
		dg_rule_explain(rule, &search.subject, &reason);
		if (reason.verdict == DG_VERDICT_MATCHED)
			return rule;
	}
}
