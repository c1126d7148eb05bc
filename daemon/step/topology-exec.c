/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * topology, of the program that has the libraries for it: libndctl and what it
 * brings (libkmod, libcrypto, libudev) cost more to load than all other verbs
 * take, and a removal needs none of them.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "step/step.h"

#define SUFFIX "-topology" /* of our own name; beside us */

int verb_topology(struct step *step)
{
	char path[PATH_MAX + sizeof(SUFFIX)], proc[64];
	ssize_t n;

	n = readlink("/proc/self/exe", path, PATH_MAX);
	if (n < 0)
		return -errno;
	memcpy(path + n, SUFFIX, sizeof(SUFFIX));
	/* The directory that we were given, under whatever name. */
	snprintf(proc, sizeof(proc), "--proc=/proc/self/fd/%d", step->proc_fd);
	if (fcntl(step->proc_fd, F_SETFD, 0) < 0)
		return -errno;
	execl(path, path, proc, "topology", NULL);
	return -errno;
}
