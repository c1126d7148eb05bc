/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "step/superblocks.h"

static int sync_one(struct step *step, const struct mount *mount, int fd, void *userdata)
{
	int r = fd < 0 ? fd : 0;

	if (fd >= 0) {
		int zero = 0;

		/*
		 * Who froze it is not going to thaw it in time, and a sync of
		 * a frozen file system waits. EINVAL: it was not frozen.
		 */
		(void)ioctl(fd, FITHAW, &zero);
		if (syncfs(fd) < 0)
			r = -errno;
	}
	return superblock_report(step, mount, r, userdata);
}

int verb_sync(struct step *step)
{
	int left = 0, r;

	r = superblocks_visit(step, sync_one, &left);
	if (r < 0)
		return r;
	return left > 0 ? STEP_EXIT_LEFT : STEP_EXIT_OK;
}
