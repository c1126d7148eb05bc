/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The daemon with another outside: everything below the directory DAXGUARD_TEST_DIR,
 * and each step takes DAXGUARD_TEST_SPAWN_US to start, as on a machine that is busy.
 */
#include <dlfcn.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "daemon.h"

static const char *below(const char *dir, const char *name)
{
	char *path;

	if (asprintf(&path, "%s/%s", dir, name) < 0)
		abort();
	return path;
}

/* NOLINTNEXTLINE(readability-inconsistent-declaration-parameter-name) */
int posix_spawn(pid_t *pid, const char *path, const posix_spawn_file_actions_t *actions,
		const posix_spawnattr_t *attributes, char *const argv[], char *const environment[])
{
	const char *slow = getenv("DAXGUARD_TEST_SPAWN_US");
	__typeof__(&posix_spawn) real = (__typeof__(&posix_spawn))dlsym(RTLD_NEXT, "posix_spawn");

	if (slow)
		usleep((useconds_t)strtoul(slow, NULL, 10));
	return real(pid, path, actions, attributes, argv, environment);
}

int main(int argc, char *argv[])
{
	const char *dir = getenv("DAXGUARD_TEST_DIR");
	static const char *policy_dirs[4];
	static struct manager_paths paths;

	if (!dir)
		abort();
	policy_dirs[0] = below(dir, "policy.etc");
	policy_dirs[1] = below(dir, "policy.run");
	policy_dirs[2] = below(dir, "policy.usr");
	paths = (struct manager_paths){
		.run_dir = below(dir, "run"),
		.state_dir = below(dir, "state"),
		.step = below(dir, "step"),
		.config = below(dir, "daxguardd.conf"),
		.journal = below(dir, "journal"),
		.kmsg = below(dir, "kmsg"),
		.proc = "/proc",
		.cgroup = getenv("DAXGUARD_TEST_CGROUP") ?: below(dir, "cgroup"),
		.systemd = getenv("DAXGUARD_TEST_SYSTEMD") ?: "unix:path=/nowhere",
		.bus = getenv("DAXGUARD_TEST_BUS"),
		.criu = below(dir, "criu"),
		.policy_dirs = policy_dirs,
	};
	return daemon_run(argc, argv, &paths);
}
