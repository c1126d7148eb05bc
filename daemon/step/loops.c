/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/loop.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "step/loops.h"
#include "step/mount-table.h"

/* lo_device is the kernel's encoding of the dev_t that fstat() would show. */
static bool is_on_devs(const struct step *step, const struct loop_info64 *info)
{
	return step_has_dev(step, step_dev(info->lo_device)) ||
	       step_has_dev(step, step_dev(info->lo_rdevice));
}

static void read_file(const char *name, char *buffer, size_t size)
{
	char path[sizeof("/sys/block//loop/backing_file") + NAME_MAX];
	ssize_t n = -1;
	int fd;

	snprintf(path, sizeof(path), "/sys/block/%s/loop/backing_file", name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0) {
		n = read(fd, buffer, size - 1);
		close(fd);
	}
	buffer[n > 0 ? n - 1 : 0] = 0; /* its newline */
}

/* Not of its partitions: "loop0p1". */
static bool is_loop(const struct dirent *entry)
{
	const char *number = entry->d_name + strlen("loop");

	return entry->d_type == DT_BLK && strncmp(entry->d_name, "loop", 4) == 0 && *number &&
	       !number[strspn(number, "0123456789")];
}

/* By its name: to ask the file itself would be to wait for its file system. */
static bool may_be_on_devs(const struct step *step, const struct mount_table *table,
			   const char *file)
{
	const struct mount *mount = mount_table_covering(table, file);

	return strncmp(file, "/dev/", 5) == 0 || (mount && step_has_dev(step, mount->dev));
}

static int visit_loop(struct step *step, int dev_fd, const char *name, const char *file,
		      int (*func)(struct step *step, const struct loop *loop, void *userdata),
		      void *userdata)
{
	struct loop loop = {.name = name, .file = file};
	struct loop_info64 info;
	int r = 0;

	loop.fd = openat(dev_fd, name, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	if (loop.fd < 0)
		return 0;
	if (ioctl(loop.fd, LOOP_GET_STATUS64, &info) == 0 && is_on_devs(step, &info)) {
		loop.leaving = info.lo_flags & LO_FLAGS_AUTOCLEAR;
		r = func(step, &loop, userdata);
	}
	close(loop.fd);
	return r;
}

int loops_foreach(struct step *step,
		  int (*func)(struct step *step, const struct loop *loop, void *userdata),
		  void *userdata)
{
	struct mount_table table;
	const struct dirent *entry;
	char file[4096];
	DIR *dir;
	int r = 0;

	if (mount_table_read(step->proc_fd, "thread-self", &table) < 0)
		return 0;
	dir = opendir("/dev");
	while (dir && r == 0 && (entry = readdir(dir))) {
		if (!is_loop(entry))
			continue;
		read_file(entry->d_name, file, sizeof(file));
		if (file[0] && may_be_on_devs(step, &table, file))
			r = visit_loop(step, dirfd(dir), entry->d_name, file, func, userdata);
	}
	if (dir)
		closedir(dir);
	mount_table_done(&table);
	return r;
}

struct clearing {
	bool any, leaving;
};

static int clear_loop(struct step *step, const struct loop *loop, void *userdata)
{
	struct clearing *clearing = userdata;

	if (loop->leaving)
		clearing->leaving = true;
	else if (ioctl(loop->fd, LOOP_CLR_FD, 0) == 0)
		clearing->any = true;
	return 0;
}

bool loops_clear(struct step *step, bool *ret_leaving)
{
	struct clearing clearing = {};

	(void)loops_foreach(step, clear_loop, &clearing);
	*ret_leaving = clearing.leaving;
	return clearing.any;
}
