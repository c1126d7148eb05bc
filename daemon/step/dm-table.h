/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What of a block device a device-mapper device is made of. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "core/event.h"

/* A run of one device in another that is made of it. Bytes. */
struct extent {
	uint64_t from; /* in the lower one */
	uint64_t len;
	uint64_t to; /* in the upper one */
};

/*
 * The runs of `below` in the dm device, where linear targets have them. Free
 * *ret. *ret_whole: no other target can have more of it. Negative errno: the
 * device mapper does not answer, or there is no such device.
 */
int dm_table_read(dg_dev_t dev, dg_dev_t below, struct extent **ret, size_t *ret_n,
		  bool *ret_whole);
