/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "step/superblocks.h"

#ifndef XFS_SUPER_MAGIC
#define XFS_SUPER_MAGIC 0x58465342
#endif

/* XFS_IOC_GOINGDOWN, and EXT4_IOC_SHUTDOWN as its copy; in no header of the kernel's. */
#define IOC_GOINGDOWN _IOR('X', 125, uint32_t)
/* Flush the log; the default would freeze the file system, and wait for its writers. */
#define GOING_FLAGS_LOGFLUSH 1U

static int shut_down(int fd)
{
	uint32_t flags = GOING_FLAGS_LOGFLUSH;
	struct statfs st;
	int zero = 0;

	/* On others this number may mean anything. */
	if (fstatfs(fd, &st) < 0)
		return -errno;
	if (st.f_type != XFS_SUPER_MAGIC && st.f_type != EXT4_SUPER_MAGIC)
		return -EOPNOTSUPP;
	(void)ioctl(fd, FITHAW, &zero);
	/* What fails to be written now would be lost all the same: go on. */
	(void)syncfs(fd);
	return ioctl(fd, IOC_GOINGDOWN, &flags) < 0 ? -errno : 0;
}

static int shutdown_one(struct step *step, const struct mount *mount, int fd, void *userdata)
{
	return superblock_report(step, mount, fd < 0 ? fd : shut_down(fd), userdata);
}

int verb_shutdown(struct step *step)
{
	int left = 0, r;

	r = superblocks_visit(step, shutdown_one, &left);
	if (r < 0)
		return r;
	return left > 0 ? STEP_EXIT_LEFT : STEP_EXIT_OK;
}
