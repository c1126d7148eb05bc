/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "checkpoint/journal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <syslog.h>
#include <unistd.h>

#include "checkpoint/uses.h"
#include "step/proc.h"

#define VARIABLE "JOURNAL_STREAM="
#define ENVIRON_MAX (256U * 1024)

struct stream {
	unsigned long long dev, ino;
};

/* "8:12345", of the environment that it was started with. */
static bool read_variable(int proc_fd, pid_t pid, struct stream *ret)
{
	char task[PROC_TASK_MAX], *text = malloc(ENVIRON_MAX);
	bool found = false;
	ssize_t n;

	if (!text)
		return false;
	snprintf(task, sizeof(task), "%d", pid);
	n = proc_read(proc_fd, task, "environ", text, ENVIRON_MAX);
	for (const char *p = text; !found && n > 0 && p < text + n; p += strlen(p) + 1)
		found = strncmp(p, VARIABLE, strlen(VARIABLE)) == 0 &&
			sscanf(p + strlen(VARIABLE), "%llu:%llu", &ret->dev, &ret->ino) == 2;
	free(text);
	return found;
}

static int is_stream(void *userdata, const struct stat *status, int dir_fd, const char *link)
{
	const struct stream *stream = userdata;

	return S_ISSOCK(status->st_mode) && status->st_dev == stream->dev &&
	       status->st_ino == stream->ino;
}

uint64_t journal_find(int proc_fd, const struct tree *tree)
{
	for (size_t i = 0; i < tree->n_items; i++) {
		pid_t pid = tree->items[i].pid;
		struct stream stream;

		/* What it says may be of a life before; what counts is what is open. */
		if (read_variable(proc_fd, pid, &stream) &&
		    uses_foreach(proc_fd, pid, is_stream, &stream) > 0)
			return stream.ino;
	}
	return 0;
}

int journal_open(const char *path, const char *identifier, const char *unit)
{
	const struct timeval patience = {.tv_sec = 1}, none = {};
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd, r = 0;

	if (strlen(path) >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	memcpy(address.sun_path, path, strlen(path));
	fd = socket(AF_UNIX, SOCK_STREAM, 0);
	if (fd < 0)
		return -errno;
	/* As sd_journal_stream_fd(3) does, which has no place for the unit. */
	if (setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience)) < 0 ||
	    connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
	    shutdown(fd, SHUT_RD) < 0 ||
	    dprintf(fd, "%s\n%s\n%d\n1\n0\n0\n0\n", identifier, unit ?: "", LOG_INFO) < 0 ||
	    /* Whoever has it then has all the time that he had before. */
	    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &none, sizeof(none)) < 0)
		r = -errno;
	if (r < 0) {
		close(fd);
		return r;
	}
	return fd;
}
