/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/holder.h"
#include "step/proc.h"
#include "step/step.h"

#define STATUS_MAX 65536 /* bytes; one who is in more groups than that can say has unknown ones */

struct who {
	struct dg_process process;
	char task[PROC_TASK_MAX]; /* a live thread */
};

/* "PID:TID:START_NS" */
static int parse(const char *word, struct who *ret)
{
	unsigned long pid, tid;
	char *end;

	pid = strtoul(word, &end, 10);
	if (*end != ':' || pid == 0 || pid > INT32_MAX)
		return -EINVAL;
	tid = strtoul(end + 1, &end, 10);
	if (*end != ':' || tid == 0 || tid > INT32_MAX)
		return -EINVAL;
	ret->process.pid = (pid_t)pid;
	ret->process.start_ns = strtoull(end + 1, &end, 10);
	snprintf(ret->task, sizeof(ret->task), "%lu/task/%lu", pid, tid);
	return *end ? -EINVAL : 0;
}

static void field_executable(struct step *step, const struct who *who)
{
	char path[PROC_PATH_MAX], target[4096 + 16];
	ssize_t n;

	snprintf(path, sizeof(path), "%s/exe", who->task);
	n = readlinkat(step->proc_fd, path, target, sizeof(target) - 1);
	if (n <= 0 || (size_t)n >= sizeof(target) - 1)
		return;
	target[n] = '\0';
	dg_record_field(&step->writer, "EXE", target);
}

static void field_cgroup(struct step *step, const struct who *who)
{
	char lines[PROC_CGROUP_MAX];
	const char *path = proc_cgroup(step->proc_fd, who->task, lines);

	if (path)
		dg_record_field(&step->writer, "CGROUP", path);
}

/* "Gid:" has the effective one second; "Groups:" the supplementary ones, and a blank behind. */
static void field_groups(struct step *step, const struct who *who, char *status)
{
	ssize_t n = proc_read(step->proc_fd, who->task, "status", status, STATUS_MAX);
	char *gids = n > 0 ? strstr(status, "\nGid:\t") : NULL;
	char *groups = gids ? strstr(gids, "\nGroups:\t") : NULL;
	char *end = groups ? strchr(groups + 1, '\n') : NULL, *all;
	unsigned long effective;

	if (!end)
		return;
	*end = '\0';
	(void)strtoul(gids + 6, &gids, 10);
	effective = strtoul(gids, NULL, 10);
	if (asprintf(&all, "%lu %s", effective, groups + 9) < 0)
		return;
	dg_record_field(&step->writer, "GIDS", all);
	free(all);
}

/* Who has its pid and start when all has been read had them all the time. */
static bool is_still(struct step *step, const struct who *who)
{
	struct dg_procstat stat;
	char task[PROC_TASK_MAX];

	snprintf(task, sizeof(task), "%d", who->process.pid);
	return proc_stat(step->proc_fd, task, &stat) >= 0 &&
	       dg_start_equal(proc_start_ns(&stat), who->process.start_ns);
}

int verb_processes(struct step *step)
{
	char *status = malloc(STATUS_MAX);
	struct who who;
	int r = status ? STEP_EXIT_OK : -ENOMEM;

	for (size_t i = 0; i < step->n_words && r >= 0; i++) {
		if (parse(step->words[i], &who) < 0) {
			r = STEP_EXIT_USAGE;
			break;
		}
		dg_record_field_u64(&step->writer, "PID", (uint64_t)who.process.pid);
		dg_record_field_u64(&step->writer, "START_NS", who.process.start_ns);
		field_executable(step, &who);
		field_cgroup(step, &who);
		field_groups(step, &who, status);
		if (is_still(step, &who)) {
			r = step_emit(step);
		} else {
			dg_record_writer_done(&step->writer);
			step->writer = DG_RECORD_WRITER_INIT;
		}
	}
	free(status);
	return r;
}
