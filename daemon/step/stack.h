/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A disk and what is built on it, with the offsets: which byte of the disk is
 * which of a partition, or of a dm device made of linear targets, to any depth.
 * It is read from sysfs and the device mapper; no device is opened.
 */
#pragma once

#include "step/dm-table.h"

struct stack_node {
	dg_dev_t dev;
	char name[DG_NAME_MAX];
	uint64_t size;          /* bytes */
	size_t parent;          /* index; the disk has its own */
	struct extent *extents; /* in the parent; the disk has none */
	size_t n_extents;
	bool bears;  /* something is built on it */
	bool opaque; /* also something of which it is not known where */
};

struct stack {
	struct stack_node *nodes; /* the disk first, each after its parent */
	size_t n_nodes;
};

/* -ENOENT: no such block device. -E2BIG: more is built on it than anybody means to. */
int stack_read(dg_dev_t disk, struct stack *ret);
void stack_done(struct stack *stack);

enum stack_where {
	STACK_ON,     /* on this device */
	STACK_GAP,    /* on this device, and on none that is built on it; or behind its end */
	STACK_HIDDEN, /* likewise; or on one of which it is not known where it lies */
};

/*
 * Calls func for each device on which a piece of the range lies, from the disk
 * upwards. disk_offset: of the piece; offset: the same place on the device. If
 * func returns 1 for STACK_ON, what is built on the device is passed over.
 * Negative: at once, and returned.
 */
typedef int (*stack_func)(void *userdata, const struct stack_node *node, enum stack_where where,
			  uint64_t disk_offset, uint64_t offset, uint64_t len);
int stack_walk(const struct stack *stack, uint64_t disk_offset, uint64_t len, stack_func func,
	       void *userdata);
