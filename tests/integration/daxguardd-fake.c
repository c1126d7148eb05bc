/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The daemon with another outside: everything below the directory DAXGUARD_TEST_DIR. */
#include <stdio.h>
#include <stdlib.h>

#include "daemon.h"

static const char *below(const char *dir, const char *name)
{
	char *path;

	if (asprintf(&path, "%s/%s", dir, name) < 0)
		abort();
	return path;
}

int main(int argc, char *argv[])
{
	const char *dir = getenv("DAXGUARD_TEST_DIR");
	static struct manager_paths paths;

	if (!dir)
		abort();
	paths = (struct manager_paths){
		.run_dir = below(dir, "run"),
		.step = below(dir, "step"),
		.config = below(dir, "daxguardd.conf"),
		.journal = below(dir, "journal"),
		.kmsg = below(dir, "kmsg"),
		.proc = "/proc",
	};
	return daemon_run(argc, argv, &paths);
}
