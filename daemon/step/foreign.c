/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/wait.h>
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

static uint64_t since_us; /* 0: none has been looked at */

static uint64_t left_us(void)
{
	uint64_t spent_us = since_us > 0 ? foreign_now_us() - since_us : 0;

	return spent_us < TIME_US ? TIME_US - spent_us : 0;
}

bool foreign_has_time(void)
{
	if (since_us == 0)
		since_us = foreign_now_us();
	return left_us() > 0;
}

bool foreign_is_over(void)
{
	return left_us() == 0;
}

static int await(pid_t pid)
{
	struct pollfd pollfd = {.fd = pidfd_open(pid, 0), .events = POLLIN};
	int r = pollfd.fd < 0 ? -errno : -ETIMEDOUT, status;

	if (pollfd.fd >= 0 && poll(&pollfd, 1, (int)(left_us() / 1000)) > 0)
		r = 0;
	if (r < 0)
		kill(pid, SIGKILL);
	else if (waitpid(pid, &status, 0) == pid && WIFEXITED(status))
		r = -WEXITSTATUS(status);
	else
		r = -ECHILD;
	if (pollfd.fd >= 0)
		close(pollfd.fd);
	return r;
}

int foreign_call(int (*func)(void *userdata), void *userdata)
{
	pid_t step = getpid(), pid = fork();

	if (pid < 0)
		return -errno;
	if (pid == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		/* The signal is for a death to come. */
		if (getppid() != step)
			_exit(EXIT_FAILURE);
		/* Whoever reads what the step has to say does not wait for this. */
		close(STDOUT_FILENO);
		close(STDERR_FILENO);
		_exit(-func(userdata));
	}
	return await(pid);
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
