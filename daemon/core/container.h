/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Which container a control group belongs to, by the names that their managers give. */
#pragma once

#define DG_CONTAINER_NAME_MAX 256 /* bytes, NUL included */

/*
 * path: as in /proc/PID/cgroup. The name of systemd-machined or lxc, or the 64 hex
 * digits of docker, podman, CRI; "": in none.
 */
void dg_container_of_cgroup(const char *path, char ret[static DG_CONTAINER_NAME_MAX]);
