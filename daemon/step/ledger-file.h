/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The file of the ledger: DIR/ledger, root's alone, appended to or replaced.
 *
 * What these say is done is on the medium. Whoever is killed in the middle of one
 * leaves what was there before, and at most a part of the new behind it. A lock on
 * the directory keeps one that hangs in the kernel from finishing later than others
 * that came after it. All return negative errnos.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * The directory, locked until it is closed; made if it is to be written to.
 * -EBUSY: somebody is at it. -ENOENT: only if it is not to be written to.
 */
int ledger_dir_open(const char *path, bool writes, int *ret_fd);

/* Whole lines, behind those that there are. */
int ledger_file_append(int dir_fd, const void *lines, size_t n);

/* The next file: begun, and gone on with. What fails leaves none. */
int ledger_file_begin(int dir_fd, const void *lines, size_t n);
int ledger_file_go_on(int dir_fd, const void *lines, size_t n);
/* It takes the place of the file. */
int ledger_file_replace(int dir_fd);

/* Up to size bytes from offset on; fewer only at the end. No file is an empty one. */
int ledger_file_read(int dir_fd, uint64_t offset, void *buffer, size_t size, size_t *ret_n);
