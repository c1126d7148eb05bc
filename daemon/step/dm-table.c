/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <linux/dm-ioctl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "step/dm-table.h"

#define CONTROL "/dev/mapper/control"
#define SECTOR 512ULL
#define TABLE_MAX (4U << 20) /* bytes; some ten thousand targets */

/* The table into *ret, which grows until it fits. */
static int ask(int fd, dg_dev_t dev, struct dm_ioctl **ret)
{
	struct dm_ioctl *grown;

	for (uint32_t size = 16384; size <= TABLE_MAX; size *= 4) {
		grown = realloc(*ret, size);
		if (!grown)
			return -ENOMEM;
		*ret = grown;
		*grown = (struct dm_ioctl){
			.version = {DM_VERSION_MAJOR, 0, 0},
			.data_size = size,
			.data_start = sizeof(*grown),
			.flags = DM_STATUS_TABLE_FLAG | DM_NOFLUSH_FLAG,
			.dev = makedev(DG_DEV_MAJOR(dev), DG_DEV_MINOR(dev)),
		};
		if (ioctl(fd, DM_TABLE_STATUS, grown) < 0)
			return -errno;
		if (!(grown->flags & DM_BUFFER_FULL_FLAG))
			return 0;
	}
	return -E2BIG;
}

static int add_target(const struct dm_target_spec *spec, const char *text, dg_dev_t below,
		      struct extent *extents, size_t *n, bool *whole)
{
	unsigned major, minor;
	unsigned long long start;

	/* These are made of nothing. */
	if (strcmp(spec->target_type, "zero") == 0 || strcmp(spec->target_type, "error") == 0)
		return 0;
	if (strcmp(spec->target_type, "linear") != 0) {
		*whole = false;
		return 0;
	}
	if (sscanf(text, "%u:%u %llu", &major, &minor, &start) != 3)
		return -EBADMSG;
	if (DG_DEV(major, minor) == below)
		extents[(*n)++] = (struct extent){start * SECTOR, spec->length * SECTOR,
						  spec->sector_start * SECTOR};
	return 0;
}

static int read_targets(const struct dm_ioctl *table, dg_dev_t below, struct extent **ret,
			size_t *ret_n, bool *ret_whole)
{
	const char *data = (const char *)table + table->data_start;
	size_t size = table->data_size - table->data_start, at = 0, n = 0;
	struct extent *extents;
	bool whole = true;
	int r = 0;

	if (table->data_start > table->data_size || table->target_count > TABLE_MAX)
		return -EBADMSG;
	extents = calloc((size_t)table->target_count + 1, sizeof(*extents));
	if (!extents)
		return -ENOMEM;
	for (uint32_t i = 0; i < table->target_count && r >= 0; i++) {
		struct dm_target_spec spec;

		if (at + sizeof(spec) > size) {
			r = -EBADMSG;
			break;
		}
		memcpy(&spec, data + at, sizeof(spec));
		spec.target_type[sizeof(spec.target_type) - 1] = '\0';
		if (!memchr(data + at + sizeof(spec), 0, size - at - sizeof(spec))) {
			r = -EBADMSG;
			break;
		}
		r = add_target(&spec, data + at + sizeof(spec), below, extents, &n, &whole);
		at = spec.next; /* from the first one on */
	}
	if (r < 0) {
		free(extents);
		return r;
	}
	*ret = extents;
	*ret_n = n;
	*ret_whole = whole;
	return 0;
}

int dm_table_read(dg_dev_t dev, dg_dev_t below, struct extent **ret, size_t *ret_n, bool *ret_whole)
{
	struct dm_ioctl *table = NULL;
	int fd, r;

	fd = open(CONTROL, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	r = ask(fd, dev, &table);
	close(fd);
	if (r >= 0)
		r = read_targets(table, below, ret, ret_n, ret_whole);
	free(table);
	return r;
}
