/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/record.h"
#include "step/layers.h"

/* Deeper stacks do not exist; a loop in them would be a kernel bug, not ours to spin on. */
#define DEPTH_MAX 16

struct layers {
	struct dg_layer *items;
	size_t n_items;
};

static int read_dev(const char *name, dg_dev_t *ret)
{
	char path[512], text[32];
	ssize_t n;
	int fd;

	if (snprintf(path, sizeof(path), "/sys/class/block/%s/dev", name) >= (int)sizeof(path))
		return -ENAMETOOLONG;
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	n = read(fd, text, sizeof(text) - 1);
	close(fd);
	if (n <= 0)
		return -EIO;
	text[n] = 0;
	text[strcspn(text, "\n")] = 0;
	return dg_dev_parse(text, ret);
}

static int add(struct layers *layers, const char *name, unsigned depth);

/* Every entry of the directory that is a disk of its own. */
static int add_entries(struct layers *layers, const char *name, const char *dir, unsigned depth)
{
	size_t n_name = strlen(name);
	const struct dirent *entry;
	char path[512];
	DIR *opened;
	int r = 0;

	if (snprintf(path, sizeof(path), "/sys/class/block/%s/%s", name, dir) >= (int)sizeof(path))
		return -ENAMETOOLONG;
	opened = opendir(path);
	if (!opened)
		return errno == ENOENT ? 0 : -errno;
	while (r >= 0 && (entry = readdir(opened))) {
		if (entry->d_name[0] == '.')
			continue;
		/* Partitions are directories within their disk's, named after it. */
		if (!*dir && strncmp(entry->d_name, name, n_name) != 0)
			continue;
		r = add(layers, entry->d_name, depth);
	}
	closedir(opened);
	return r;
}

static int add(struct layers *layers, const char *name, unsigned depth)
{
	struct dg_layer *grown;
	dg_dev_t dev = 0;
	int r;

	r = read_dev(name, &dev);
	if (r < 0)
		return depth == 0 ? r : 0; /* gone since it was listed */
	for (size_t i = 0; i < layers->n_items; i++)
		if (layers->items[i].dev == dev)
			return 0;
	grown = reallocarray(layers->items, layers->n_items + 1, sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	layers->items = grown;
	grown += layers->n_items++;
	*grown = (struct dg_layer){.dev = dev};
	snprintf(grown->name, sizeof(grown->name), "%s", name);
	if (depth >= DEPTH_MAX)
		return 0;
	r = add_entries(layers, name, "", depth + 1);
	return r < 0 ? r : add_entries(layers, name, "holders", depth + 1);
}

int layers_read(const char *name, struct dg_layer **ret, size_t *ret_n)
{
	struct layers layers = {0};
	int r;

	r = add(&layers, name, 0);
	if (r < 0) {
		free(layers.items);
		return r;
	}
	*ret = layers.items;
	*ret_n = layers.n_items;
	return 0;
}
