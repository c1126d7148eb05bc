/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/procstat.h"
#include "io/steps-spawn.h"

/* Not 0, 1 or 2. On failure it is what it was. */
static int move_high(int *fd)
{
	int high;

	if (*fd > STDERR_FILENO)
		return 0;
	high = fcntl(*fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
	if (high < 0)
		return -errno;
	close(*fd);
	*fd = high;
	return 0;
}

int spawn_input(const void *bytes, size_t n, int *ret)
{
	const char *at = bytes;
	int fd, r;

	fd = memfd_create("daxguard-step", MFD_CLOEXEC);
	if (fd < 0)
		return -errno;
	r = move_high(&fd);
	while (r == 0 && n > 0) {
		ssize_t written = write(fd, at, n);

		if (written < 0) {
			r = -errno;
			break;
		}
		at += written;
		n -= (size_t)written;
	}
	if (r == 0 && lseek(fd, 0, SEEK_SET) < 0)
		r = -errno;
	if (r < 0) {
		close(fd);
		return r;
	}
	*ret = fd;
	return 0;
}

int spawn_pipe(int ours, int ret[2])
{
	int fds[2], r = 0;

	if (pipe2(fds, O_CLOEXEC) < 0)
		return -errno;
	for (int i = 0; i < 2 && r == 0; i++)
		r = move_high(&fds[i]);
	if (r == 0 && fcntl(fds[ours], F_SETFL, O_NONBLOCK) < 0)
		r = -errno;
	if (r < 0) {
		close(fds[0]);
		close(fds[1]);
		return r;
	}
	ret[0] = fds[0];
	ret[1] = fds[1];
	return 0;
}

void spawn_fds_close(const struct spawn_fds *fds)
{
	const int all[] = {fds->input, fds->output, fds->error};

	for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++)
		if (all[i] >= 0)
			close(all[i]);
}

static int spawn_actions(posix_spawn_file_actions_t *actions, const struct spawn_fds *fds)
{
	const int from[] = {fds->input, fds->output, fds->error};
	int r = 0;

	for (int to = STDIN_FILENO; to <= STDERR_FILENO && r == 0; to++) {
		if (from[to] >= 0)
			r = posix_spawn_file_actions_adddup2(actions, from[to], to);
		else
			r = posix_spawn_file_actions_addopen(actions, to, "/dev/null", O_RDWR, 0);
	}
	/*
	 * Everything is close-on-exec; this is for what a library forgot: a
	 * copy of the netlink socket in a child outlives us, registered.
	 */
	if (r == 0)
		r = posix_spawn_file_actions_addclosefrom_np(actions, STDERR_FILENO + 1);
	return -r;
}

static int spawn_attributes(posix_spawnattr_t *attributes)
{
	sigset_t none, all;
	int r;

	sigemptyset(&none);
	sigfillset(&all);
	r = posix_spawnattr_setsigmask(attributes, &none);
	if (r == 0)
		r = posix_spawnattr_setsigdefault(attributes, &all);
	if (r == 0)
		r = posix_spawnattr_setflags(attributes,
					     POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
	return -r;
}

int spawn_step(const char *binary, const char *const verb[], const struct spawn_fds *fds,
	       pid_t *ret)
{
	char parent[sizeof("DAXGUARD_PARENT=") + 11];
	/* Nothing of ours (NOTIFY_SOCKET, LISTEN_FDS, …) concerns a step. */
	char *const environment[] = {"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C", parent,
				     NULL};
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;
	const char **argv;
	size_t n = 0;
	int r;

	while (verb[n])
		n++;
	argv = calloc(n + 2, sizeof(*argv));
	if (!argv)
		return -ENOMEM;
	argv[0] = binary;
	memcpy(argv + 1, verb, n * sizeof(*argv));
	snprintf(parent, sizeof(parent), "DAXGUARD_PARENT=%d", getpid());
	posix_spawn_file_actions_init(&actions);
	posix_spawnattr_init(&attributes);
	r = spawn_actions(&actions, fds);
	if (r == 0)
		r = spawn_attributes(&attributes);
	if (r == 0)
		r = -posix_spawn(ret, binary, &actions, &attributes, (char *const *)argv,
				 environment);
	posix_spawnattr_destroy(&attributes);
	posix_spawn_file_actions_destroy(&actions);
	free(argv);
	return r;
}

uint64_t spawn_start_ns(pid_t pid)
{
	struct dg_procstat stat;
	char path[32], text[1024];
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	n = read(fd, text, sizeof(text) - 1);
	close(fd);
	if (n <= 0)
		return 0;
	text[n] = 0;
	if (dg_procstat_parse(text, &stat) < 0)
		return 0;
	return dg_procstat_start_ns(&stat, sysconf(_SC_CLK_TCK));
}
