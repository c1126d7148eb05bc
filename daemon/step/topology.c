/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <daxctl/libdaxctl.h>
#include <errno.h>
#include <libudev.h>
#include <ndctl/libndctl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "step/layers.h"
#include "step/mount-table.h"
#include "step/step.h"
#include "step/system-device.h"

/*
 * Reads nd sysfs, which blocks while a removal is held: only to be started
 * while none is, and killed when one begins.
 */

struct topology {
	struct step *step;
	struct udev *udev;
	struct mount_table mounts;
};

/* What is told of one device; strings belong to the libraries. */
struct device {
	const char *name;      /* pmem0, dax0.0 */
	const char *ns_device; /* the nd device it belongs to: pfn0.0 */
	const char *ns_name;   /* namespace0.0 */
	const char *mode, *region, *bus, *provider;
	const char *subsystem; /* where name is found: block or dax */
	unsigned long long size;
	int numa_node;
	uuid_t uuid;
};

static void field_uuid(struct dg_record_writer *writer, const uuid_t uuid)
{
	static const uuid_t none;
	char text[37], *p = text;

	if (memcmp(uuid, none, sizeof(none)) == 0)
		return;
	for (size_t i = 0; i < sizeof(none); i++) {
		if (i == 4 || i == 6 || i == 8 || i == 10)
			*p++ = '-';
		p += sprintf(p, "%02x", uuid[i]);
	}
	dg_record_field(writer, "UUID", text);
}

static void field_if(struct dg_record_writer *writer, const char *key, const char *value)
{
	if (value && *value)
		dg_record_field(writer, key, value);
}

/* The names under /dev/disk/by-path that udev has given it. */
static void fields_by_path(struct dg_record_writer *writer, struct udev_device *device)
{
	struct udev_list_entry *link;

	udev_list_entry_foreach(link, udev_device_get_devlinks_list_entry(device))
	{
		const char *name = udev_list_entry_get_name(link);

		if (strncmp(name, "/dev/disk/by-path/", 18) == 0)
			dg_record_field(writer, "BY_PATH", name);
	}
}

static void field_driver(struct topology *topology, const struct device *device,
			 struct udev_device *node)
{
	const char *driver = udev_device_get_driver(node);
	struct udev_device *owner;

	/* A disk has none of its own: that of the nd device below it. */
	if (driver || !device->ns_device) {
		field_if(&topology->step->writer, "DRIVER", driver);
		return;
	}
	owner = udev_device_new_from_subsystem_sysname(topology->udev, "nd", device->ns_device);
	if (owner)
		field_if(&topology->step->writer, "DRIVER", udev_device_get_driver(owner));
	udev_device_unref(owner);
}

static int emit_reason(struct step *step, const char *reason, void *userdata)
{
	const char *name = userdata;

	dg_record_field(&step->writer, "SYSTEM_OF", name);
	dg_record_field(&step->writer, "WHY", reason);
	return step_emit(step);
}

/* What is built on it, and the numbers of all that for emit_mounts(). */
static int emit_layers(struct topology *topology, const char *name)
{
	struct step *step = topology->step;
	struct dg_layer *layers;
	size_t n_layers;
	int r;

	r = layers_read(name, &layers, &n_layers);
	if (r < 0)
		return r == -ENOENT ? 0 : r;
	step->devs = calloc(n_layers, sizeof(*step->devs));
	if (!step->devs)
		r = -ENOMEM;
	for (size_t i = 0; i < n_layers && r >= 0; i++) {
		step->devs[step->n_devs++] = layers[i].dev;
		if (i == 0)
			continue;
		dg_record_field(&step->writer, "LAYER_OF", name);
		dg_record_field(&step->writer, "LAYER", layers[i].name);
		dg_record_field_dev(&step->writer, "DEV", layers[i].dev);
		r = step_emit(step);
	}
	free(layers);
	return r;
}

/* Where it is mounted, and whether the machine lives on it: with all that is built on it. */
static int emit_mounts(struct topology *topology, const char *name)
{
	struct step *step = topology->step;
	int r;

	r = emit_layers(topology, name);
	for (size_t i = 0; i < topology->mounts.n_items && r >= 0; i++) {
		const struct mount *mount = &topology->mounts.items[i];

		if (!step_has_dev(step, mount->dev))
			continue;
		dg_record_field(&step->writer, "MOUNT_OF", name);
		dg_record_field(&step->writer, "PATH", mount->path);
		dg_record_field(&step->writer, "TYPE", mount->type);
		dg_record_field_dev(&step->writer, "DEV", mount->dev);
		r = step_emit(step);
	}
	if (r >= 0 && step->n_devs > 0)
		r = system_device_reasons(step, &topology->mounts, emit_reason, (void *)name);
	free(step->devs);
	step->devs = NULL;
	step->n_devs = 0;
	return r;
}

/* Which of those that had its number since boot it is; the kernel says so since 5.15. */
static void field_diskseq(struct dg_record_writer *writer, struct udev_device *node)
{
	field_if(writer, "DISKSEQ", udev_device_get_sysattr_value(node, "diskseq"));
}

static int emit_device(struct topology *topology, const struct device *device)
{
	struct dg_record_writer *writer = &topology->step->writer;
	struct udev_device *node;
	int r;

	node = udev_device_new_from_subsystem_sysname(topology->udev, device->subsystem,
						      device->name);
	if (!node)
		return 0; /* disabled, or gone since it was listed */
	dg_record_field(writer, "NAME", device->name);
	dg_record_field_dev(writer, "DEV", step_dev(udev_device_get_devnum(node)));
	field_diskseq(writer, node);
	dg_record_field(writer, "MODE", device->mode);
	dg_record_field_u64(writer, "SIZE", device->size);
	field_if(writer, "NS_DEVICE", device->ns_device);
	field_if(writer, "NAMESPACE", device->ns_name);
	field_if(writer, "REGION", device->region);
	field_if(writer, "BUS", device->bus);
	field_if(writer, "PROVIDER", device->provider);
	field_uuid(writer, device->uuid);
	if (device->numa_node >= 0)
		dg_record_field_u64(writer, "NUMA", (uint64_t)device->numa_node);
	field_driver(topology, device, node);
	fields_by_path(writer, node);
	udev_device_unref(node);
	r = step_emit(topology->step);
	if (r >= 0 && strcmp(device->subsystem, "block") == 0)
		r = emit_mounts(topology, device->name);
	return r;
}

static int emit_dax(struct topology *topology, struct daxctl_region *region, struct device device)
{
	struct daxctl_dev *dev;
	int r = 0;

	device.subsystem = "dax";
	device.mode = "devdax";
	if (!region)
		return 0;
	daxctl_dev_foreach(region, dev)
	{
		device.name = daxctl_dev_get_devname(dev);
		device.size = daxctl_dev_get_size(dev);
		r = emit_device(topology, &device);
		if (r < 0)
			break;
	}
	return r;
}

static int each_namespace(struct topology *topology, struct ndctl_namespace *space)
{
	struct ndctl_region *region = ndctl_namespace_get_region(space);
	struct ndctl_bus *bus = ndctl_region_get_bus(region);
	struct ndctl_btt *btt = ndctl_namespace_get_btt(space);
	struct ndctl_pfn *pfn = ndctl_namespace_get_pfn(space);
	struct ndctl_dax *dax = ndctl_namespace_get_dax(space);
	struct device device = {
		.ns_name = ndctl_namespace_get_devname(space),
		.region = ndctl_region_get_devname(region),
		.bus = ndctl_bus_get_devname(bus),
		.provider = ndctl_bus_get_provider(bus),
		.numa_node = ndctl_namespace_get_numa_node(space),
		.subsystem = "block",
	};

	if (dax) {
		ndctl_dax_get_uuid(dax, device.uuid);
		device.ns_device = ndctl_dax_get_devname(dax);
		return emit_dax(topology, ndctl_dax_get_daxctl_region(dax), device);
	}
	if (btt) {
		ndctl_btt_get_uuid(btt, device.uuid);
		device.ns_device = ndctl_btt_get_devname(btt);
		device.name = ndctl_btt_get_block_device(btt);
		device.size = ndctl_btt_get_size(btt);
		device.mode = "sector";
	} else if (pfn) {
		ndctl_pfn_get_uuid(pfn, device.uuid);
		device.ns_device = ndctl_pfn_get_devname(pfn);
		device.name = ndctl_pfn_get_block_device(pfn);
		device.size = ndctl_pfn_get_size(pfn);
		device.mode = "fsdax";
	} else {
		ndctl_namespace_get_uuid(space, device.uuid);
		device.ns_device = device.ns_name;
		device.name = ndctl_namespace_get_block_device(space);
		device.size = ndctl_namespace_get_size(space);
		/* Memory that the firmware describes as such has DAX with no pfn device. */
		device.mode =
			ndctl_namespace_get_mode(space) == NDCTL_NS_MODE_FSDAX ? "fsdax" : "raw";
	}
	if (!device.name || !*device.name)
		return 0;
	return emit_device(topology, &device);
}

static int each_bus(struct topology *topology, struct ndctl_bus *bus)
{
	struct ndctl_namespace *space;
	struct ndctl_region *region;
	int r;

	ndctl_region_foreach(bus, region)
	{
		ndctl_namespace_foreach(region, space)
		{
			if (!ndctl_namespace_is_active(space))
				continue;
			r = each_namespace(topology, space);
			if (r < 0)
				return r;
		}
	}
	return 0;
}

/* The DAX devices that no namespace is under: CXL, and memory set aside by the firmware. */
static int each_other_dax(struct topology *topology, struct ndctl_ctx *nd)
{
	struct daxctl_region *region;
	int r = 0;

	daxctl_region_foreach(ndctl_get_daxctl_ctx(nd), region)
	{
		struct device device = {
			.region = daxctl_region_get_devname(region),
			.numa_node = -1,
		};
		const char *path = daxctl_region_get_path(region);

		if (path && strstr(path, "/ndbus"))
			continue;
		r = emit_dax(topology, region, device);
		if (r < 0)
			break;
	}
	return r;
}

int verb_topology(struct step *step)
{
	struct topology topology = {.step = step};
	struct ndctl_ctx *nd = NULL;
	struct ndctl_bus *bus;
	int r;

	/* Steps live in the host's mount namespace, as the daemon does. */
	r = mount_table_read(step->proc_fd, "self", &topology.mounts);
	if (r < 0)
		return r;
	topology.udev = udev_new();
	r = topology.udev ? ndctl_new(&nd) : -ENOMEM;
	if (r >= 0)
		ndctl_bus_foreach(nd, bus)
		{
			r = each_bus(&topology, bus);
			if (r < 0)
				break;
		}
	if (r >= 0)
		r = each_other_dax(&topology, nd);
	if (nd)
		ndctl_unref(nd);
	udev_unref(topology.udev);
	mount_table_done(&topology.mounts);
	return r < 0 ? r : STEP_EXIT_OK;
}
