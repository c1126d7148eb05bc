/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "io/cgroup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <unistd.h>

#include "core/unit.h"

#define DEPTH_MAX 32    /* of groups below */
#define GROUPS_MAX 1024 /* looked into */

int cgroup_of(const struct cgroup_paths *paths, pid_t pid, char ret[static CGROUP_PATH_MAX])
{
	char path[64], line[CGROUP_PATH_MAX + 16];
	int r = -ENOENT;
	FILE *f;

	snprintf(path, sizeof(path), "%s/%d/cgroup", paths->proc, pid);
	f = fopen(path, "re");
	if (!f)
		return -errno;
	while (r < 0 && fgets(line, sizeof(line), f)) {
		size_t n = strcspn(line, "\n");

		/* The rest of a line must not be taken for one. */
		if (line[n] != '\n')
			break;
		line[n] = '\0';
		/* Those of version 1 have a number, or a name, before the path. */
		if (strncmp(line, "0::/", 4) != 0)
			continue;
		/* Outside of what our namespace shows. */
		if (n - 3 >= CGROUP_PATH_MAX || strstr(line, "/../"))
			break;
		memcpy(ret, line + 3, n - 2);
		r = 0;
	}
	fclose(f);
	return r;
}

static int open_group(const struct cgroup_paths *paths, const char *group, size_t n_group)
{
	char path[PATH_MAX];
	int fd, n;

	n = snprintf(path, sizeof(path), "%s%.*s", paths->root, (int)n_group, group);
	if (n < 0 || (size_t)n >= sizeof(path))
		return -ENAMETOOLONG;
	fd = open(path, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

bool cgroup_is_there(const struct cgroup_paths *paths, const char *group, size_t n_group)
{
	int dir = open_group(paths, group, n_group);
	bool there = dir >= 0 && faccessat(dir, "cgroup.kill", W_OK, 0) >= 0 &&
		     faccessat(dir, "cgroup.freeze", W_OK, 0) >= 0;

	if (dir >= 0)
		close(dir);
	return there;
}

bool cgroup_is_frozen(const struct cgroup_paths *paths, const char *group, size_t n_group)
{
	int dir = open_group(paths, group, n_group), fd;
	char value = '0';

	fd = dir < 0 ? -1 : openat(dir, "cgroup.freeze", O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (fd >= 0) {
		(void)!read(fd, &value, 1);
		close(fd);
	}
	if (dir >= 0)
		close(dir);
	return value == '1';
}

static int write_file(const struct cgroup_paths *paths, const char *group, size_t n_group,
		      const char *name, char value)
{
	int dir, fd, r = 0;

	dir = open_group(paths, group, n_group);
	if (dir < 0)
		return dir;
	fd = openat(dir, name, O_WRONLY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || write(fd, &value, 1) < 0)
		r = -errno;
	if (fd >= 0)
		close(fd);
	close(dir);
	/* It was removed between the two. */
	return r == -ENODEV ? -ENOENT : r;
}

int cgroup_freeze(const struct cgroup_paths *paths, const char *group, size_t n_group)
{
	return write_file(paths, group, n_group, "cgroup.freeze", '1');
}

int cgroup_thaw(const struct cgroup_paths *paths, const char *group, size_t n_group)
{
	return write_file(paths, group, n_group, "cgroup.freeze", '0');
}

int cgroup_kill(const struct cgroup_paths *paths, const char *group, size_t n_group)
{
	return write_file(paths, group, n_group, "cgroup.kill", '1');
}

struct walk {
	const struct cgroup_paths *paths;
	const char *group;
	size_t n_group;
	int signo;
	size_t n_signals, n_groups;
};

/* Held first, then looked at: the pid may be another's by now, elsewhere. */
static bool signal_one(struct walk *walk, pid_t pid)
{
	char where[CGROUP_PATH_MAX];
	int fd = pidfd_open(pid, 0);
	bool sent = fd >= 0 && cgroup_of(walk->paths, pid, where) >= 0 &&
		    dg_cgroup_is_in(where, walk->group, walk->n_group) &&
		    pidfd_send_signal(fd, walk->signo, NULL, 0) >= 0;

	if (fd >= 0)
		close(fd);
	return sent;
}

static int signal_processes(struct walk *walk, int dir)
{
	int fd = openat(dir, "cgroup.procs", O_RDONLY | O_NOFOLLOW | O_CLOEXEC), r = 0;
	char line[32];
	FILE *f;

	if (fd < 0)
		return -errno;
	f = fdopen(fd, "r");
	if (!f) {
		close(fd);
		return -ENOMEM;
	}
	while (r == 0 && fgets(line, sizeof(line), f)) {
		if (walk->n_signals >= CGROUP_SIGNALS_MAX)
			r = -E2BIG;
		else
			walk->n_signals += signal_one(walk, (pid_t)strtol(line, NULL, 10));
	}
	fclose(f);
	return r;
}

/* Takes the descriptor. A group that goes meanwhile has no processes. */
static int signal_group(struct walk *walk, int fd, unsigned depth)
{
	int dir_fd = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), r;
	const struct dirent *entry;
	DIR *dir;

	r = depth > DEPTH_MAX || ++walk->n_groups > GROUPS_MAX ? -E2BIG
							       : signal_processes(walk, fd);
	dir = dir_fd >= 0 ? fdopendir(dir_fd) : NULL;
	if (!dir && dir_fd >= 0)
		close(dir_fd);
	while (dir && r != -E2BIG && (entry = readdir(dir))) {
		int below;

		if (entry->d_type != DT_DIR || entry->d_name[0] == '.')
			continue;
		below = openat(fd, entry->d_name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (below >= 0 && signal_group(walk, below, depth + 1) == -E2BIG)
			r = -E2BIG;
	}
	if (dir)
		closedir(dir);
	close(fd);
	return r;
}

int cgroup_signal(const struct cgroup_paths *paths, const char *group, size_t n_group, int signo,
		  size_t *ret_n)
{
	struct walk walk = {.paths = paths, .group = group, .n_group = n_group, .signo = signo};
	int fd = open_group(paths, group, n_group), r;

	if (fd < 0)
		return fd;
	r = signal_group(&walk, fd, 0);
	if (ret_n)
		*ret_n = walk.n_signals;
	return r;
}
