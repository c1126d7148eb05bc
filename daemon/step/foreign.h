/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the mount namespaces of other user namespaces may cost a step.
 *
 * Anybody may have some, with a hundred thousand mounts of our device in each.
 * They come last, and within these bounds; what is left there is seen by the
 * kernel module, and ends as what is locked does.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

uint64_t foreign_now_us(void); /* monotonic */

/* Of all of them together; the time begins when the first one is looked at. */
bool foreign_has_time(void);

/* n more bytes of records about them. False: the daemon would not take so much. */
bool foreign_may_tell(size_t n);

/* The mountinfo of a task there is longer than any that is meant to be used. */
bool foreign_is_long(int proc_fd, const char *task);
