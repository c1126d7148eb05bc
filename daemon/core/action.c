/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "core/action.h"

#include <errno.h>
#include <signal.h>
#include <string.h>

static const struct {
	const char *name;
	uint32_t grace_ms;
} actions[_DG_ACTION_MAX] = {
	[DG_ACTION_LEAVE] = {"leave", 0},
	[DG_ACTION_NOTIFY] = {"notify", 3000},
	[DG_ACTION_SIGBUS] = {"sigbus", 2000},
	[DG_ACTION_EXEC] = {"exec", 5000},
	[DG_ACTION_STOP] = {"stop", 5000},
	[DG_ACTION_FREEZE] = {"freeze", 1000},
	[DG_ACTION_TERM] = {"term", 3000},
	[DG_ACTION_KILL] = {"kill", 1000},
	[DG_ACTION_CHECKPOINT] = {"checkpoint", 10000},
};

const char *dg_action_name(enum dg_action action)
{
	return (unsigned)action < _DG_ACTION_MAX ? actions[action].name : "unknown";
}

int dg_action_from_name(const char *name, enum dg_action *ret)
{
	for (unsigned i = 0; i < _DG_ACTION_MAX; i++)
		if (strcmp(name, actions[i].name) == 0) {
			*ret = i;
			return 0;
		}
	return -EINVAL;
}

uint32_t dg_action_grace_ms(enum dg_action action)
{
	return (unsigned)action < _DG_ACTION_MAX ? actions[action].grace_ms : 0;
}

static const char *sigbus_skipped(const struct dg_holder *holder)
{
	if (!dg_holder_uses(holder, DG_USE_MAPPED))
		return "not-mapped";
	if (!dg_holder_catches(holder, SIGBUS))
		return "no-handler";
	if (dg_holder_blocks(holder, SIGBUS))
		return "blocked";
	return NULL;
}

/* Blocked and ignored it would not even be pending. */
static const char *notify_skipped(const struct dg_holder *holder, int signo)
{
	if (holder->cooperates || dg_holder_catches(holder, signo))
		return NULL;
	if (dg_holder_blocks(holder, signo) && !dg_holder_ignores(holder, signo))
		return NULL;
	return "no-handler";
}

const char *dg_action_skipped(enum dg_action action, int signo, const struct dg_holder *holder)
{
	switch (action) {
	case DG_ACTION_SIGBUS:
		return sigbus_skipped(holder);
	case DG_ACTION_NOTIFY:
		return notify_skipped(holder, signo);
	case DG_ACTION_LEAVE:
	case DG_ACTION_EXEC:
	case DG_ACTION_STOP:
	case DG_ACTION_FREEZE:
	case DG_ACTION_CHECKPOINT:
	case DG_ACTION_TERM:
	case DG_ACTION_KILL:
	case _DG_ACTION_MAX:
	default:
		return NULL;
	}
}

bool dg_action_thaws(enum dg_action action)
{
	switch (action) {
	case DG_ACTION_NOTIFY:
	case DG_ACTION_SIGBUS:
	case DG_ACTION_STOP:
	case DG_ACTION_CHECKPOINT:
	case DG_ACTION_TERM:
	case DG_ACTION_KILL:
		return true;
	case DG_ACTION_LEAVE:
	case DG_ACTION_EXEC:
	case DG_ACTION_FREEZE:
	case _DG_ACTION_MAX:
	default:
		return false;
	}
}
