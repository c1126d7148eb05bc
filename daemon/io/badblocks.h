/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Lists of bad blocks of disks: that one has changed, never how.
 *
 * Owns: an open file of sysfs for each disk that is watched. Must not own: what is
 * bad; the module reads the lists. A block device's attributes do not wait for
 * what the nd bus's wait for.
 */
#pragma once

#include <systemd/sd-event.h>

#include "core/event.h"

struct badblocks;

typedef void (*badblocks_func)(void *userdata, dg_dev_t dev);

/* dir: "/sys/dev/block". func comes from the event loop. -ENOMEM. */
int badblocks_new(sd_event *event, const char *dir, badblocks_func func, void *userdata,
		  struct badblocks **ret);
struct badblocks *badblocks_free(struct badblocks *badblocks); /* NULL is fine; returns NULL */

/*
 * Exactly these from now on; one that is watched already stays so. A disk without a
 * list, or with one that cannot be polled, is left out.
 */
void badblocks_watch(struct badblocks *badblocks, const dg_dev_t *devs, size_t n_devs);
