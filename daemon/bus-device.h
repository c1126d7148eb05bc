/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Devices and who uses them, as D-Bus values. */
#pragma once

#include "bus-dict.h"
#include "manager.h"

void bus_put_device(struct dict *d, struct manager *m, const struct manager_device *device);

/* {Device, Holders, FileSystems, Truncated} */
void bus_put_holders(struct dict *d, const char *name, const struct dg_holder_list *holders,
		     const struct dg_fs_list *fs);

/* Mapped, Open, Cwd, Root, Exe, Kernel: how often; MappedBytes. */
void bus_put_uses(struct dict *d, const uint32_t counts[_DG_USE_MAX], uint64_t mapped_bytes);

/*
 * What an administrator may call a device: pmem0, /dev/pmem0, pfn0.0,
 * namespace0.0, its UUID, or MAJ:MIN, which need not be one of the list. -ENODEV.
 */
int bus_find_device(struct manager *m, const char *text, dg_dev_t *ret);
