/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Devices and who uses them, as D-Bus values. */
#pragma once

#include "bus-call.h"
#include "bus-dict.h"

/* The entries, without the dictionary around them. */
void bus_put_device(struct dict *d, struct manager *m, const struct manager_device *device);

/* {Device, Holders, FileSystems, Truncated}; for users, Holders are their own, and Others. */
void bus_put_holders(struct dict *d, const char *name, struct viewer viewer,
		     const struct dg_holder_list *holders, const struct dg_fs_list *fs);

/* Mapped, Open, Cwd, Root, Exe, Kernel: how often; MappedBytes. */
void bus_put_uses(struct dict *d, const uint32_t counts[_DG_USE_MAX], uint64_t mapped_bytes);

/* SharedWith, if there is one: another process with the same memory. */
void bus_put_shared(struct dict *d, pid_t shared_with);

/* Whom a user is not shown, all together. */
struct others {
	uint32_t n;
	uint32_t counts[_DG_USE_MAX];
	uint64_t mapped_bytes;
};
bool viewer_sees(struct viewer viewer, uid_t uid);
void others_add(struct others *others, const uint32_t counts[_DG_USE_MAX], uint64_t mapped_bytes);
/* Others: {Holders, and as bus_put_uses()}. Nothing for who sees all. */
void bus_put_others(struct dict *d, struct viewer viewer, const struct others *others);

/*
 * By what an administrator may call it: pmem0, /dev/pmem0, pfn0.0, namespace0.0, its
 * UUID, or MAJ:MIN. NULL: none that is guarded.
 */
const struct manager_device *bus_find_guarded(struct manager *m, const char *text);
/* Likewise; MAJ:MIN need not be one of those. -ENODEV. */
int bus_find_device(struct manager *m, const char *text, dg_dev_t *ret);

/* Why who uses it cannot be told, a negative errno, as an error; returns what sd-bus does. */
int bus_explain_device(sd_bus_error *error, int r, const char *device);
