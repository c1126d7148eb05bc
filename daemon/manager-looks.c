/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A look at those whom a scan has found, for rules that ask for more than a scan
 * says: by steps, for half a second of a scan and two of an incident at the most.
 * The scan's answer waits for it; who could not be looked at by then gets the
 * rule that he gets without.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "manager-internal.h"

#define LOOK_US 500000ULL            /* of one scan */
#define LOOKS_US (4 * LOOK_US)       /* of an incident */
#define LOOK_SHARE 4                 /* at most that part of the time that is left */
#define WORDS_MAX 3900               /* bytes that one step is told */
#define ARGS_MAX (WORDS_MAX / 8 + 2) /* "1:1:0" and its NUL are no less than 6 */

struct looks {
	struct incident *incident;
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

static bool is_to_be_looked_at(const struct incident *incident, const struct dg_holder *holder)
{
	return holder->process.pid > 0 && holder->exempt == DG_EXEMPT_NONE &&
	       !dg_look_find(&incident->looks, holder->process);
}

/* Who has ended as well; what is always there is the control group. */
static size_t count_unknown(const struct looks *looks)
{
	size_t n = 0;

	for (size_t i = 0; i < looks->holders.n_items; i++) {
		const struct dg_holder *holder = &looks->holders.items[i];
		const struct dg_look *look = dg_look_find(&looks->incident->looks, holder->process);

		if (holder->process.pid > 0 && holder->exempt == DG_EXEMPT_NONE)
			n += !look || !look->cgroup;
	}
	return n;
}

static void note_unknown(const struct looks *looks)
{
	struct incident *incident = looks->incident;
	size_t n_unknown = count_unknown(looks);
	char text[128];

	if (n_unknown > 0 && !incident->noted_looks) {
		incident->noted_looks = true;
		snprintf(text, sizeof(text),
			 "%zu of the processes could not be looked at in time: rules that ask for "
			 "more than a scan says passed them over",
			 n_unknown);
		incident_write_text(incident, "note", "text", text);
	}
}

static void finish(struct looks *looks)
{
	struct incident *incident = looks->incident;

	incident->looked_us += manager_now(incident->m) - looks->began_us;
	note_unknown(looks);
	looks->func(looks->userdata, &looks->holders, looks->has_fs ? &looks->fs : NULL);
}

static void on_step(void *userdata, const struct step_outcome *outcome);

/* 0: nobody is left, or there is no more time. */
static int ask_next(struct looks *looks)
{
	struct incident *incident = looks->incident;
	uint64_t now_us = manager_now(incident->m);
	const char *argv[ARGS_MAX + 1] = {"processes"};
	char words[WORDS_MAX];
	size_t n_args = 1, n = 0;
	int r;

	if (now_us >= looks->by_us)
		return 0;
	for (; looks->next < looks->holders.n_items && n_args < ARGS_MAX; looks->next++) {
		const struct dg_holder *holder = &looks->holders.items[looks->next];
		int size;

		if (!is_to_be_looked_at(incident, holder))
			continue;
		size = snprintf(words + n, sizeof(words) - n, "%d:%d:%" PRIu64, holder->process.pid,
				holder->tid ?: holder->process.pid, holder->process.start_ns);
		if ((size_t)size >= sizeof(words) - n ||
		    dg_look_add(&incident->looks, holder->process) < 0)
			break;
		argv[n_args++] = words + n;
		n += (size_t)size + 1;
	}
	if (n_args == 1)
		return 0;
	argv[n_args] = NULL;
	r = step_start(incident->m->steps, argv, looks->by_us - now_us, on_step, looks,
		       &looks->step);
	if (r < 0)
		incident->m->n_lost_steps++;
	return r < 0 ? r : 1;
}

static void on_step(void *userdata, const struct step_outcome *outcome)
{
	struct looks *looks = userdata;

	looks->step = NULL;
	/* Without memory somebody stays unknown. */
	(void)!dg_look_read(&looks->incident->looks, outcome->output, outcome->n_output);
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

static uint64_t time_for(const struct incident *incident, uint64_t now_us)
{
	uint64_t left = LOOKS_US - incident->looked_us, deadline_us = incident->core.deadline_us;
	uint64_t share = deadline_us > now_us ? (deadline_us - now_us) / LOOK_SHARE : 0;

	if (incident->looked_us >= LOOKS_US)
		return 0;
	if (left > LOOK_US)
		left = LOOK_US;
	return left < share ? left : share;
}

int looks_start(struct incident *incident, struct dg_holder_list *holders,
		const struct dg_fs_list *fs, looks_func func, void *userdata, struct looks **ret)
{
	uint64_t now_us = manager_now(incident->m), time_us = time_for(incident, now_us);
	struct looks *looks;
	int r;

	if (!incident->asks_for_looks || time_us == 0)
		return 0;
	looks = calloc(1, sizeof(*looks));
	if (!looks)
		return -ENOMEM;
	*looks = (struct looks){.incident = incident,
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
	if (r < 0 || incident->looks.n_items >= DG_LOOKS_MAX) {
		incident->looked_us = LOOKS_US;
		note_unknown(looks);
	}
	looks->holders = (struct dg_holder_list){};
	looks_free(looks);
	return r;
}
