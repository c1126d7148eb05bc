/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What of the kernel's records of failed memory has been counted: a record that has
 * grown, or was shown again, is counted for what is new of it.
 *
 * A record that has grown has another serial, all the events of those that it was made
 * of, and more. So what it contains was part of it, if it is of the same place and has
 * fewer events; with as many it is of another, which the kernel has forgotten since.
 */
#pragma once

#include "core/failure.h"

/* As much of a record as this takes. */
struct dg_counted {
	uint64_t serial;
	char ns[DG_NAME_MAX]; /* as the ledger names it */
	uint64_t offset, len; /* bytes of the device */
	uint64_t count;       /* events of the kernel */
	uint64_t told;        /* processes that the kernel has told */
	uint64_t time_ns;     /* of the last event, since boot */
	char result[DG_FAILURE_WORD];
	bool widened;
	bool has_file;
	dg_dev_t fs_dev;
	uint64_t ino, file_begin; /* where the device's first byte would be in the file */
	uint32_t generation;
	bool unsure; /* by a daemon that died: it may not have come to that */
};

struct dg_counted_list {
	struct dg_counted **items; /* by namespace and offset */
	size_t n_items;
};

/* What a record adds to what has been counted. */
struct dg_counted_news {
	uint64_t offset, len; /* from its first new byte to its last; all of it if there is none */
	uint64_t count, told; /* count 0: there is nothing new */
};

/* Of a record that has a place on its device. */
void dg_counted_init(struct dg_counted *ret, const struct dg_failure_record *record,
		     const char *ns);

void dg_counted_done(struct dg_counted_list *list);

void dg_counted_compare(const struct dg_counted_list *list, const struct dg_counted *record,
			struct dg_counted_news *ret);

/* It has been counted, and what it contains with it. -ENOMEM: it will be again. */
int dg_counted_add(struct dg_counted_list *list, const struct dg_counted *record);

/* The next one from *at on that the record contains and that is unsure; NULL: none. */
struct dg_counted *dg_counted_next_unsure(const struct dg_counted_list *list,
					  const struct dg_counted *record, size_t *at);

/* The one that was returned last was not counted after all. */
void dg_counted_drop(struct dg_counted_list *list, size_t *at);

/* The kernel has forgotten all up to this serial. */
void dg_counted_forget(struct dg_counted_list *list, uint64_t serial);

/* From an incident's record in /run, all of them unsure. -ENOMEM. */
int dg_counted_read(struct dg_counted_list *list, const char *text, size_t n);
