/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The users and groups that rules name, looked up by steps: whoever is asked
 * for them may wait for a network or a disk. What is not known when the time is
 * over stays unknown.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/grow.h"
#include "core/record.h"
#include "manager-internal.h"

#define NAMES_US 15000000ULL /* all together */
#define WORDS_MAX 3900       /* bytes that one step is told */
#define ARGS_MAX 512

struct name {
	enum dg_key key;
	const char *text; /* the policy's */
	bool known;
	uint32_t id;
};

struct names {
	struct manager *m;
	struct name *items; /* each once, in order */
	size_t n_items, n_asked;
	uint64_t by_us;
	struct step *step;
	void (*func)(void *userdata);
	void *userdata;
};

static int compare(const void *a, const void *b)
{
	const struct name *x = a, *y = b;

	return x->key != y->key ? (int)x->key - (int)y->key : strcmp(x->text, y->text);
}

static int add(void *userdata, const struct dg_rule *rule, enum dg_key key,
	       const struct dg_pattern *pattern)
{
	struct names *names = userdata;

	if (DG_GROW(names->items, names->n_items) < 0)
		return -ENOMEM;
	names->items[names->n_items++] = (struct name){.key = key, .text = pattern->text};
	return 0;
}

static void make_unique(struct names *names)
{
	size_t n = 0;

	if (names->n_items == 0) /* nor an array */
		return;
	qsort(names->items, names->n_items, sizeof(*names->items), compare);
	for (size_t i = 0; i < names->n_items; i++)
		if (n == 0 || compare(&names->items[n - 1], &names->items[i]) != 0)
			names->items[n++] = names->items[i];
	names->n_items = n;
}

static struct name *find(const struct names *names, enum dg_key key, const char *text)
{
	const struct name wanted = {.key = key, .text = text};

	return names->n_items > 0
		       ? bsearch(&wanted, names->items, names->n_items, sizeof(wanted), compare)
		       : NULL;
}

static void read_record(struct names *names, const char *record, size_t n)
{
	const char *user = dg_record_get(record, n, "USER");
	const char *text = user ?: dg_record_get(record, n, "GROUP");
	struct name *name = NULL;
	uint64_t id;

	if (text)
		name = find(names, user ? DG_KEY_USER : DG_KEY_GROUP, text);
	if (!name || dg_record_get_u64(record, n, "ID", &id) < 0 || id >= UINT32_MAX)
		return;
	name->known = true;
	name->id = (uint32_t)id;
}

static int ask_next(struct names *names);

static void on_step(void *userdata, const struct step_outcome *outcome)
{
	const char *cursor = outcome->output, *end = cursor + outcome->n_output, *record;
	struct names *names = userdata;
	size_t n;

	names->step = NULL;
	while ((record = dg_record_next(&cursor, end, &n)))
		read_record(names, record, n);
	if (outcome->end == STEP_TIMEOUT || ask_next(names) <= 0)
		names->func(names->userdata);
}

/* As many as one step may be told. 0: all have been asked for, or the time is over. */
static int ask_next(struct names *names)
{
	uint64_t now_us = manager_now(names->m);
	const char *argv[ARGS_MAX + 2] = {"names"};
	char words[WORDS_MAX];
	size_t n_args = 1, n = 0;
	int r;

	if (names->n_asked >= names->n_items || now_us >= names->by_us)
		return 0;
	for (; names->n_asked < names->n_items && n_args <= ARGS_MAX; names->n_asked++) {
		const struct name *name = &names->items[names->n_asked];
		int size = snprintf(words + n, sizeof(words) - n, "%s:%s",
				    name->key == DG_KEY_USER ? "user" : "group", name->text);

		if (size < 0 || (size_t)size >= sizeof(words) - n)
			break;
		argv[n_args++] = words + n;
		n += (size_t)size + 1;
	}
	argv[n_args] = NULL;
	r = step_start(names->m->steps, argv, names->by_us - now_us, on_step, names, &names->step);
	return r < 0 ? r : 1;
}

int names_start(struct manager *m, const struct dg_policy *policy, void (*func)(void *userdata),
		void *userdata, struct names **ret)
{
	struct names *names = calloc(1, sizeof(*names));
	int r;

	if (!names)
		return -ENOMEM;
	*names = (struct names){
		.m = m, .by_us = manager_now(m) + NAMES_US, .func = func, .userdata = userdata};
	r = dg_policy_foreach_name(policy, add, names);
	if (r >= 0) {
		make_unique(names);
		r = ask_next(names);
	}
	if (r > 0)
		*ret = names;
	else
		names_free(names);
	return r < 0 ? r : 0;
}

int names_resolve(void *userdata, enum dg_key key, const char *text, uint32_t *ret_id)
{
	const struct name *name = find(userdata, key, text);

	if (!name || !name->known)
		return -ENOENT;
	*ret_id = name->id;
	return 0;
}

struct names *names_free(struct names *names)
{
	if (!names)
		return NULL;
	if (names->step)
		step_cancel(names->step);
	free(names->items);
	free(names);
	return NULL;
}
