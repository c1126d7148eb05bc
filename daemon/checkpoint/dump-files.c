/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "checkpoint/dump.h"
#include "checkpoint/uses.h"
#include "core/grow.h"

static bool is_of_device(const struct dump *dump, dg_dev_t dev)
{
	for (size_t i = 0; i < dump->request->n_mounts; i++)
		if (dump->request->mounts[i].fs_dev == dev)
			return true;
	return false;
}

static dg_dev_t dev_of(const struct stat *status)
{
	return DG_DEV(major(status->st_dev), minor(status->st_dev));
}

/* NULL: it is not known, or of no device that goes. */
static struct dg_manifest_file *find(const struct dump *dump, const struct stat *status)
{
	for (size_t i = 0; i < dump->n_files; i++)
		if (dump->files[i].ino == status->st_ino && dump->files[i].fs_dev == dev_of(status))
			return &dump->files[i];
	return NULL;
}

static int each_use(void *userdata, const struct stat *status, int dir_fd, const char *link)
{
	struct dump *dump = userdata;
	struct dg_manifest_file file = {
		.ino = status->st_ino,
		.size = (uint64_t)status->st_size,
		.mtime_ns = (uint64_t)status->st_mtim.tv_sec * 1000000000 +
			    (uint64_t)status->st_mtim.tv_nsec,
		.fs_dev = dev_of(status),
	};
	char path[PATH_MAX];
	ssize_t n;

	/* One that has no name any more is in the images, or CRIU has refused it. */
	if (!S_ISREG(status->st_mode) || status->st_nlink == 0 ||
	    !is_of_device(dump, file.fs_dev) || find(dump, status))
		return 0;
	n = readlinkat(dir_fd, link, path, sizeof(path) - 1);
	if (n < 0)
		return 0;
	path[n] = '\0';
	if (DG_GROW(dump->files, dump->n_files) < 0)
		return -ENOMEM;
	file.path = strdup(path);
	if (!file.path)
		return -ENOMEM;
	dump->files[dump->n_files++] = file;
	return 0;
}

int dump_find_files(struct dump *dump)
{
	int r = 0;

	for (size_t i = 0; r >= 0 && i < dump->tree.n_items; i++)
		r = uses_foreach(dump->proc_fd, dump->tree.items[i].pid, each_use, dump);
	return r;
}

void dump_mark_synced(struct dump *dump, const struct stat *status)
{
	struct dg_manifest_file *file = find(dump, status);

	if (file)
		file->sync = true;
}

void dump_files_done(struct dump *dump)
{
	for (size_t i = 0; i < dump->n_files; i++)
		free((void *)dump->files[i].path);
	free(dump->files);
	dump->files = NULL;
	dump->n_files = 0;
}
