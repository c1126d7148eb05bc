/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Verbs of the programs beside us that have the libraries for them: libndctl and
 * what it brings (libkmod, libcrypto, libudev), sd-bus and json-c cost more to
 * load than all other verbs take, and most removals need none of them.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "step/step.h"

#define SUFFIX_MAX 16

int step_exec_other(struct step *step, const char *suffix, const char *verb)
{
	char path[PATH_MAX + SUFFIX_MAX], proc[64];
	ssize_t n;

	n = readlink("/proc/self/exe", path, PATH_MAX);
	if (n < 0)
		return -errno;
	snprintf(path + n, SUFFIX_MAX, "%s", suffix);
	/* The directory that we were given, under whatever name. */
	snprintf(proc, sizeof(proc), "--proc=/proc/self/fd/%d", step->proc_fd);
	if (fcntl(step->proc_fd, F_SETFD, 0) < 0)
		return -errno;
	execl(path, path, proc, verb, NULL);
	return -errno;
}
