/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the rules of an incident are chosen by, and which they are. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/rule-text.h"
#include "manager-internal.h"

#define BY_PATH "/dev/disk/by-path/"

static const struct manager_device *find_device(const struct manager *m, const char *name)
{
	for (size_t i = 0; i < m->n_devices; i++)
		if (strcmp(m->devices[i].name, name) == 0)
			return &m->devices[i];
	return NULL;
}

/* What was known of it at rest. */
static int add_device(struct dg_description *d, const struct manager_device *device)
{
	int r = dg_description_add_name(d, device->ns_name);

	if (r >= 0)
		r = dg_description_add_name(d, device->region);
	if (r >= 0)
		r = dg_description_add_name(d, device->uuid);
	if (r >= 0)
		r = dg_description_add_driver(d, device->driver);
	for (char **link = device->by_path; link && *link && r >= 0; link++)
		r = dg_description_add_name(
			d, *link + (strncmp(*link, BY_PATH, strlen(BY_PATH)) == 0 ? strlen(BY_PATH)
										  : 0));
	return r;
}

static int add_mounts_of(struct dg_description *d, const struct dg_story *story)
{
	int r = 0;

	for (size_t i = 0; i < story->n_mounts && r >= 0; i++)
		r = dg_description_add_mount(d, story->mounts[i].type, story->mounts[i].path,
					     story->mounts[i].host);
	return r;
}

int rules_add_mounts(struct manager *m, const char *name, struct dg_description *d)
{
	const struct manager_device *device = find_device(m, name);
	int r = 0;

	for (size_t i = 0; device && i < device->n_mounts && r >= 0; i++)
		r = dg_description_add_mount(d, device->mounts[i].type, device->mounts[i].path,
					     true);
	return r < 0 ? r : device != NULL;
}

int rules_describe(struct manager *m, const struct dg_request *request, struct dg_description *d,
		   bool *ret_complete)
{
	bool known = request->n_targets > 0;
	int r = dg_description_init(d, request);

	for (size_t i = 0; i < request->n_targets && r >= 0; i++) {
		const struct manager_device *device = find_device(m, request->targets[i].name);

		known = known && device;
		if (device)
			r = add_device(d, device);
	}
	*ret_complete = known;
	return r;
}

static int describe(struct incident *incident, struct dg_description *d)
{
	bool known, mounts;
	int r = rules_describe(incident->m, &incident->core.request, d, &known);

	/* A device-dax carries no file system. */
	mounts = incident->story->knows_mounts || !incident->core.has_block;
	if (r >= 0 && mounts)
		r = add_mounts_of(d, incident->story);
	dg_description_complete(d, known, mounts && incident->story->n_mounts < DG_STORY_PARTS_MAX);
	return r;
}

void incident_choose_rules(struct incident *incident)
{
	struct dg_description description = {};
	int r = describe(incident, &description);

	if (r >= 0)
		r = dg_incident_choose(&incident->core, &description.facts, &incident->effects);
	if (r < 0)
		incident_write_text(incident, "note", "text",
				    "no memory: the built-in rules alone are in force");
	dg_description_done(&description);
}

void incident_write_device_rule(struct incident *incident)
{
	const struct dg_device_rule *rule = incident->core.device_rule;
	struct entry entry;

	entry_begin(&entry, "device-rule");
	entry_text(&entry, "name", rule->name);
	entry_text(&entry, "on_busy", dg_on_busy_name(rule->on_busy));
	entry_number(&entry, "budget_ms", rule->budget_ms);
	entry_number(&entry, "restore", rule->restore_on_return);
	incident_write(incident, &entry);
}

char *rule_entry(const struct dg_story *story, const struct dg_rule *rule, struct entry *ret)
{
	char *text;

	if (!rule->path || dg_story_find_rule(story, rule->name))
		return NULL;
	text = dg_rule_ladder_file(rule);
	if (!text)
		return NULL;
	entry_begin(ret, "rule");
	entry_text(ret, "name", rule->name);
	entry_text(ret, "path", rule->path);
	entry_number(ret, "line", rule->line);
	entry_text(ret, "text", text);
	return text;
}

void incident_write_rule(struct incident *incident, const struct dg_rule *rule)
{
	struct entry entry;
	char *text = rule_entry(incident->story, rule, &entry);

	if (text)
		incident_write(incident, &entry);
	free(text);
}
