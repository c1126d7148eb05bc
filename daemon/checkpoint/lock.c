/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "checkpoint/lock.h"

#include <errno.h>
#include <poll.h>
#include <sys/file.h>

#include "step/checkpoint-run.h"

#define GAP_MS 20

int lock_wait(int fd, uint64_t deadline_us)
{
	while (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		if (errno != EWOULDBLOCK && errno != EINTR)
			return -errno;
		if (checkpoint_now_us() >= deadline_us)
			return -ETIME;
		(void)poll(NULL, 0, GAP_MS);
	}
	return 0;
}
