/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "step/kernel-users.h"
#include "step/proc.h"
#include "step/system-device.h"

/* The daemon's program (whose child we are), or our own. */
static bool carries_program(const struct step *step)
{
	char paths[2][PROC_PATH_MAX] = {[1] = "self/exe"};
	struct stat st;

	snprintf(paths[0], sizeof(paths[0]), "%d/exe", getppid());
	for (int i = 0; i < 2; i++)
		if (fstatat(step->proc_fd, paths[i], &st, 0) == 0 &&
		    step_has_dev(step, step_dev(st.st_dev)))
			return true;
	return false;
}

int system_device_reasons(struct step *step, const struct mount_table *host,
			  int (*func)(struct step *step, const char *reason, void *userdata),
			  void *userdata)
{
	static const char *const paths[] = {"/", "/usr", "/var"};
	int r = 0;

	/* From the table, not by stat(): no file system has to answer for this. */
	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]) && r >= 0; i++) {
		const struct mount *mount = mount_table_covering(host, paths[i]);

		if (mount && step_has_dev(step, mount->dev))
			r = func(step, paths[i], userdata);
	}
	if (r >= 0 && kernel_users_swap(step))
		r = func(step, "swap", userdata);
	if (r >= 0 && carries_program(step))
		r = func(step, "daxguardd", userdata);
	return r;
}
