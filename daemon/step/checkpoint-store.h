/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The store of checkpoints: DIR/BOOT-INCIDENT/PID/, root's alone.
 *
 * One that is being made is called .PID.part, and gets its name when all of it is on
 * the medium; one that goes loses its name first. So what has a name is whole. Whoever
 * works with one has it locked: what is left half made is what nobody has. All return
 * negative errnos.
 */
#pragma once

#include <stdbool.h>

#include "core/manifest.h"

#define STORE_IMAGES "images"

/* -ENOENT: there is none, and it is not to be made. -EPERM: others may write there. */
int store_open(const char *path, bool make, int *ret_fd);

/* Locked until it is closed. -ENOENT. -EBUSY: somebody works with it. */
int store_lock(int store_fd, const struct dg_checkpoint_id *id, bool part, int *ret_fd);

/* A new one with nothing but STORE_IMAGES in it, which is empty, locked likewise. */
int store_begin(int store_fd, const struct dg_checkpoint_id *id, int *ret_fd);

/* Writes the manifest of one that was begun; all of it is on the medium then. */
int store_write_manifest(int part_fd, const struct dg_manifest *manifest);

/* All files of STORE_IMAGES and the directory on the medium; how many bytes they are. */
int store_sync_images(int part_fd, uint64_t *ret_bytes);

/* Gives it its name, for good. -EEXIST: there is one. */
int store_commit(int store_fd, const struct dg_checkpoint_id *id);

/* As of dg_manifest_read(); -ENOENT, too. It need not be locked. */
int store_read_manifest(int store_fd, const struct dg_checkpoint_id *id, struct dg_manifest *ret);

/* One with its name. */
bool store_has(int store_fd, const struct dg_checkpoint_id *id);

/* One that is locked loses its name: it is a part, and still locked. */
int store_unname(int store_fd, const struct dg_checkpoint_id *id);

/* One that is locked. Half of it may be left where it fails, without a name. */
int store_remove(int store_fd, const struct dg_checkpoint_id *id, bool part);

/* Until func returns other than 0; that is returned. In no order. */
int store_foreach(int store_fd,
		  int (*func)(void *userdata, const struct dg_checkpoint_id *id, bool part),
		  void *userdata);

/* checkpoint-file.c: a file in a directory, written beside, on the medium, and put in its place. */
int store_replace_file(int dir_fd, const char *name, const void *bytes, size_t n);
/* All of it, to be freed, with a NUL behind. -EFBIG. */
int store_read_file(int dir_fd, const char *name, char **ret, size_t *ret_n);
