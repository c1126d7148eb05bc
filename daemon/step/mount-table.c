/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <libmount.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "step/mount-table.h"
#include "step/proc.h"

static int compare_id(const void *a, const void *b)
{
	const struct mount *left = a, *right = b;

	return left->id < right->id ? -1 : left->id > right->id;
}

static int mount_fill(struct mount *mount, struct libmnt_fs *fs)
{
	dev_t dev = mnt_fs_get_devno(fs);

	*mount = (struct mount){
		.id = mnt_fs_get_id(fs),
		.parent_id = mnt_fs_get_parent_id(fs),
		.dev = DG_DEV(major(dev), minor(dev)),
		.root = strdup(mnt_fs_get_root(fs) ?: ""),
		.path = strdup(mnt_fs_get_target(fs) ?: ""),
		.type = strdup(mnt_fs_get_fstype(fs) ?: ""),
		.options = strdup(mnt_fs_get_options(fs) ?: ""),
		.propagation = strdup(mnt_fs_get_optional_fields(fs) ?: ""),
	};
	if (!mount->root || !mount->path || !mount->type || !mount->options || !mount->propagation)
		return -ENOMEM;
	return 0;
}

/* Parents, depths, and who stands on whose root. The items are in order of their ids. */
static void link_mounts(struct mount_table *table)
{
	for (size_t i = 0; i < table->n_items; i++) {
		struct mount *mount = &table->items[i], key = {.id = mount->parent_id};

		if (mount->parent_id != mount->id)
			mount->parent = bsearch(&key, table->items, table->n_items, sizeof(key),
						compare_id);
		if (mount->parent && strcmp(mount->parent->path, mount->path) == 0)
			mount->parent->covered = true;
	}
	for (size_t i = 0; i < table->n_items; i++)
		/* Bounded: a table torn by a change while it was read could have a loop. */
		for (const struct mount *up = table->items[i].parent;
		     up && table->items[i].depth < table->n_items; up = up->parent)
			table->items[i].depth++;
}

static int skip_line(struct libmnt_table *table, const char *file, int line)
{
	return 1;
}

static int copy_table(struct libmnt_table *from, struct mount_table *table)
{
	struct libmnt_iter *iterator;
	struct libmnt_fs *fs;
	int n = mnt_table_get_nents(from), r = 0;

	table->items = calloc(n > 0 ? (size_t)n : 1, sizeof(*table->items));
	iterator = mnt_new_iter(MNT_ITER_FORWARD);
	if (!table->items || !iterator)
		r = -ENOMEM;
	while (r == 0 && mnt_table_next_fs(from, iterator, &fs) == 0)
		r = mount_fill(&table->items[table->n_items++], fs);
	mnt_free_iter(iterator);
	return r;
}

static int parse(FILE *file, struct mount_table *table)
{
	struct libmnt_table *parsed = mnt_new_table();
	int r = -ENOMEM;

	if (parsed && mnt_table_set_parser_errcb(parsed, skip_line) == 0) {
		r = mnt_table_parse_stream(parsed, file, "mountinfo");
		r = r == 0 ? copy_table(parsed, table) : r < 0 ? r : -EBADMSG;
	}
	mnt_unref_table(parsed);
	return r;
}

int mount_table_read(int proc_fd, const char *task, struct mount_table *ret)
{
	struct mount_table table = {0};
	char path[PROC_PATH_MAX];
	FILE *file;
	int fd, r;

	snprintf(path, sizeof(path), "%s/mountinfo", task);
	fd = openat(proc_fd, path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	file = fdopen(fd, "r");
	if (!file) {
		close(fd);
		return -ENOMEM;
	}
	r = parse(file, &table);
	fclose(file);
	if (r < 0) {
		mount_table_done(&table);
		return r;
	}
	qsort(table.items, table.n_items, sizeof(*table.items), compare_id);
	link_mounts(&table);
	*ret = table;
	return 0;
}

void mount_table_done(struct mount_table *table)
{
	for (size_t i = 0; i < table->n_items; i++) {
		free(table->items[i].root);
		free(table->items[i].path);
		free(table->items[i].type);
		free(table->items[i].options);
		free(table->items[i].propagation);
	}
	free(table->items);
	*table = (struct mount_table){0};
}

const struct mount *mount_table_find(const struct mount_table *table, int id)
{
	struct mount key = {.id = id};

	return bsearch(&key, table->items, table->n_items, sizeof(key), compare_id);
}

const struct mount *mount_table_covering(const struct mount_table *table, const char *path)
{
	const struct mount *best = NULL;
	size_t n_best = 0;

	for (size_t i = 0; i < table->n_items; i++) {
		const struct mount *mount = &table->items[i];
		size_t n = strcmp(mount->path, "/") == 0 ? 0 : strlen(mount->path);

		if (mount->covered || strncmp(path, mount->path, n) != 0 ||
		    (path[n] != '/' && path[n] != 0))
			continue;
		if (!best || n >= n_best) {
			best = mount;
			n_best = n;
		}
	}
	return best;
}
