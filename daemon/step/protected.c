/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fnmatch.h>
#include <stdio.h>
#include <string.h>

#include "step/proc.h"
#include "step/step.h"

/*
 * By unit, as systemd has put them into control groups: a process can name
 * itself what it likes, but not move itself there.
 */
static const char *const units[] = {
	"dbus-broker.service",      "dbus.service",
	"polkit.service",           "polkitd.service",
	"systemd-journald.service", "systemd-journald@*.service",
	"systemd-logind.service",   "systemd-udevd.service",
};

/*
 * The unit of a control group: its first part that is no slice. Parts further
 * down are the unit's own affair: a container's journald is none of ours.
 */
static bool unit_of(char *cgroup, const char **ret)
{
	char *state;

	for (char *part = strtok_r(cgroup, "/", &state); part; part = strtok_r(NULL, "/", &state)) {
		size_t n = strlen(part);

		if (n > 6 && strcmp(part + n - 6, ".slice") == 0)
			continue;
		*ret = part;
		return true;
	}
	return false;
}

/* "0::/system.slice/dbus.service", or the line of the hierarchy that is systemd's. */
static bool unit_from_lines(char *lines, const char **ret)
{
	char *state;

	for (char *line = strtok_r(lines, "\n", &state); line;
	     line = strtok_r(NULL, "\n", &state)) {
		char *name = strchr(line, ':'), *path = name ? strchr(name + 1, ':') : NULL;

		if (!path)
			continue;
		*path++ = 0;
		if ((name[1] == 0 || strcmp(name + 1, "name=systemd") == 0) && unit_of(path, ret))
			return true;
	}
	return false;
}

static int each_process(void *userdata, pid_t pid)
{
	struct step *step = userdata;
	char task[PROC_TASK_MAX], lines[4096];
	struct dg_procstat stat;
	const char *unit;

	snprintf(task, sizeof(task), "%d", pid);
	if (proc_read(step->proc_fd, task, "cgroup", lines, sizeof(lines)) < 0 ||
	    !unit_from_lines(lines, &unit))
		return 0;
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		if (fnmatch(units[i], unit, 0) != 0)
			continue;
		if (proc_stat(step->proc_fd, task, &stat) < 0)
			return 0;
		dg_record_field_u64(&step->writer, "PID", (uint64_t)pid);
		dg_record_field_u64(&step->writer, "START_NS", proc_start_ns(&stat));
		dg_record_field(&step->writer, "NAME", unit);
		return step_emit(step);
	}
	return 0;
}

int verb_protected(struct step *step)
{
	int r = proc_foreach(step->proc_fd, ".", each_process, step);

	return r < 0 ? r : STEP_EXIT_OK;
}
