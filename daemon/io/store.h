/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Incident records on disk: <run directory>/incidents/<id>, lines appended.
 *
 * Owns: the directory and the files. Must not own: what a line says (see
 * core/history.h). /run is memory: nothing here waits for a device. A line is
 * one write(2), so a reader, and a new daemon, sees whole lines only.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct store;
struct store_record;

/* Makes the directories. Errors of mkdir(2) and open(2), -ENOMEM. */
int store_new(const char *run_dir, struct store **ret);
struct store *store_free(struct store *store); /* NULL is fine; returns NULL */

/*
 * Opens the record, or begins it, for appending; what is no whole line at its
 * end is cut off. limit: bytes it may grow to.
 */
int store_record_open(struct store *store, uint64_t id, size_t limit, struct store_record **ret);
struct store_record *store_record_close(struct store_record *record); /* NULL is fine */
/* -EFBIG: the limit; -ENOSPC and others of write(2): nothing, or not all, was written. */
int store_record_append(struct store_record *record, const char *line, size_t n_line);

/* A whole record; at most limit bytes of it. *ret_text is the caller's to free. */
int store_read(struct store *store, uint64_t id, size_t limit, char **ret_text, size_t *ret_n);

/* Ascending. *ret_ids is the caller's to free. */
int store_list(struct store *store, uint64_t **ret_ids, size_t *ret_n);
int store_remove(struct store *store, uint64_t id);
