/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* /proc/PID/stat: a process chooses its own name, brackets and all. */
#include <stdlib.h>
#include <string.h>

#include "core/procstat.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1);
	struct dg_procstat stat;

	if (!text)
		abort();
	memcpy(text, data, size);
	text[size] = '\0';
	if (dg_procstat_parse(text, &stat) >= 0) {
		/* A pid goes into kill(2): there, 0 and less are groups. */
		if (stat.pid <= 0 || stat.ppid < 0)
			abort();
		(void)dg_procstat_start_ns(&stat, 100);
	}
	free(text);
	return 0;
}
