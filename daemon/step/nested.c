/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "step/layers.h"
#include "step/loops.h"
#include "step/nested.h"

static int add_dev(struct step *step, dg_dev_t dev)
{
	dg_dev_t *grown;

	if (step_has_dev(step, dev))
		return 0;
	grown = reallocarray(step->devs, step->n_devs + 1, sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	step->devs = grown;
	grown[step->n_devs++] = dev;
	return 0;
}

static int add_loop(struct step *step, const struct loop *loop, void *userdata)
{
	struct dg_layer *layers;
	size_t n_layers;
	int r;

	r = layers_read(loop->name, &layers, &n_layers);
	if (r < 0)
		return r == -ENOMEM ? r : 0; /* gone meanwhile */
	for (size_t i = 0; i < n_layers && r >= 0; i++)
		r = add_dev(step, layers[i].dev);
	free(layers);
	return r;
}

int nested_add_loops(struct step *step)
{
	size_t before;
	int r;

	do {
		before = step->n_devs;
		r = loops_foreach(step, add_loop, NULL);
	} while (r >= 0 && step->n_devs > before);
	return r;
}

/* Up to the next colon; one that belongs to a name is written "\:". Returns where it ends. */
static const char *read_path(const char *at, const char *end, char *path, size_t size)
{
	size_t n = 0;

	for (; at < end && *at != ':'; at++) {
		if (*at == '\\' && at + 1 < end)
			at++;
		if (n < size - 1)
			path[n++] = *at;
	}
	path[n] = 0;
	return at;
}

/* Such as "lowerdir=/a:/b": a path of it lies on one of the devices. */
static bool option_on_devs(const struct step *step, const struct mount_table *table,
			   const char *option, size_t n)
{
	static const char *const keys[] = {"lowerdir=", "lowerdir+=", "datadir+=", "upperdir="};
	const char *at = NULL, *end = option + n;
	const struct mount *mount;
	char path[4096];

	for (size_t i = 0; !at && i < sizeof(keys) / sizeof(keys[0]); i++)
		if (n > strlen(keys[i]) && strncmp(option, keys[i], strlen(keys[i])) == 0)
			at = option + strlen(keys[i]);
	for (; at && at < end; at++) {
		at = read_path(at, end, path, sizeof(path));
		mount = path[0] == '/' ? mount_table_covering(table, path) : NULL;
		if (mount && step_has_dev(step, mount->dev))
			return true;
	}
	return false;
}

static bool overlay_on_devs(const struct step *step, const struct mount_table *table,
			    const struct mount *mount)
{
	const char *at = mount->options;

	while (*at) {
		size_t n = 0;

		/* A comma of a name is written "\,". */
		while (at[n] && at[n] != ',')
			n += at[n] == '\\' && at[n + 1] ? 2 : 1;
		if (option_on_devs(step, table, at, n))
			return true;
		at += n + (at[n] == ',');
	}
	return false;
}

int nested_add_overlays(struct step *step, const struct mount_table *table)
{
	size_t before;
	int r = 0;

	do {
		before = step->n_devs;
		for (size_t i = 0; i < table->n_items && r >= 0; i++) {
			const struct mount *mount = &table->items[i];

			if (strcmp(mount->type, "overlay") == 0 &&
			    !step_has_dev(step, mount->dev) && overlay_on_devs(step, table, mount))
				r = add_dev(step, mount->dev);
		}
	} while (r >= 0 && step->n_devs > before);
	return r;
}
