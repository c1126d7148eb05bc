/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A disk, and then all that is built on it: partitions, dm and md devices, to any depth. */
#pragma once

#include <stddef.h>

#include "core/event.h"

/* name: as in /sys/class/block. Free *ret. -ENOENT: no such disk. */
int layers_read(const char *name, struct dg_layer **ret, size_t *ret_n);
