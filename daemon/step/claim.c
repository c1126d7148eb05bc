/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "step/step.h"

/* Shorter than it takes anybody to start a mount(8). */
#define TRY_AGAIN_NS 5000000L

/* An exclusive open: a mount fails with EBUSY, and the module does not take it for a use. */
static int claim(dg_dev_t dev)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/dev/block/%u:%u", DG_DEV_MAJOR(dev), DG_DEV_MINOR(dev));
	fd = open(path, O_RDONLY | O_EXCL | O_NONBLOCK | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

/*
 * Each of them as soon as who has it lets go; then until we are killed. The
 * kernel closes them.
 */
int verb_claim(struct step *step)
{
	const struct timespec nap = {.tv_nsec = TRY_AGAIN_NS};
	bool *settled;
	size_t n_left;

	settled = calloc(step->n_devs, sizeof(*settled));
	if (!settled)
		return -ENOMEM;
	for (;;) {
		n_left = 0;
		for (size_t i = 0; i < step->n_devs; i++) {
			/* No such device, or one that is going: nothing to mount either. */
			if (!settled[i])
				settled[i] = claim(step->devs[i]) != -EBUSY;
			n_left += !settled[i];
		}
		if (n_left == 0)
			break;
		clock_nanosleep(CLOCK_MONOTONIC, 0, &nap, NULL);
	}
	free(settled);
	for (;;)
		pause();
}
