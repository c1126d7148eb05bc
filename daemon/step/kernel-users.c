/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <dirent.h>
#include <fcntl.h>
#include <libmount.h>
#include <linux/loop.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "step/kernel-users.h"

/* The file lies on one of the devices, or is one. */
static bool path_on_devs(const struct step *step, const char *path)
{
	struct stat st;

	if (stat(path, &st) < 0)
		return false;
	return step_has_dev(step, step_dev(st.st_dev)) ||
	       (S_ISBLK(st.st_mode) && step_has_dev(step, step_dev(st.st_rdev)));
}

/* Some line of the file begins with the name of something on the devices. */
static bool listed(const struct step *step, const char *name)
{
	size_t size = 0;
	char *line = NULL;
	bool found = false;
	FILE *file;
	int fd;

	fd = openat(step->proc_fd, name, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	file = fdopen(fd, "r");
	if (!file) {
		close(fd);
		return false;
	}
	while (!found && getline(&line, &size, file) > 0) {
		char *path;

		line[strcspn(line, " \t\n")] = 0;
		if (line[0] != '/')
			continue;
		path = mnt_unmangle(line); /* \040 and the like */
		found = path && path_on_devs(step, path);
		free(path);
	}
	free(line);
	fclose(file);
	return found;
}

bool kernel_users_swap(const struct step *step)
{
	return listed(step, "swaps");
}

static bool is_nfsd(const struct step *step)
{
	return listed(step, "fs/nfsd/exports") || listed(step, "fs/nfs/exports");
}

/* lo_device is the kernel's encoding of the dev_t that fstat() would show. */
static bool loop_on_devs(const struct step *step, const char *path)
{
	struct loop_info64 info;
	bool found = false;
	int fd;

	fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return false;
	if (ioctl(fd, LOOP_GET_STATUS64, &info) == 0)
		found = step_has_dev(step, step_dev(info.lo_device)) ||
			step_has_dev(step, step_dev(info.lo_rdevice));
	close(fd);
	return found;
}

static bool is_loop(const struct step *step)
{
	const struct dirent *entry;
	bool found = false;
	DIR *dir;

	dir = opendir("/dev");
	if (!dir)
		return false;
	while (!found && (entry = readdir(dir))) {
		char path[sizeof("/dev/") + sizeof(entry->d_name)];

		if (strncmp(entry->d_name, "loop", 4) != 0 || entry->d_type != DT_BLK)
			continue;
		snprintf(path, sizeof(path), "/dev/%s", entry->d_name);
		found = loop_on_devs(step, path);
	}
	closedir(dir);
	return found;
}

static int report(struct step *step, const char *kind, bool there)
{
	if (!there)
		return 0;
	dg_record_field(&step->writer, "KERNEL", kind);
	return step_emit(step);
}

int kernel_users_report(struct step *step)
{
	int r;

	r = report(step, "swap", kernel_users_swap(step));
	if (r >= 0)
		r = report(step, "loop", is_loop(step));
	if (r >= 0)
		r = report(step, "nfsd", is_nfsd(step));
	return r;
}
