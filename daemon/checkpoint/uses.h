/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a process has mapped or open. Nothing is opened, and nothing is looked at by name. */
#pragma once

#include <sys/stat.h>
#include <sys/types.h>

/*
 * Calls func for each, also more than once for the same file, until it returns other
 * than 0, and returns that. link: to be read with readlinkat(2) of dir_fd. Of who has
 * gone, or may not be looked at, there is nothing.
 */
typedef int (*uses_func)(void *userdata, const struct stat *status, int dir_fd, const char *link);
int uses_foreach(int proc_fd, pid_t pid, uses_func func, void *userdata);
int uses_foreach_mapped(int proc_fd, pid_t pid, uses_func func, void *userdata);

/* The driver that a character device has is that of device-dax. */
int uses_is_device_dax(const struct stat *status);
