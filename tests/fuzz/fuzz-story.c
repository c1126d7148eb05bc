/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A record of an incident, as a new daemon finds it under /run. */
#include <stdlib.h>
#include <string.h>

#include "core/counted.h"
#include "core/incident.h"
#include "fuzz.h"

/* What was understood must be written as it was read. */
static void and_back(const char *data, size_t size)
{
	static char line[DG_HISTORY_LINE_MAX], again[DG_HISTORY_LINE_MAX];
	struct dg_history_event event, second;

	if (size >= sizeof(line) || memchr(data, 0, size))
		return;
	memcpy(line, data, size);
	line[size] = '\0';
	if (dg_history_parse(line, &event) < 0)
		return;
	if (dg_history_format(&event, again, sizeof(again)) < 0)
		return;
	again[strlen(again) - 1] = '\0';
	if (dg_history_parse(again, &second) < 0 || second.n_pairs != event.n_pairs)
		abort();
	for (size_t i = 0; i < event.n_pairs; i++)
		if (strcmp(event.pairs[i].value, second.pairs[i].value) != 0)
			abort();
}

static void go_on(const struct dg_story *story)
{
	static struct dg_effects effects;
	const struct dg_incident_limits limits = {6000000, 10000000};
	struct dg_request request = {.id = story->id, .deadline_ms = 20000};
	struct dg_incident incident;

	memcpy(request.boot_id, story->boot_id, sizeof(request.boot_id));
	effects.n_items = 0;
	if (dg_incident_init(&incident, &request, dg_policy_builtin(), &limits, 1000000) < 0)
		return;
	dg_incident_start(&incident, story, 1000000, &effects);
	dg_incident_answered(&incident, 0, 1000000, &effects);
	dg_incident_timer(&incident, 2000000, &effects);
	dg_incident_done(&incident);
}

/* In order; and of what has been counted there is no news. */
static void check_counted(const struct dg_counted_list *list)
{
	struct dg_counted_news news;

	for (size_t i = 0; i < list->n_items; i++) {
		const struct dg_counted *item = list->items[i];

		if (i > 0 && (strcmp(list->items[i - 1]->ns, item->ns) > 0 ||
			      (strcmp(list->items[i - 1]->ns, item->ns) == 0 &&
			       list->items[i - 1]->offset > item->offset)))
			abort();
		dg_counted_compare(list, item, &news);
		if (news.count > 0 || news.told > 0)
			abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *newline = memchr(data, '\n', size);
	struct dg_counted_list counted = {};
	struct dg_told_list told;
	struct dg_story story;

	and_back((const char *)data, newline ? (size_t)(newline - (const char *)data) : size);
	dg_told_init(&told, 8);
	(void)!dg_told_read(&told, (const char *)data, size);
	dg_told_done(&told);
	(void)!dg_counted_read(&counted, (const char *)data, size);
	check_counted(&counted);
	dg_counted_done(&counted);
	if (dg_story_read((const char *)data, size, &story) < 0)
		return 0;
	go_on(&story);
	dg_story_done(&story);
	return 0;
}
