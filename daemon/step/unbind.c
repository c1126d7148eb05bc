/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Takes the driver of a device on the nd bus away. The kernel waits for nobody in it but
 * for whom it has to (and the module for a hold, if somebody came meanwhile).
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "step/step.h"

#define PATH_SIZE (PATH_MAX + NAME_MAX + 64)

static bool is_name(const char *word)
{
	return *word && *word != '.' && !strchr(word, '/') && strlen(word) <= NAME_MAX;
}

/* The name may be another's by now: what has this number is below it. */
static int find(const struct step *step, const char *name, char ret[static PATH_MAX])
{
	char path[PATH_SIZE], node[PATH_MAX];
	size_t n;

	snprintf(path, sizeof(path), "%s/bus/nd/devices/%s", step->sys, name);
	if (!realpath(path, ret))
		return -errno;
	snprintf(path, sizeof(path), "%s/dev/%s/%s", step->sys, step->words[1], step->words[0]);
	if (!realpath(path, node))
		return -errno;
	n = strlen(ret);
	return strncmp(node, ret, n) == 0 && node[n] == '/' ? 0 : -ESTALE;
}

static int take_away(const char *device, const char *name)
{
	char path[PATH_SIZE];
	ssize_t n;
	int fd, r = 0;

	snprintf(path, sizeof(path), "%s/driver/unbind", device);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	n = write(fd, name, strlen(name));
	if (n < 0)
		r = -errno;
	close(fd);
	return r;
}

int verb_unbind(struct step *step)
{
	char device[PATH_MAX];
	const char *name;
	int r;

	if (step->n_words != 3)
		return STEP_EXIT_USAGE;
	name = step->words[2];
	if (!is_name(step->words[0]) || !is_name(step->words[1]) || !is_name(name))
		return STEP_EXIT_USAGE;
	r = find(step, name, device);
	if (r >= 0)
		r = take_away(device, name);
	dg_record_field(&step->writer, "DEVICE", name);
	dg_record_field(&step->writer, "RESULT", step_result(r));
	if (r < 0)
		fprintf(stderr, "daxguard-step: %s: %s\n", name, strerror(-r));
	if (step_emit(step) < 0)
		return STEP_EXIT_FAILURE;
	return r < 0 ? STEP_EXIT_LEFT : STEP_EXIT_OK;
}
