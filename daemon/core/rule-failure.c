/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What stands behind the keys of [Device] that are for memory failures, but UnmapPoison=. */
#include "core/rule-private.h"

const char *dg_reaction_name(enum dg_reaction reaction)
{
	static const char *const names[_DG_REACTION_MAX] = {
		[DG_REACTION_NONE] = "none",
		[DG_REACTION_REMOVE] = "remove",
		[DG_REACTION_SYNC] = "sync",
		[DG_REACTION_EXEC] = "exec",
	};

	return (unsigned)reaction < _DG_REACTION_MAX ? names[reaction] : "unknown";
}

static int read_reaction(struct rule_parser *p, struct dg_piece value,
			 const enum dg_reaction among[static 3], const char *(*name)(unsigned),
			 enum dg_reaction *ret)
{
	unsigned i = 0;
	int r = 0;

	if (value.n > 0)
		r = rule_choose(p, value.text, value, "the action", name, 3, &i);
	if (r >= 0)
		*ret = among[i];
	return r;
}

static const enum dg_reaction to_metadata[] = {DG_REACTION_NONE, DG_REACTION_SYNC,
					       DG_REACTION_REMOVE};

static const char *to_metadata_name(unsigned i)
{
	return dg_reaction_name(to_metadata[i]);
}

int rule_read_metadata_failure(struct rule_parser *p, struct dg_piece value)
{
	return read_reaction(p, value, to_metadata, to_metadata_name, &p->device.metadata);
}

static const enum dg_reaction to_limit[] = {DG_REACTION_NONE, DG_REACTION_REMOVE, DG_REACTION_EXEC};

static const char *to_limit_name(unsigned i)
{
	return dg_reaction_name(to_limit[i]);
}

int rule_read_failure_action(struct rule_parser *p, struct dg_piece value)
{
	return read_reaction(p, value, to_limit, to_limit_name, &p->device.reaction);
}

/* "in 10min" */
static int read_within(struct rule_parser *p, struct dg_piece value, uint64_t *ret_us)
{
	const uint64_t min_us = 60000000;
	const char *at = value.text, *why;
	uint64_t us = 0;

	value = dg_piece_strip(value);
	if (!dg_piece_starts(value, "in") || value.n < 3 || !dg_is_blank(value.text[2]))
		return dg_ini_error(&p->ini, value.text, &p->error,
				    "a limit is a number of pages, as 10, or 10 in 5min");
	value = dg_piece_strip(dg_piece_skip(value, 2));
	why = dg_piece_time(value, &us, &at);
	if (why)
		return dg_ini_error(&p->ini, at, &p->error, "%s", why);
	if (us < 1000000 || us > DG_RULE_WITHIN_MAX_MIN * min_us)
		return dg_ini_error(&p->ini, value.text, &p->error,
				    "the time of a limit must be from 1 s to %u min",
				    DG_RULE_WITHIN_MAX_MIN);
	*ret_us = us;
	return 0;
}

int rule_read_failure_limit(struct rule_parser *p, struct dg_piece value)
{
	struct dg_limit limit = {};
	struct dg_piece rest;
	uint64_t pages = 0;
	int r = 0;

	p->device.limit = limit;
	if (value.n == 0)
		return 0;
	if (dg_piece_number(value, &pages, &rest) < 0 || pages < 1 || pages > DG_LIMIT_MAX)
		return dg_ini_error(&p->ini, value.text, &p->error,
				    "a limit is a number of pages, from 1 to %u", DG_LIMIT_MAX);
	limit.pages = (uint32_t)pages;
	if (rest.n > 0)
		r = read_within(p, rest, &limit.within_us);
	if (r >= 0)
		p->device.limit = limit;
	return r;
}
