/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What one dump at a time does; who waits for it has a deadline. */
#pragma once

#include <stdint.h>

/* Of CLOCK_MONOTONIC. -ETIME: somebody else still has it locked then. */
int lock_wait(int fd, uint64_t deadline_us);
