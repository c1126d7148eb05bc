/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "step/foreign.h"
#include "step/proc.h"

/* A step has ten seconds, and output of 4 MiB. */
#define TIME_US 1000000U
#define TOLD_MAX (1024U * 1024)
#define TABLE_MAX (256U * 1024)

uint64_t foreign_now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

bool foreign_has_time(void)
{
	static uint64_t since_us;

	if (since_us == 0)
		since_us = foreign_now_us();
	return foreign_now_us() - since_us < TIME_US;
}

bool foreign_may_tell(size_t n)
{
	static size_t told;

	if (n > TOLD_MAX - told)
		return false;
	told += n;
	return true;
}

bool foreign_is_long(int proc_fd, const char *task)
{
	char path[PROC_PATH_MAX], buffer[16384];
	size_t sum = 0;
	ssize_t n = 0;
	int fd;

	snprintf(path, sizeof(path), "%s/mountinfo", task);
	fd = openat(proc_fd, path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	while (sum <= TABLE_MAX && (n = read(fd, buffer, sizeof(buffer))) > 0)
		sum += (size_t)n;
	close(fd);
	return sum > TABLE_MAX;
}
