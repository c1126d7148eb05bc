/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/record.h"
#include "step/stack.h"

#define SECTOR 512ULL
#define NODES_MAX 256 /* bounds the depth, too */

/* A file of a block device in sysfs, without the line's end. */
static int read_attribute(const char *name, const char *file, char *text, size_t size)
{
	char path[512];
	ssize_t n;
	int fd;

	if (snprintf(path, sizeof(path), "/sys/class/block/%s/%s", name, file) >= (int)sizeof(path))
		return -ENAMETOOLONG;
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	n = read(fd, text, size - 1);
	close(fd);
	if (n <= 0)
		return -EIO;
	text[n] = '\0';
	text[strcspn(text, "\n")] = '\0';
	return 0;
}

static int read_sectors(const char *name, const char *file, uint64_t *ret)
{
	char text[32];
	int r = read_attribute(name, file, text, sizeof(text));

	if (r < 0)
		return r;
	*ret = strtoull(text, NULL, 10) * SECTOR;
	return 0;
}

static int read_dev(const char *name, dg_dev_t *ret)
{
	char text[32];
	int r = read_attribute(name, "dev", text, sizeof(text));

	return r < 0 ? r : dg_dev_parse(text, ret);
}

static int add_node(struct stack *stack, const char *name, size_t parent)
{
	struct stack_node *grown, node = {.parent = parent};
	int r;

	if (stack->n_nodes >= NODES_MAX)
		return -E2BIG;
	r = read_dev(name, &node.dev);
	if (r >= 0)
		r = read_sectors(name, "size", &node.size);
	if (r < 0)
		return r;
	snprintf(node.name, sizeof(node.name), "%s", name);
	grown = reallocarray(stack->nodes, stack->n_nodes + 1, sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	stack->nodes = grown;
	grown[stack->n_nodes++] = node;
	return 0;
}

/* One that cannot be added: gone since it was listed, or it is not known where it lies. */
static int pass_over(struct stack *stack, size_t parent, int error)
{
	if (error == -ENOMEM || error == -E2BIG)
		return error;
	if (error != -ENOENT)
		stack->nodes[parent].bears = stack->nodes[parent].opaque = true;
	return 0;
}

static int add_partition(struct stack *stack, size_t parent, const char *name)
{
	struct stack_node *node;
	struct extent *extent;
	uint64_t start;
	int r;

	r = read_sectors(name, "start", &start);
	if (r >= 0)
		r = add_node(stack, name, parent);
	if (r < 0)
		return pass_over(stack, parent, r);
	node = &stack->nodes[stack->n_nodes - 1];
	extent = malloc(sizeof(*extent));
	if (!extent)
		return -ENOMEM;
	*extent = (struct extent){start, node->size, 0};
	node->extents = extent;
	node->n_extents = 1;
	stack->nodes[parent].bears = true;
	return 0;
}

static int add_holder(struct stack *stack, size_t parent, const char *name)
{
	dg_dev_t below = stack->nodes[parent].dev;
	struct stack_node *node;
	bool whole = false;
	int r;

	r = add_node(stack, name, parent);
	if (r < 0)
		return pass_over(stack, parent, r);
	node = &stack->nodes[stack->n_nodes - 1];
	r = -ENOTSUP;
	if (strncmp(name, "dm-", 3) == 0)
		r = dm_table_read(node->dev, below, &node->extents, &node->n_extents, &whole);
	if (r == -ENOMEM)
		return r;
	stack->nodes[parent].bears = true;
	if (r < 0 || !whole)
		stack->nodes[parent].opaque = true;
	return 0;
}

/* Partitions are directories within their disk's, named after it; holders are in one of their own.
 */
static int add_entries(struct stack *stack, size_t parent, const char *dir,
		       int (*func)(struct stack *stack, size_t parent, const char *name))
{
	char path[512], name[DG_NAME_MAX];
	const struct dirent *entry;
	DIR *opened;
	int r = 0;

	snprintf(name, sizeof(name), "%s", stack->nodes[parent].name);
	snprintf(path, sizeof(path), "/sys/class/block/%s/%s", name, dir);
	opened = opendir(path);
	if (!opened)
		return errno == ENOENT ? 0 : -errno;
	while (r >= 0 && (entry = readdir(opened))) {
		if (entry->d_name[0] == '.')
			continue;
		if (!*dir && strncmp(entry->d_name, name, strlen(name)) != 0)
			continue;
		r = func(stack, parent, entry->d_name);
	}
	closedir(opened);
	return r;
}

int stack_read(dg_dev_t disk, struct stack *ret)
{
	struct stack stack = {};
	char path[64], target[PATH_MAX];
	const char *name;
	ssize_t n;
	int r;

	snprintf(path, sizeof(path), "/sys/dev/block/%u:%u", DG_DEV_MAJOR(disk),
		 DG_DEV_MINOR(disk));
	n = readlink(path, target, sizeof(target) - 1);
	if (n < 0)
		return -errno;
	target[n] = '\0';
	name = strrchr(target, '/');
	r = add_node(&stack, name ? name + 1 : target, 0);
	for (size_t i = 0; i < stack.n_nodes && r >= 0; i++) {
		r = add_entries(&stack, i, "", add_partition);
		if (r >= 0)
			r = add_entries(&stack, i, "holders", add_holder);
	}
	if (r < 0) {
		stack_done(&stack);
		return r;
	}
	*ret = stack;
	return 0;
}

void stack_done(struct stack *stack)
{
	for (size_t i = 0; i < stack->n_nodes; i++)
		free(stack->nodes[i].extents);
	free(stack->nodes);
	*stack = (struct stack){};
}

struct walk {
	const struct stack *stack;
	stack_func func;
	void *userdata;
};

static int walk_node(const struct walk *walk, size_t i, uint64_t disk_offset, uint64_t offset,
		     uint64_t len);

static uint64_t smaller(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static uint64_t larger(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

/* What is built on it: each of its runs that the piece meets. */
static int walk_children(const struct walk *walk, size_t parent, uint64_t disk_offset,
			 uint64_t offset, uint64_t len)
{
	const struct stack *stack = walk->stack;
	int r = 0;

	for (size_t i = parent + 1; i < stack->n_nodes; i++) {
		const struct stack_node *node = &stack->nodes[i];

		for (size_t e = 0; e < node->n_extents && node->parent == parent && r >= 0; e++) {
			const struct extent *extent = &node->extents[e];
			uint64_t start = larger(offset, extent->from);
			uint64_t end = smaller(offset + len, extent->from + extent->len);

			if (start < end)
				r = walk_node(walk, i, disk_offset + (start - offset),
					      extent->to + (start - extent->from), end - start);
		}
	}
	return r;
}

/* The end of the run of its children that `at` lies in; at: in none. *ret_next: the next one. */
static uint64_t covered_to(const struct stack *stack, size_t parent, uint64_t at,
			   uint64_t *ret_next)
{
	uint64_t end = at;

	*ret_next = UINT64_MAX;
	for (size_t i = parent + 1; i < stack->n_nodes; i++) {
		const struct stack_node *node = &stack->nodes[i];

		for (size_t e = 0; e < node->n_extents && node->parent == parent; e++) {
			const struct extent *extent = &node->extents[e];

			if (extent->from <= at)
				end = larger(end, extent->from + extent->len);
			else
				*ret_next = smaller(*ret_next, extent->from);
		}
	}
	return end;
}

static int walk_gaps(const struct walk *walk, size_t i, uint64_t disk_offset, uint64_t offset,
		     uint64_t len)
{
	const struct stack_node *node = &walk->stack->nodes[i];
	enum stack_where where = node->opaque ? STACK_HIDDEN : STACK_GAP;
	uint64_t at = offset, next;
	int r = 0;

	while (at < offset + len && r >= 0) {
		uint64_t end = covered_to(walk->stack, i, at, &next);

		if (end > at) {
			at = end;
			continue;
		}
		end = smaller(next, offset + len);
		r = walk->func(walk->userdata, node, where, disk_offset + (at - offset), at,
			       end - at);
		at = end;
	}
	return r;
}

static int walk_node(const struct walk *walk, size_t i, uint64_t disk_offset, uint64_t offset,
		     uint64_t len)
{
	const struct stack_node *node = &walk->stack->nodes[i];
	int r;

	r = walk->func(walk->userdata, node, STACK_ON, disk_offset, offset, len);
	if (r != 0 || !node->bears)
		return r < 0 ? r : 0;
	r = walk_children(walk, i, disk_offset, offset, len);
	return r < 0 ? r : walk_gaps(walk, i, disk_offset, offset, len);
}

int stack_walk(const struct stack *stack, uint64_t disk_offset, uint64_t len, stack_func func,
	       void *userdata)
{
	const struct walk walk = {stack, func, userdata};
	uint64_t size = stack->nodes[0].size, on_disk;
	int r = 0;

	on_disk = disk_offset < size ? smaller(len, size - disk_offset) : 0;
	if (on_disk > 0)
		r = walk_node(&walk, 0, disk_offset, disk_offset, on_disk);
	if (r >= 0 && on_disk < len)
		r = func(userdata, &stack->nodes[0], STACK_GAP, disk_offset + on_disk,
			 disk_offset + on_disk, len - on_disk);
	return r;
}
