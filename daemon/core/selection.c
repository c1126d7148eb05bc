/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "core/selection.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* A rule under one of its literal parts, or numbers. */
struct dg_anchor {
	uint64_t tag;
	uint32_t rule;
	uint32_t next; /* of the same slot of the table, by ascending rule; 0: none */
};

/* A number tells as much as a name of this length. */
#define ID_WORTH 16

_Static_assert(1U << DG_USE_KERNEL <= 32, "a bit for each set of uses that a rule can name");

#define FNV_BASIS 0xcbf29ce484222325ULL
#define FNV_PRIME 0x100000001b3ULL

static uint64_t tag_begin(enum dg_key key, enum dg_part part)
{
	return (FNV_BASIS ^ ((uint64_t)key << 2 | part)) * FNV_PRIME;
}

static uint64_t tag_byte(uint64_t tag, char c)
{
	return (tag ^ (unsigned char)c) * FNV_PRIME;
}

static uint64_t tag_of_id(enum dg_key key, uint32_t id)
{
	return (tag_begin(key, DG_PART_BEGIN) ^ id) * FNV_PRIME;
}

/* Only those who use the device so are to find it. */
static uint64_t tag_with_uses(uint64_t tag, uint32_t uses)
{
	return (tag ^ uses) * FNV_PRIME;
}

/* The high bits of a product depend on all of its factors' bits. */
static size_t slot_of(const struct dg_selection *selection, uint64_t tag)
{
	return (size_t)(tag ^ tag >> 32) & selection->table_mask;
}

static size_t part_length(const struct dg_pattern *pattern, enum dg_part part)
{
	const size_t lengths[] = {
		[DG_PART_BEGIN] = pattern->n_prefix,
		[DG_PART_END] = pattern->n_suffix,
		[DG_PART_INSIDE] = pattern->n_inside,
	};

	return lengths[part] < DG_ANCHOR_MAX ? lengths[part] : DG_ANCHOR_MAX;
}

/* The longest one; an end, which is looked for at one place, if it is as long. */
static enum dg_part best_part(const struct dg_pattern *pattern)
{
	enum dg_part best = DG_PART_BEGIN;

	for (enum dg_part part = DG_PART_END; part < _DG_PART_MAX; part++)
		if (part_length(pattern, part) > part_length(pattern, best))
			best = part;
	return best;
}

/* Of what is inside a sum that can go on from byte to byte. */
static uint64_t roll(uint64_t sum, char c)
{
	return sum * FNV_PRIME + (unsigned char)c;
}

static uint64_t tag_of(enum dg_key key, const struct dg_pattern *pattern)
{
	enum dg_part part = best_part(pattern);
	size_t n = part_length(pattern, part);
	uint64_t tag = tag_begin(key, part), sum = 0;

	if (pattern->kind == DG_PATTERN_ID)
		return tag_of_id(key, pattern->id);
	if (part == DG_PART_INSIDE) {
		for (size_t i = 0; i < n; i++)
			sum = roll(sum, pattern->text[pattern->inside + i]);
		return tag ^ sum;
	}
	for (size_t i = 0; i < n; i++)
		tag = tag_byte(tag, pattern->text[part == DG_PART_BEGIN ? i : pattern->n - 1 - i]);
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
				   : part_length(pattern, best_part(pattern));

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

/* Those of which one is wanted; 0: any. */
static uint32_t wanted_uses(const struct dg_match *match)
{
	const struct dg_condition *condition = dg_match_find(match, DG_KEY_ACCESS);
	uint32_t uses = 0;

	for (size_t i = 0; condition && i < condition->n_patterns; i++)
		if (!condition->patterns[i].unwanted)
			uses |= 1U << condition->patterns[i].id;
	return uses;
}

static void put_anchors(struct dg_selection *selection, uint32_t rule,
			const struct dg_condition *condition)
{
	uint32_t uses = wanted_uses(&selection->policy->rules[rule].match);

	selection->uses |= 1U << uses;
	for (size_t i = 0; i < condition->n_patterns; i++) {
		const struct dg_pattern *pattern = &condition->patterns[i];
		struct dg_anchor *anchor = &selection->anchors[selection->n_anchors];
		enum dg_part part = best_part(pattern);
		size_t slot;

		if (!needs_anchor(pattern))
			continue;
		anchor->tag = tag_with_uses(tag_of(condition->key, pattern), uses);
		anchor->rule = rule;
		slot = slot_of(selection, anchor->tag);
		anchor->next = selection->table[slot];
		selection->table[slot] = (uint32_t)++selection->n_anchors;
		if (pattern->kind != DG_PATTERN_ID)
			selection->lengths[condition->key][part] |= 1ULL
								    << part_length(pattern, part);
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

	if (device)
		selection.event = device->event;
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
	uint32_t uses; /* of selection->uses those that apply */
	size_t best;   /* the first rule so far that matches */
};

static bool try_rule(struct search *search, size_t rule)
{
	const struct dg_match *match = &search->selection->policy->rules[rule].match;

	if (!dg_match_holds(match, &search->subject, DG_ASK_PROCESS, NULL))
		return false;
	search->best = rule;
	return true;
}

static void try_chain(struct search *search, uint64_t tag)
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

static void try_tag(struct search *search, uint64_t tag)
{
	for (uint32_t left = search->uses; left > 0; left &= left - 1)
		try_chain(search, tag_with_uses(tag, (uint32_t)__builtin_ctz(left)));
}

static void try_end(struct search *search, enum dg_key key, struct dg_piece value,
		    enum dg_part part)
{
	uint64_t lengths = search->selection->lengths[key][part], tag = tag_begin(key, part);

	for (size_t n = 1; n <= value.n && lengths >> n != 0; n++) {
		tag = tag_byte(tag, value.text[part == DG_PART_BEGIN ? n - 1 : value.n - n]);
		if (lengths >> n & 1)
			try_tag(search, tag);
		if (n == DG_ANCHOR_MAX)
			return;
	}
}

/* Every part of that length, wherever it begins. */
static void try_parts(struct search *search, enum dg_key key, struct dg_piece value, size_t length)
{
	uint64_t begin = tag_begin(key, DG_PART_INSIDE), sum = 0, first = 1;

	for (size_t i = 0; i < length; i++)
		first *= FNV_PRIME;
	for (size_t i = 0; i < value.n; i++) {
		sum = roll(sum, value.text[i]);
		if (i >= length)
			sum -= first * (unsigned char)value.text[i - length];
		if (i + 1 >= length)
			try_tag(search, begin ^ sum);
	}
}

static void try_text(struct search *search, enum dg_key key, struct dg_piece value)
{
	uint64_t lengths = search->selection->lengths[key][DG_PART_INSIDE];

	try_end(search, key, value, DG_PART_BEGIN);
	try_end(search, key, value, DG_PART_END);
	for (size_t n = 1; n <= DG_ANCHOR_MAX && lengths >> n != 0; n++)
		if (lengths >> n & 1)
			try_parts(search, key, value, n);
}

static void try_anchors(struct search *search)
{
	const struct dg_process_facts *process = search->subject.process;

	for (uint32_t uses = 0; uses < 1U << DG_USE_KERNEL; uses++)
		if (uses == 0 || uses & process->uses)
			search->uses |= search->selection->uses & 1U << uses;
	for (enum dg_key key = 0; key < _DG_KEY_MAX; key++)
		for (size_t i = 0; i < search->subject.n_values[key]; i++)
			try_text(search, key, search->subject.values[key][i]);
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
	const struct dg_device_facts device = {.event = selection->event};
	struct dg_reason reason;
	const struct dg_rule *rule;

	dg_subject_init(&search.subject, &device, process);
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
