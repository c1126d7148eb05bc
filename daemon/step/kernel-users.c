/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>
#include <libmount.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "step/kernel-users.h"
#include "step/loops.h"
#include "step/mount-table.h"

/* The file lies on one of the devices, by its name: it is not asked. Or it is one of them. */
static bool path_on_devs(const struct step *step, const struct mount_table *table, const char *path)
{
	const struct mount *mount = mount_table_covering(table, path);
	struct stat st;

	if (mount && step_has_dev(step, mount->dev))
		return true;
	return strncmp(path, "/dev/", 5) == 0 && stat(path, &st) == 0 && S_ISBLK(st.st_mode) &&
	       step_has_dev(step, step_dev(st.st_rdev));
}

static int report(struct step *step, const char *kind, const char *name, const char *path)
{
	dg_record_field(&step->writer, "KERNEL", kind);
	if (name)
		dg_record_field(&step->writer, "NAME", name);
	dg_record_field(&step->writer, "PATH", path);
	return step_emit(step);
}

/*
 * The lines of the file that begin with the name of something on the devices:
 * 1 at the first one, or, if kind is given, a record for each.
 */
static int find_in_file(struct step *step, FILE *file, const struct mount_table *table,
			const char *kind)
{
	size_t size = 0;
	char *line = NULL;
	int r = 0;

	while (r == 0 && getline(&line, &size, file) > 0) {
		char *path;

		line[strcspn(line, " \t\n")] = 0;
		if (line[0] != '/')
			continue;
		path = mnt_unmangle(line); /* \040 and the like */
		if (path && path_on_devs(step, table, path))
			r = kind ? report(step, kind, NULL, path) : 1;
		free(path);
	}
	free(line);
	return r;
}

static int find_listed(struct step *step, const char *name, const char *kind)
{
	struct mount_table table;
	FILE *file;
	int fd, r = 0;

	fd = openat(step->proc_fd, name, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	file = fdopen(fd, "r");
	if (!file) {
		close(fd);
		return 0;
	}
	if (mount_table_read(step->proc_fd, "thread-self", &table) >= 0) {
		r = find_in_file(step, file, &table, kind);
		mount_table_done(&table);
	}
	fclose(file);
	return r;
}

bool kernel_users_swap(struct step *step)
{
	return find_listed(step, "swaps", NULL) > 0;
}

static int report_loop(struct step *step, const struct loop *loop, void *userdata)
{
	char name[NAME_MAX + sizeof("/dev/")];

	snprintf(name, sizeof(name), "/dev/%s", loop->name);
	return report(step, "loop", name, loop->file);
}

/* Their users are not seen as users of what they are made of. */
static int report_overlays(struct step *step)
{
	struct mount_table table;
	int r = 0;

	if (mount_table_read(step->proc_fd, "thread-self", &table) < 0)
		return 0;
	for (size_t i = 0; i < table.n_items && r >= 0; i++)
		if (strcmp(table.items[i].type, "overlay") == 0 &&
		    step_has_dev(step, table.items[i].dev))
			r = report(step, "overlay", NULL, table.items[i].path);
	mount_table_done(&table);
	return r;
}

int kernel_users_report(struct step *step)
{
	int r;

	r = find_listed(step, "swaps", "swap");
	if (r >= 0)
		r = report_overlays(step);
	if (r >= 0)
		r = loops_foreach(step, report_loop, NULL);
	if (r >= 0)
		r = find_listed(step, "fs/nfs/exports", "nfsd");
	return r;
}
