/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "checkpoint/uses.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <unistd.h>

static int each_of(int dir_fd, uses_func func, void *userdata)
{
	const struct dirent *entry;
	DIR *dir = fdopendir(dir_fd);
	struct stat status;
	int r = 0;

	if (!dir) {
		close(dir_fd);
		return 0;
	}
	while (r == 0 && (entry = readdir(dir)))
		/* Through the link, which leads to the file itself. */
		if (entry->d_name[0] != '.' && fstatat(dir_fd, entry->d_name, &status, 0) == 0)
			r = func(userdata, &status, dir_fd, entry->d_name);
	closedir(dir);
	return r;
}

static int foreach_in(int proc_fd, pid_t pid, const char *dir, uses_func func, void *userdata)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "%d/%s", pid, dir);
	fd = openat(proc_fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? 0 : each_of(fd, func, userdata);
}

int uses_foreach_mapped(int proc_fd, pid_t pid, uses_func func, void *userdata)
{
	return foreach_in(proc_fd, pid, "map_files", func, userdata);
}

int uses_foreach(int proc_fd, pid_t pid, uses_func func, void *userdata)
{
	int r = uses_foreach_mapped(proc_fd, pid, func, userdata);

	return r == 0 ? foreach_in(proc_fd, pid, "fd", func, userdata) : r;
}

int uses_is_device_dax(const struct stat *status)
{
	char path[64], target[PATH_MAX];
	const char *name;
	ssize_t n;

	if (!S_ISCHR(status->st_mode))
		return 0;
	snprintf(path, sizeof(path), "/sys/dev/char/%u:%u/subsystem", major(status->st_rdev),
		 minor(status->st_rdev));
	n = readlink(path, target, sizeof(target) - 1);
	if (n < 0)
		return 0;
	target[n] = '\0';
	name = strrchr(target, '/');
	return name && strcmp(name + 1, "dax") == 0;
}
