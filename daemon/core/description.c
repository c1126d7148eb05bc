/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "core/description.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int add(struct dg_words *words, const char *word, struct dg_strings *strings)
{
	char **grown;

	if (!word || !*word)
		return 0;
	for (size_t i = 0; i < words->n_items; i++)
		if (strcmp(words->items[i], word) == 0)
			return 0;
	grown = reallocarray(words->items, words->n_items + 1, sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	words->items = grown;
	strings->items = (const char *const *)grown;
	grown[words->n_items] = strdup(word);
	if (!grown[words->n_items])
		return -ENOMEM;
	strings->n_items = ++words->n_items;
	return 0;
}

int dg_description_add_name(struct dg_description *d, const char *name)
{
	return add(&d->names, name, &d->facts.names);
}

int dg_description_add_driver(struct dg_description *d, const char *name)
{
	return add(&d->drivers, name, &d->facts.drivers);
}

int dg_description_add_mount(struct dg_description *d, const char *type, const char *path,
			     bool host)
{
	int r = add(&d->file_systems, type, &d->facts.file_systems);

	return r < 0 || !host ? r : add(&d->mount_points, path, &d->facts.mount_points);
}

void dg_description_complete(struct dg_description *d, bool names, bool mounts)
{
	d->facts.names.complete = d->facts.drivers.complete = names;
	d->facts.file_systems.complete = d->facts.mount_points.complete = mounts;
}

static int add_target(struct dg_description *d, const struct dg_target *target)
{
	char uuid[DG_BOOT_ID_LEN] = "";
	int r = dg_description_add_name(d, target->name);

	if (target->has_uuid)
		dg_uuid_text(target->uuid, uuid);
	if (r >= 0)
		r = dg_description_add_name(d, target->ns_device);
	if (r >= 0)
		r = dg_description_add_name(d, uuid);
	for (size_t i = 0; i < target->n_layers && r >= 0; i++)
		r = dg_description_add_name(d, target->layers[i].name);
	return r;
}

int dg_description_init(struct dg_description *d, const struct dg_request *request)
{
	bool in_use = false;
	int r;

	for (size_t i = 0; i < request->n_targets; i++)
		in_use = in_use || request->targets[i].in_use;
	r = dg_description_add_name(d, request->device);
	if (r >= 0)
		r = dg_description_add_driver(d, request->driver);
	for (size_t i = 0; i < request->n_targets && r >= 0; i++)
		if (request->targets[i].in_use || !in_use)
			r = add_target(d, &request->targets[i]);
	return r;
}

static void words_done(struct dg_words *words)
{
	for (size_t i = 0; i < words->n_items; i++)
		free(words->items[i]);
	free(words->items);
}

void dg_description_done(struct dg_description *d)
{
	words_done(&d->names);
	words_done(&d->drivers);
	words_done(&d->file_systems);
	words_done(&d->mount_points);
	*d = (struct dg_description){};
}
