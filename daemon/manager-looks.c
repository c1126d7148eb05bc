/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A look at those whom a scan has found, for rules that ask for more than a scan
 * says: by steps, for a second of a scan and three of an incident at the most. The
 * scan's answer waits for it; who could not be looked at by then gets the rule
 * that he gets without, for good: the incident has a note of it. Whoever asks what
 * would become of them looks likewise.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "manager-internal.h"

#define LOOK_US 1000000ULL           /* of one scan */
#define LOOKS_US 3000000ULL          /* of an incident, or of a question */
#define LOOK_SHARE 4                 /* at most that part of the time that is left */
#define WORDS_MAX 3900               /* bytes that one step is told */
#define ARGS_MAX (WORDS_MAX / 8 + 2) /* "1:1:0" and its NUL are no less than 6 */

struct looks {
	struct looking *looking;
	struct dg_holder_list holders; /* of the scan */
	struct dg_fs_list fs;
	bool has_fs;
	size_t next; /* of the holders */
	uint64_t began_us, by_us;
	struct step *step;
	looks_func func;
	void *userdata;
};

struct looks *looks_free(struct looks *looks)
{
	if (!looks)
		return NULL;
	if (looks->step)
		step_cancel(looks->step);
	dg_holder_list_done(&looks->holders);
	dg_fs_list_done(&looks->fs);
	free(looks);
	return NULL;
}

void looking_done(struct looking *looking)
{
	dg_look_list_done(&looking->list);
}

static bool is_to_be_looked_at(const struct looking *looking, const struct dg_holder *holder)
{
	return holder->process.pid > 0 && holder->exempt == DG_EXEMPT_NONE &&
	       !dg_look_find(&looking->list, holder->process);
}

/* Who has ended as well; what is always there is the control group. */
static void count_unknown(struct looks *looks)
{
	size_t n = 0;

	for (size_t i = 0; i < looks->holders.n_items; i++) {
		const struct dg_holder *holder = &looks->holders.items[i];
		const struct dg_look *look = dg_look_find(&looks->looking->list, holder->process);

		if (holder->process.pid > 0 && holder->exempt == DG_EXEMPT_NONE)
			n += !look || !look->cgroup;
	}
	looks->looking->n_unknown = n;
}

static void finish(struct looks *looks)
{
	struct looking *looking = looks->looking;

	looking->spent_us += manager_now(looking->m) - looks->began_us;
	count_unknown(looks);
	looks->func(looks->userdata, &looks->holders, looks->has_fs ? &looks->fs : NULL);
}

static void on_step(void *userdata, const struct step_outcome *outcome);

/* 0: nobody is left, or there is no more time. */
static int ask_next(struct looks *looks)
{
	struct looking *looking = looks->looking;
	uint64_t now_us = manager_now(looking->m);
	const char *argv[ARGS_MAX + 1] = {"processes"};
	char words[WORDS_MAX];
	size_t n_args = 1, n = 0;
	int r;

	if (now_us >= looks->by_us)
		return 0;
	for (; looks->next < looks->holders.n_items && n_args < ARGS_MAX; looks->next++) {
		const struct dg_holder *holder = &looks->holders.items[looks->next];
		int size;

		if (!is_to_be_looked_at(looking, holder))
			continue;
		size = snprintf(words + n, sizeof(words) - n, "%d:%d:%" PRIu64, holder->process.pid,
				holder->tid ?: holder->process.pid, holder->process.start_ns);
		if ((size_t)size >= sizeof(words) - n ||
		    dg_look_add(&looking->list, holder->process) < 0)
			break;
		argv[n_args++] = words + n;
		n += (size_t)size + 1;
	}
	if (n_args == 1)
		return 0;
	argv[n_args] = NULL;
	r = step_start(looking->m->steps, argv, looks->by_us - now_us, on_step, looks,
		       &looks->step);
	if (r < 0)
		looking->m->n_lost_steps++;
	return r < 0 ? r : 1;
}

static void on_step(void *userdata, const struct step_outcome *outcome)
{
	struct looks *looks = userdata;

	looks->step = NULL;
	/* Without memory somebody stays unknown. */
	(void)!dg_look_read(&looks->looking->list, outcome->output, outcome->n_output);
	if (ask_next(looks) <= 0)
		finish(looks);
}

static int copy_fs(const struct dg_fs_list *from, struct dg_fs_list *to)
{
	*to = *from;
	to->items = calloc(from->n_items + 1, sizeof(*to->items));
	if (!to->items)
		return -ENOMEM;
	if (from->n_items > 0)
		memcpy(to->items, from->items, from->n_items * sizeof(*to->items));
	return 0;
}

static uint64_t time_for(const struct looking *looking, uint64_t deadline_us, uint64_t now_us)
{
	uint64_t left = LOOKS_US - looking->spent_us;
	uint64_t share = deadline_us > now_us ? (deadline_us - now_us) / LOOK_SHARE : 0;

	if (looking->spent_us >= LOOKS_US)
		return 0;
	if (left > LOOK_US)
		left = LOOK_US;
	return left < share ? left : share;
}

int looks_start(struct looking *looking, uint64_t deadline_us, struct dg_holder_list *holders,
		const struct dg_fs_list *fs, looks_func func, void *userdata, struct looks **ret)
{
	uint64_t now_us = manager_now(looking->m);
	uint64_t time_us = time_for(looking, deadline_us, now_us);
	struct looks *looks;
	int r;

	if (!looking->wanted || time_us == 0)
		return 0;
	looks = calloc(1, sizeof(*looks));
	if (!looks)
		return -ENOMEM;
	*looks = (struct looks){.looking = looking,
				.holders = *holders,
				.has_fs = fs != NULL,
				.began_us = now_us,
				.by_us = now_us + time_us,
				.func = func,
				.userdata = userdata};
	r = ask_next(looks);
	if (r > 0 && fs && copy_fs(fs, &looks->fs) < 0)
		r = -ENOMEM;
	if (r > 0) {
		*holders = (struct dg_holder_list){};
		*ret = looks;
		return 1;
	}
	/* There is nobody new, or no room, or no step to be had: then no more is tried. */
	if (r < 0 || looking->list.n_items >= DG_LOOKS_MAX) {
		looking->spent_us = LOOKS_US;
		count_unknown(looks);
	}
	looks->holders = (struct dg_holder_list){};
	looks_free(looks);
	return r;
}
