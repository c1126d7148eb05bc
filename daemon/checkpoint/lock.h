/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What one dump at a time does; who waits for it has a deadline. */
#pragma once

#include <stdint.h>

/* Of CLOCK_MONOTONIC. -ETIME: somebody else still has it locked then. */
int lock_wait(int fd, uint64_t deadline_us);

/* A file that is there for its lock alone, and goes with it. Likewise. */
int lock_file(int dir_fd, const char *name, uint64_t deadline_us, int *ret_fd);
/* fd: what lock_file() has locked. It is closed. */
void lock_file_done(int dir_fd, const char *name, int fd);
