/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Which unit a control group belongs to, by its path: systemd gives each unit
 * the group of its name, below the slices that it is in.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#define DG_UNIT_NAME_MAX 256 /* bytes, NUL included; the service manager's own limit */

struct dg_unit {
	char name[DG_UNIT_NAME_MAX]; /* "redis.service" */
	size_t n_path;               /* bytes of the path that are the unit's own group */
	/*
	 * A session, a user's service manager, or pid 1: whoever else is in it has
	 * nothing to do with the process but the person.
	 */
	bool shared;
	bool scope; /* what is in it was started by others, and nobody starts it again */
};

/*
 * path: as in /proc/PID/cgroup, "/system.slice/redis.service/worker". The unit is
 * the system's, also for what a user's manager has started. -ENOENT: in none.
 */
int dg_unit_of_cgroup(const char *path, struct dg_unit *ret);

/* Of what a user's manager has started, that manager's unit. -ENOENT: it is none of those. */
int dg_user_unit_of_cgroup(const char *path, struct dg_unit *ret);

/* Whether path is this group, or below it. */
bool dg_cgroup_is_in(const char *path, const char *group, size_t n_group);
