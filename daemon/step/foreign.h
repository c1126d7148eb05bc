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
bool foreign_is_over(void); /* it was begun, and is used up */

/*
 * Calls func in a child that has as much time as is left: where a path leads
 * through somebody's file system (an overlay of his FUSE, say), he says how long
 * that takes. 0 or a negative errno, of func or -ETIMEDOUT: the child may stay.
 */
int foreign_call(int (*func)(void *userdata), void *userdata);

/* n more bytes of records about them. False: the daemon would not take so much. */
bool foreign_may_tell(size_t n);

/* The mountinfo of a task there is longer than any that is meant to be used. */
bool foreign_is_long(int proc_fd, const char *task);
