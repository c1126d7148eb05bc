/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The mounts of one namespace, read once. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "core/event.h"

struct mount {
	int id, parent_id;
	struct mount *parent; /* NULL: the root of what we see */
	unsigned depth;       /* number of parents */
	dg_dev_t dev;
	char *root; /* within its file system */
	char *path;
	char *type;
	char *options;
	char *propagation; /* "shared:1 master:2", may be "" */
	bool covered;      /* another mount stands on its root */
};

struct mount_table {
	struct mount *items;
	size_t n_items;
};

/* task: "17", or "thread-self" for where we are. -ENOENT, -ESRCH: it has ended. */
int mount_table_read(int proc_fd, const char *task, struct mount_table *ret);
void mount_table_done(struct mount_table *table);

const struct mount *mount_table_find(const struct mount_table *table, int id);

/* The mount that this absolute path lies on. */
const struct mount *mount_table_covering(const struct mount_table *table, const char *path);
