/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "step/checkpoint-run.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define DAY_S 86400
#define SCOPE "daxguard-restored-"

void checkpoint_file(enum checkpoint_run run, const struct dg_checkpoint_id *id, const char *kind,
		     char name[static CHECKPOINT_NAME_MAX])
{
	char text[DG_CHECKPOINT_ID_MAX];

	dg_checkpoint_id_format(id, text);
	snprintf(name, CHECKPOINT_NAME_MAX, "%s.%s%s", text,
		 run == CHECKPOINT_RESTORE ? "restore-" : "", kind);
}

/* "0123abcd-17-4711.result", and ".restore-result". */
static bool parse_result(const char *name, struct dg_checkpoint_id *ret)
{
	char id[DG_CHECKPOINT_ID_MAX];
	const char *dot = strchr(name, '.');

	if (!dot || (size_t)(dot - name) >= sizeof(id) ||
	    (strcmp(dot, ".result") != 0 && strcmp(dot, ".restore-result") != 0))
		return false;
	snprintf(id, sizeof(id), "%.*s", (int)(dot - name), name);
	return dg_checkpoint_id_parse(id, ret) >= 0;
}

void checkpoint_drop_results(int dir_fd, const struct dg_checkpoint_id *id)
{
	int fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *entry;
	time_t now = time(NULL);

	while (dir && (entry = readdir(dir))) {
		struct dg_checkpoint_id other;
		struct stat status;

		if (parse_result(entry->d_name, &other) &&
		    (other.incident != id->incident || strcmp(other.boot, id->boot) != 0) &&
		    fstatat(fd, entry->d_name, &status, AT_SYMLINK_NOFOLLOW) >= 0 &&
		    now - status.st_mtime > DAY_S)
			(void)unlinkat(fd, entry->d_name, 0);
	}
	if (dir)
		closedir(dir);
	else if (fd >= 0)
		close(fd);
}

void checkpoint_unit(enum checkpoint_run run, const struct dg_checkpoint_id *id,
		     char name[static CHECKPOINT_NAME_MAX])
{
	char text[DG_CHECKPOINT_ID_MAX];

	dg_checkpoint_id_format(id, text);
	snprintf(name, CHECKPOINT_NAME_MAX, "daxguard-%s-%s.service",
		 run == CHECKPOINT_RESTORE ? "restore" : "checkpoint", text);
}

void checkpoint_scope(const struct dg_checkpoint_id *id, char name[static CHECKPOINT_NAME_MAX])
{
	char text[DG_CHECKPOINT_ID_MAX];

	dg_checkpoint_id_format(id, text);
	snprintf(name, CHECKPOINT_NAME_MAX, SCOPE "%s.scope", text);
}

bool checkpoint_is_scope(const char *unit)
{
	const char *dot = strrchr(unit, '.');

	return strncmp(unit, SCOPE, strlen(SCOPE)) == 0 && dot && strcmp(dot, ".scope") == 0;
}

uint64_t checkpoint_now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}
