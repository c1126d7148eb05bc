/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "checkpoint/smaps.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define FLAGS "VmFlags:"

/* "7f12a000-7f13a000 rw-s 00001000 103:00 13                /mnt/pmem/file" */
static bool read_mapping(const char *line, struct smaps_mapping *mapping)
{
	struct smaps_mapping read;

	if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %*4s %" SCNx64, &read.start, &read.end,
		   &read.offset) != 3)
		return false;
	*mapping = read;
	return true;
}

static bool has_flag(const char *flags, const char *flag)
{
	size_t n = strlen(flag);

	for (flags += strspn(flags, " "); *flags && *flags != '\n'; flags += strspn(flags, " ")) {
		size_t len = strcspn(flags, " \n");

		if (len == n && strncmp(flags, flag, n) == 0)
			return true;
		flags += len;
	}
	return false;
}

/* sh: a shared mapping of a file that was open for writing; others only have ms. */
static bool is_synced(const char *line)
{
	return strncmp(line, FLAGS, strlen(FLAGS)) == 0 && has_flag(line + strlen(FLAGS), "sf") &&
	       has_flag(line + strlen(FLAGS), "sh");
}

int smaps_foreach_synced(FILE *file, smaps_func func, void *userdata)
{
	struct smaps_mapping mapping = {};
	char *line = NULL;
	size_t size = 0;
	int r = 0;

	errno = 0;
	while (r == 0 && getline(&line, &size, file) > 0) {
		if (!read_mapping(line, &mapping) && is_synced(line))
			r = func(userdata, &mapping);
		errno = 0;
	}
	/* Not only the end of it. */
	if (r == 0 && errno != 0)
		r = -errno;
	free(line);
	return r;
}
