/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bus-device.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

#include "core/record.h"
#include "names.h"

#define N(array) (sizeof(array) / sizeof((array)[0]))

void bus_put_device(struct dict *d, struct manager *m, const struct manager_device *device)
{
	dict_word(d, "Name", device->name);
	dict_word(d, "Device", device->ns_device);
	dict_word(d, "Namespace", device->ns_name);
	dict_word(d, "Mode", dg_mode_name(device->mode));
	dict_dev(d, "DevNum", device->dev);
	dict_u64(d, "Size", device->size);
	dict_word(d, "Uuid", device->uuid);
	dict_word(d, "Region", device->region);
	dict_word(d, "Bus", device->bus);
	dict_word(d, "Driver", device->driver);
	dict_i32(d, "NumaNode", device->numa);
	dict_texts(d, "System", (const char *const *)device->system, SIZE_MAX);
	dict_u64(d, "Incident", manager_device_incident(m, device));
	dict_list_begin(d, "Mounts");
	for (size_t i = 0; i < device->n_mounts; i++) {
		dict_begin(d);
		dict_bytes(d, "Path", device->mounts[i].path);
		dict_word(d, "Type", device->mounts[i].type);
		dict_dev(d, "DevNum", device->mounts[i].dev);
		dict_end(d);
	}
	dict_list_end(d);
}

/* In the order of the bits DG_HOLDER_* and DG_FS_*. */
static const char *const holder_flags[] = {"shared",  "write",  "exec",     "zombie-leader",
					   "stopped", "traced", "unbinder", "blocked"};
static const char *const fs_flags[] = {"live",      "mounted", "dying",  "frozen",
				       "read-only", "dax",     "unknown"};

static void put_mappings(struct dict *d, const struct dg_holder *holder)
{
	dict_list_begin(d, "Mappings");
	for (size_t i = 0; i < holder->n_mappings; i++) {
		const struct dg_mapping *mapping = &holder->mappings[i];

		dict_begin(d);
		dict_u64(d, "Address", mapping->addr);
		dict_u64(d, "Length", mapping->len);
		dict_u64(d, "Offset", mapping->offset);
		dict_dev(d, "DevNum", mapping->fs_dev);
		dict_u64(d, "Inode", mapping->ino);
		dict_flags(d, "Flags", mapping->flags, holder_flags, N(holder_flags));
		dict_end(d);
	}
	dict_list_end(d);
}

/* Addresses are for root alone: where somebody's memory lies is a step towards it. */
static void put_holder(struct dict *d, struct viewer viewer, const struct dg_holder *holder)
{
	dict_begin(d);
	dict_u32(d, "Pid", (uint32_t)holder->process.pid);
	dict_u64(d, "StartNsec", holder->process.start_ns);
	dict_bytes(d, "Comm", holder->comm);
	dict_u32(d, "Uid", holder->uid);
	dict_flags(d, "Flags", holder->flags, holder_flags, N(holder_flags));
	dict_word(d, "Exempt", dg_exempt_name(holder->exempt));
	bus_put_uses(d, holder->counts, holder->mapped_bytes);
	bus_put_shared(d, holder->shared_with);
	if (viewer.all)
		put_mappings(d, holder);
	dict_end(d);
}

void bus_put_uses(struct dict *d, const uint32_t counts[_DG_USE_MAX], uint64_t mapped_bytes)
{
	static const char *const keys[_DG_USE_MAX] = {
		[DG_USE_MAPPED] = "Mapped", [DG_USE_OPEN] = "Open", [DG_USE_CWD] = "Cwd",
		[DG_USE_ROOT] = "Root",     [DG_USE_EXE] = "Exe",   [DG_USE_KERNEL] = "Kernel",
	};

	for (size_t use = 0; use < _DG_USE_MAX; use++)
		dict_u32(d, keys[use], counts[use]);
	dict_u64(d, "MappedBytes", mapped_bytes);
}

void bus_put_shared(struct dict *d, pid_t shared_with)
{
	if (shared_with > 0)
		dict_u32(d, "SharedWith", (uint32_t)shared_with);
}

bool viewer_sees(struct viewer viewer, uid_t uid)
{
	return viewer.all || uid == viewer.uid;
}

void others_add(struct others *others, const uint32_t counts[_DG_USE_MAX], uint64_t mapped_bytes)
{
	others->n++;
	for (size_t use = 0; use < _DG_USE_MAX; use++)
		others->counts[use] += counts[use];
	others->mapped_bytes += mapped_bytes;
}

void bus_put_others(struct dict *d, struct viewer viewer, const struct others *others)
{
	if (viewer.all)
		return;
	dict_part_begin(d, "Others");
	dict_u32(d, "Holders", others->n);
	bus_put_uses(d, others->counts, others->mapped_bytes);
	dict_part_end(d);
}

static void put_file_systems(struct dict *d, const struct dg_fs_list *fs)
{
	dict_list_begin(d, "FileSystems");
	for (size_t i = 0; i < fs->n_items; i++) {
		const struct dg_fs *item = &fs->items[i];

		dict_begin(d);
		dict_word(d, "Type", item->type);
		dict_dev(d, "DevNum", item->fs_dev);
		dict_dev(d, "BlockDevNum", item->block_dev);
		dict_flags(d, "Flags", item->flags, fs_flags, N(fs_flags));
		dict_u64(d, "Inodes", item->inodes);
		dict_u64(d, "Entries", item->entries);
		dict_end(d);
	}
	dict_list_end(d);
}

void bus_put_holders(struct dict *d, const char *name, struct viewer viewer,
		     const struct dg_holder_list *holders, const struct dg_fs_list *fs)
{
	struct others others = {};

	dict_begin(d);
	dict_word(d, "Device", name);
	dict_bool(d, "Truncated", holders->truncated || fs->truncated);
	dict_list_begin(d, "Holders");
	for (size_t i = 0; i < holders->n_items; i++) {
		const struct dg_holder *holder = &holders->items[i];

		if (viewer_sees(viewer, holder->uid))
			put_holder(d, viewer, holder);
		else
			others_add(&others, holder->counts, holder->mapped_bytes);
	}
	dict_list_end(d);
	bus_put_others(d, viewer, &others);
	put_file_systems(d, fs);
	dict_end(d);
}

static bool is_called(const struct manager_device *device, const char *text)
{
	return strcmp(text, device->name) == 0 || strcmp(text, device->ns_device) == 0 ||
	       strcmp(text, device->ns_name) == 0 ||
	       (device->uuid[0] && strcasecmp(text, device->uuid) == 0);
}

static const char *short_name(const char *text)
{
	return strncmp(text, "/dev/", 5) == 0 ? text + 5 : text;
}

const struct manager_device *bus_find_guarded(struct manager *m, const char *text)
{
	const struct manager_device *devices;
	dg_dev_t dev = 0;
	size_t n_devices;

	text = short_name(text);
	if (!*text)
		return NULL;
	(void)!dg_dev_parse(text, &dev);
	devices = manager_devices(m, &n_devices);
	for (size_t i = 0; i < n_devices; i++)
		if (is_called(&devices[i], text) || (dev != 0 && devices[i].dev == dev))
			return &devices[i];
	return NULL;
}

int bus_find_device(struct manager *m, const char *text, dg_dev_t *ret)
{
	const struct manager_device *device = bus_find_guarded(m, text);

	if (device) {
		*ret = device->dev;
		return 0;
	}
	return dg_dev_parse(short_name(text), ret) < 0 ? -ENODEV : 0;
}

int bus_explain_device(sd_bus_error *error, int r, const char *device)
{
	switch (r) {
	case -ENODEV:
		return sd_bus_error_setf(error, DG_BUS_ERROR_NO_SUCH_DEVICE,
					 "\"%s\" is no device that is guarded", device);
	case -EOPNOTSUPP:
		return sd_bus_error_setf(error, DG_BUS_ERROR_NO_MODULE,
					 "only the module can tell who uses %s, and it is not "
					 "loaded: " DG_MODULE_HINT,
					 device);
	case -EBUSY:
	case -ENOSPC:
		return sd_bus_error_set(error, DG_BUS_ERROR_BUSY,
					"too many ask at once; try again");
	case -ETIME:
		return sd_bus_error_setf(error, DG_BUS_ERROR_TIMED_OUT,
					 "no answer in time: who uses %s is not known", device);
	default:
		return sd_bus_error_setf(error, DG_BUS_ERROR_FAILED,
					 "cannot find out who uses %s: %s", device, strerror(-r));
	}
}
