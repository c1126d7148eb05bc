/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "core/look.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/record.h"

/* What a scan does not say of a process. */
static bool is_looked_for(enum dg_key key)
{
	return key == DG_KEY_EXECUTABLE || key == DG_KEY_UNIT || key == DG_KEY_CONTROL_GROUP ||
	       key == DG_KEY_GROUP || key == DG_KEY_CONTAINER;
}

bool dg_policy_asks_for_looks(const struct dg_policy *policy)
{
	for (size_t i = 0; i < policy->n_rules; i++) {
		const struct dg_match *match = &policy->rules[i].match;

		for (size_t k = 0; k < match->n_conditions; k++)
			if (is_looked_for(match->conditions[k].key))
				return true;
	}
	return false;
}

/* Of the first whose pid is not less. */
static size_t place_of(const struct dg_look_list *list, pid_t pid)
{
	size_t low = 0, high = list->n_items;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (list->items[middle]->process.pid < pid)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static struct dg_look *find(const struct dg_look_list *list, struct dg_process process)
{
	for (size_t i = place_of(list, process.pid);
	     i < list->n_items && list->items[i]->process.pid == process.pid; i++)
		if (dg_process_equal(list->items[i]->process, process))
			return list->items[i];
	return NULL;
}

const struct dg_look *dg_look_find(const struct dg_look_list *list, struct dg_process process)
{
	return find(list, process);
}

int dg_look_add(struct dg_look_list *list, struct dg_process process)
{
	size_t at = place_of(list, process.pid);
	struct dg_look **grown, *look;

	if (list->n_items >= DG_LOOKS_MAX)
		return -E2BIG;
	grown = reallocarray(list->items, list->n_items + 1, sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	list->items = grown;
	look = calloc(1, sizeof(*look));
	if (!look)
		return -ENOMEM;
	look->process = process;
	memmove(grown + at + 1, grown + at, (list->n_items++ - at) * sizeof(*grown));
	grown[at] = look;
	return 0;
}

struct record {
	const char *text;
	size_t n;
};

static int copy(struct record record, const char *key, char **ret)
{
	const char *value = dg_record_get(record.text, record.n, key);

	if (!value || *ret)
		return 0;
	*ret = strdup(value);
	return *ret ? 0 : -ENOMEM;
}

static int read_gids(struct dg_look *look, const char *text)
{
	size_t n = 0, size = 1;
	char *end;

	for (const char *at = text; *at; at++)
		size += *at == ' ';
	look->gids = calloc(size, sizeof(*look->gids));
	if (!look->gids)
		return -ENOMEM;
	for (; n < size; text = end) {
		unsigned long gid = strtoul(text, &end, 10);

		if (end == text)
			break;
		look->gids[n++] = (gid_t)gid;
	}
	look->facts.gids = look->gids;
	look->facts.n_gids = n;
	return 0;
}

static int read_look(struct dg_look *look, struct record record)
{
	const char *gids = dg_record_get(record.text, record.n, "GIDS");
	int r;

	r = copy(record, "EXE", &look->executable);
	if (r >= 0)
		r = copy(record, "CGROUP", &look->cgroup);
	if (r >= 0 && gids && !look->gids)
		r = read_gids(look, gids);
	if (r < 0)
		return r;
	look->facts.executable = look->executable;
	look->facts.gids_complete = look->gids != NULL;
	if (!look->cgroup)
		return 0;
	(void)!dg_unit_of_cgroup(look->cgroup, &look->unit);
	(void)!dg_user_unit_of_cgroup(look->cgroup, &look->user_unit);
	dg_container_of_cgroup(look->cgroup, look->container);
	look->facts.cgroup = look->cgroup;
	look->facts.unit = look->unit.name;
	look->facts.user_unit = look->user_unit.name;
	look->facts.container = look->container;
	return 0;
}

int dg_look_read(struct dg_look_list *list, const char *output, size_t n_output)
{
	const char *cursor = output, *end = output + n_output;
	struct dg_process process;
	struct record record;
	struct dg_look *look;
	uint64_t pid;
	int r = 0;

	while (r >= 0 && (record.text = dg_record_next(&cursor, end, &record.n))) {
		if (dg_record_get_u64(record.text, record.n, "PID", &pid) < 0 || pid > INT32_MAX ||
		    dg_record_get_u64(record.text, record.n, "START_NS", &process.start_ns) < 0)
			continue;
		process.pid = (pid_t)pid;
		look = find(list, process);
		if (look)
			r = read_look(look, record);
	}
	return r;
}

void dg_look_list_done(struct dg_look_list *list)
{
	for (size_t i = 0; i < list->n_items; i++) {
		free(list->items[i]->executable);
		free(list->items[i]->cgroup);
		free(list->items[i]->gids);
		free(list->items[i]);
	}
	free(list->items);
	*list = (struct dg_look_list){};
}

void dg_look_attach(const struct dg_look_list *list, struct dg_holder_list *holders)
{
	for (size_t i = 0; i < holders->n_items; i++) {
		const struct dg_look *look = find(list, holders->items[i].process);

		holders->items[i].looked = look ? &look->facts : NULL;
	}
}
