/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Records: how a step tells the daemon what it found.
 *
 * A record is a run of fields, each "KEY=VALUE" ended by a NUL, and an empty
 * field (a second NUL) after the last. A KEY is upper case letters, digits
 * and underscores; a VALUE is any bytes but NUL, so every file name fits as
 * it is. A key may repeat. A record without fields does not exist.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/event.h"

/*
 * Reading. *cursor starts at the first byte and is moved behind the record
 * that is returned: its fields as a run of NUL-ended strings of ret_len bytes,
 * part of the input. NULL at the end, and where the rest is no whole record
 * (the writer died, or never spoke records): then *cursor is short of end.
 */
const char *dg_record_next(const char **cursor, const char *end, size_t *ret_len);

/* The value of the first field KEY, or NULL. */
const char *dg_record_get(const char *record, size_t len, const char *key);

/*
 * As above, for values of one form: decimal, without sign or space; and
 * MAJOR:MINOR in decimal. -ENOENT: no such field. -EINVAL: another form.
 * -ERANGE: does not fit.
 */
int dg_record_get_u64(const char *record, size_t len, const char *key, uint64_t *ret);
int dg_record_get_dev(const char *record, size_t len, const char *key, dg_dev_t *ret);

/* It says a number other than 0. */
bool dg_record_is_set(const char *record, size_t len, const char *key);

/* "259:0". -EINVAL, -ERANGE. */
int dg_dev_parse(const char *text, dg_dev_t *ret);

/*
 * Writing, into memory. Errors stick (-ENOMEM, -EINVAL for a malformed key)
 * and are reported once, by dg_record_end(), which closes the record; the
 * half-written one is then dropped, so that data[0..n) is always well formed.
 * All of it may be taken out at any time between records by setting n to 0.
 */
struct dg_record_writer {
	char *data;
	size_t n;      /* bytes of whole records */
	size_t n_open; /* bytes of the record that is being written */
	size_t size;   /* allocated */
	int error;
};
#define DG_RECORD_WRITER_INIT ((struct dg_record_writer){0})

void dg_record_field(struct dg_record_writer *writer, const char *key, const char *value);
void dg_record_field_u64(struct dg_record_writer *writer, const char *key, uint64_t value);
void dg_record_field_dev(struct dg_record_writer *writer, const char *key, dg_dev_t value);
int dg_record_end(struct dg_record_writer *writer);
void dg_record_writer_done(struct dg_record_writer *writer);
