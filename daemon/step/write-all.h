/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* All of it, in as many writes as it takes; or a negative errno, and some may be written. */
#pragma once

#include <errno.h>
#include <stddef.h>
#include <unistd.h>

static inline int write_all(int fd, const void *bytes, size_t n)
{
	const char *at = bytes;

	while (n > 0) {
		ssize_t written = write(fd, at, n);

		if (written < 0 && errno == EINTR)
			continue;
		if (written < 0)
			return -errno;
		at += written;
		n -= (size_t)written;
	}
	return 0;
}
