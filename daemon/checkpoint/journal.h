/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What services print goes to a stream of journald's, whose other end CRIU cannot dump.
 * It is left out, and is a new one of the same unit when they go on.
 */
#pragma once

#include "checkpoint/tree.h"

/* The inode of the stream that somebody of the tree has, as JOURNAL_STREAM= says; 0: none. */
uint64_t journal_find(int proc_fd, const struct tree *tree);

/*
 * A new one, which whoever is started next inherits. unit: or NULL. journald may be stuck:
 * not later than in a second, -EAGAIN.
 */
int journal_open(const char *path, const char *identifier, const char *unit);
