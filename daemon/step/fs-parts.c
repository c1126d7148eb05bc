/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "step/fs-parts.h"
#include "step/mount-table.h"

static bool find_device(const char *options, const char *key, dg_dev_t *ret)
{
	size_t n_key = strlen(key), n;
	char path[PATH_MAX];
	struct stat st;

	for (const char *at = options; *at; at += n + (at[n] == ',')) {
		n = strcspn(at, ",");
		if (n <= n_key || n >= sizeof(path) || strncmp(at, key, n_key) != 0)
			continue;
		memcpy(path, at + n_key, n - n_key);
		path[n - n_key] = '\0';
		/* As it was given to mount(8); elsewhere somebody else may have to answer. */
		if (strncmp(path, "/dev/", 5) != 0 || stat(path, &st) < 0 || !S_ISBLK(st.st_mode))
			continue;
		*ret = step_dev(st.st_rdev);
		return true;
	}
	return false;
}

static bool is_there(const struct fs_part *parts, size_t n, dg_dev_t fs_dev, dg_dev_t dev)
{
	for (size_t i = 0; i < n; i++)
		if (parts[i].fs_dev == fs_dev && parts[i].dev == dev)
			return true;
	return false;
}

int fs_parts_read(const struct step *step, struct fs_part **ret, size_t *ret_n)
{
	static const char *const keys[] = {"logdev=", "rtdev="};
	struct fs_part *parts = NULL, *grown;
	struct mount_table table;
	size_t n = 0;
	dg_dev_t dev;
	int r = 0;

	if (mount_table_read(step->proc_fd, "1", &table) < 0)
		table = (struct mount_table){};
	for (size_t i = 0; i < table.n_items * 2 && r >= 0; i++) {
		const struct mount *mount = &table.items[i / 2];

		if (strcmp(mount->type, "xfs") != 0 ||
		    !find_device(mount->options, keys[i % 2], &dev) || !step_has_dev(step, dev) ||
		    is_there(parts, n, mount->dev, dev))
			continue;
		grown = reallocarray(parts, n + 1, sizeof(*grown));
		if (!grown) {
			r = -ENOMEM;
			break;
		}
		parts = grown;
		grown[n++] = (struct fs_part){mount->dev, dev};
	}
	mount_table_done(&table);
	if (r < 0) {
		free(parts);
		return r;
	}
	*ret = parts;
	*ret_n = n;
	return 0;
}

bool fs_part_is_journal(const struct step *step, const char *name)
{
	char path[DG_NAME_MAX + 16];

	/* Those within a file system have its inode's number behind the name. */
	snprintf(path, sizeof(path), "fs/jbd2/%s", name);
	return faccessat(step->proc_fd, path, F_OK, 0) == 0;
}
