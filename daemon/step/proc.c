/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "step/proc.h"

/* Of /proc/PID/task: its two own, and one for each thread. */
#define LINKS_OF_ONE_TASK 3

int proc_foreach(int proc_fd, const char *dir, int (*func)(void *userdata, pid_t id),
		 void *userdata)
{
	int fd, r = 0;
	DIR *opened;

	fd = openat(proc_fd, dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	opened = fdopendir(fd);
	if (!opened) {
		r = -errno;
		close(fd);
		return r;
	}
	while (r == 0) {
		const struct dirent *entry = readdir(opened);
		unsigned long id;
		char *end;

		if (!entry)
			break;
		if (entry->d_name[0] < '1' || entry->d_name[0] > '9')
			continue;
		id = strtoul(entry->d_name, &end, 10);
		if (*end || id > INT_MAX)
			continue;
		r = func(userdata, (pid_t)id);
	}
	closedir(opened);
	return r;
}

struct tasks {
	int proc_fd;
	pid_t pid;
	int (*func)(void *userdata, const char *task, pid_t pid, pid_t tid);
	void *userdata;
};

static int each_thread(void *userdata, pid_t tid)
{
	const struct tasks *tasks = userdata;
	char task[PROC_TASK_MAX];

	if (tid == tasks->pid)
		return 0;
	snprintf(task, sizeof(task), "%d/task/%d", tasks->pid, tid);
	return tasks->func(tasks->userdata, task, tasks->pid, tid);
}

static int each_process(void *userdata, pid_t pid)
{
	struct tasks *tasks = userdata;
	char task[PROC_TASK_MAX];
	struct stat st;
	int r;

	snprintf(task, sizeof(task), "%d", pid);
	r = tasks->func(tasks->userdata, task, pid, pid);
	if (r != 0)
		return r;
	snprintf(task, sizeof(task), "%d/task", pid);
	/* Most have one thread, and to list it costs more than all else here. */
	if (fstatat(tasks->proc_fd, task, &st, 0) == 0 && st.st_nlink == LINKS_OF_ONE_TASK)
		return 0;
	tasks->pid = pid;
	r = proc_foreach(tasks->proc_fd, task, each_thread, tasks);
	/* It may have ended since it was listed. */
	return r == -ENOENT || r == -ESRCH ? 0 : r;
}

int proc_foreach_task(int proc_fd,
		      int (*func)(void *userdata, const char *task, pid_t pid, pid_t tid),
		      void *userdata)
{
	struct tasks tasks = {.proc_fd = proc_fd, .func = func, .userdata = userdata};

	return proc_foreach(proc_fd, ".", each_process, &tasks);
}

ssize_t proc_read(int proc_fd, const char *task, const char *file, char *buffer, size_t size)
{
	char path[PROC_PATH_MAX];
	size_t n = 0;
	int fd;

	snprintf(path, sizeof(path), "%s/%s", task, file);
	fd = openat(proc_fd, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return -errno;
	while (n < size - 1) {
		ssize_t got = read(fd, buffer + n, size - 1 - n);

		if (got < 0) {
			int r = -errno;

			close(fd);
			return r;
		}
		if (got == 0)
			break;
		n += (size_t)got;
	}
	close(fd);
	buffer[n] = 0;
	return (ssize_t)n;
}

int proc_stat(int proc_fd, const char *task, struct dg_procstat *ret)
{
	char text[1024];
	ssize_t n;

	n = proc_read(proc_fd, task, "stat", text, sizeof(text));
	if (n < 0)
		return (int)n;
	return dg_procstat_parse(text, ret);
}

uint64_t proc_start_ns(const struct dg_procstat *stat)
{
	return dg_procstat_start_ns(stat, sysconf(_SC_CLK_TCK));
}

int proc_namespace(int proc_fd, const char *task, const char *name, uint64_t *ret)
{
	char path[PROC_PATH_MAX], link[64];
	const char *bracket;
	ssize_t n;

	snprintf(path, sizeof(path), "%s/ns/%s", task, name);
	n = readlinkat(proc_fd, path, link, sizeof(link) - 1);
	if (n < 0)
		return -errno;
	link[n] = 0;
	bracket = strchr(link, '[');
	if (!bracket)
		return -EBADMSG;
	*ret = strtoull(bracket + 1, NULL, 10);
	return 0;
}

const char *proc_cgroup(int proc_fd, const char *task, char lines[static PROC_CGROUP_MAX])
{
	static const char deleted[] = " (deleted)";
	char *state;
	size_t n;

	if (proc_read(proc_fd, task, "cgroup", lines, PROC_CGROUP_MAX) < 0)
		return NULL;
	for (char *line = strtok_r(lines, "\n", &state); line;
	     line = strtok_r(NULL, "\n", &state)) {
		char *name = strchr(line, ':'), *path = name ? strchr(name + 1, ':') : NULL;

		if (!path || path[1] != '/')
			continue;
		*path++ = '\0';
		if (name[1] != '\0' && strcmp(name + 1, "name=systemd") != 0)
			continue;
		n = strlen(path);
		if (n > sizeof(deleted) && strcmp(path + n - sizeof(deleted) + 1, deleted) == 0)
			path[n - sizeof(deleted) + 1] = '\0';
		return path;
	}
	return NULL;
}

uint64_t proc_status_number(const char *status, const char *key, int base, unsigned skip)
{
	const char *at = strstr(status, key);
	char *end;

	if (!at)
		return 0;
	at += strlen(key);
	while (skip-- > 0) {
		(void)strtoull(at, &end, base);
		at = end;
	}
	return strtoull(at, NULL, base);
}

bool proc_root_is_whole(int proc_fd, const char *task)
{
	char path[PROC_PATH_MAX], link[2];

	snprintf(path, sizeof(path), "%s/root", task);
	return readlinkat(proc_fd, path, link, sizeof(link)) == 1 && link[0] == '/';
}
