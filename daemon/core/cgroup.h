/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the path of a control group says: units of systemd, as it names groups
 * after them, and containers by the names that their managers give.
 */
#pragma once

#define DG_CGROUP_NAME_MAX 256 /* of one part of a path, and its NUL */

/* "": it has none. */
struct dg_cgroup_names {
	char unit[DG_CGROUP_NAME_MAX];      /* of the system's manager */
	char user_unit[DG_CGROUP_NAME_MAX]; /* of a user's, below his user@UID.service */
	/* Of systemd-machined, or the 64 hex digits of docker, podman, CRI; or lxc's. */
	char container[DG_CGROUP_NAME_MAX];
};

/* path: as in /proc/PID/cgroup, "/system.slice/a.service". */
void dg_cgroup_parse(const char *path, struct dg_cgroup_names *ret);
