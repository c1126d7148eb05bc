/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a step prints: its records, and the mounts that are made of them. */
#include <stdlib.h>
#include <string.h>

#include "core/mount.h"
#include "core/record.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *cursor = (const char *)data, *end = cursor + size, *record;
	struct dg_mount_list mounts;
	size_t sum = 0;
	uint64_t number;
	dg_dev_t dev;
	size_t len;

	while ((record = dg_record_next(&cursor, end, &len))) {
		const char *path = dg_record_get(record, len, "PATH");

		sum += path ? strlen(path) : 0;
		dg_record_get_u64(record, len, "NS", &number);
		dg_record_get_dev(record, len, "DEV", &dev);
	}
	if (dg_mount_list_read((const char *)data, size, &mounts) < 0)
		return 0;
	for (size_t i = 0; i < mounts.n_items; i++)
		sum += strlen(mounts.items[i].path) + strlen(mounts.items[i].result);
	dg_mount_list_done(&mounts);
	/* So that every string was read to its end. */
	if (sum > 4 * size)
		abort();
	return 0;
}
