/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A record of an incident, as a new daemon finds it under /run. */
#include <stdlib.h>
#include <string.h>

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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *newline = memchr(data, '\n', size);
	struct dg_story story;

	and_back((const char *)data, newline ? (size_t)(newline - (const char *)data) : size);
	if (dg_story_read((const char *)data, size, &story) < 0)
		return 0;
	go_on(&story);
	dg_story_done(&story);
	return 0;
}
