/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Reading /proc, relative to a descriptor of it: the namespace that we are in
 * may have another one, or none, and tests have one of their own.
 *
 * A task is named by its directory there: "17" or "17/task/18".
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "core/procstat.h"

#define PROC_TASK_MAX 40 /* "PID/task/TID" + NUL */
#define PROC_PATH_MAX (PROC_TASK_MAX + 32)

/* Calls func for each numbered directory of proc_fd/dir until it returns other than 0. */
int proc_foreach(int proc_fd, const char *dir, int (*func)(void *userdata, pid_t id),
		 void *userdata);

/* As above, for each process and each further thread of it. */
int proc_foreach_task(int proc_fd,
		      int (*func)(void *userdata, const char *task, pid_t pid, pid_t tid),
		      void *userdata);

/* The file of a task, NUL-ended, cut to size. Bytes read or a negative errno. */
ssize_t proc_read(int proc_fd, const char *task, const char *file, char *buffer, size_t size);
int proc_stat(int proc_fd, const char *task, struct dg_procstat *ret);
uint64_t proc_start_ns(const struct dg_procstat *stat);

/* A number of the file "status", behind key, "\nUid:", and so many others. 0: it is not there. */
uint64_t proc_status_number(const char *status, const char *key, int base, unsigned skip);

/* Its control group in the unified hierarchy, or in that which is systemd's; in lines. NULL:
 * unknown. */
#define PROC_CGROUP_MAX 8192
const char *proc_cgroup(int proc_fd, const char *task, char lines[static PROC_CGROUP_MAX]);

/* The number in a link like "mnt:[4026531841]". */
int proc_namespace(int proc_fd, const char *task, const char *name, uint64_t *ret);

/* The task's root directory is that of its mount namespace. */
bool proc_root_is_whole(int proc_fd, const char *task);
