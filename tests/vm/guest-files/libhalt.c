/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Preloaded into a daemon under test: lets it stop, or die, at a certain line
 * of an incident's record, and so in a certain state of the incident, however
 * fast the guest is. The line is written, what follows it is not done.
 *
 * /run/daxguard-halt names a signal's number and how the line goes on after its
 * times, as in "19 state name=acting". It is read when the daemon starts, and
 * gone when the signal has been sent, so that the next daemon lives on.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define ORDER "/run/daxguard-halt"

static int signo;
static char wanted[128];

__attribute__((constructor)) static void read_order(void)
{
	char text[sizeof(wanted)], *line;
	int fd = open(ORDER, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return;
	n = read(fd, text, sizeof(text) - 1);
	close(fd);
	if (n <= 0)
		return;
	text[n] = '\0';
	text[strcspn(text, "\n")] = '\0';
	signo = (int)strtol(text, &line, 10);
	strcpy(wanted, line + strspn(line, " "));
}

/* "WALL MONOTONIC KIND KEY=VALUE …" */
static int is_wanted(const char *line, size_t n_line)
{
	const char *end = line + n_line;
	size_t n = strlen(wanted);

	for (int times = 0; times < 2; times++) {
		while (line < end && *line >= '0' && *line <= '9')
			line++;
		if (line == end || *line++ != ' ')
			return 0;
	}
	return signo && (size_t)(end - line) > n && memcmp(line, wanted, n) == 0 &&
	       strchr(" \n", line[n]);
}

ssize_t write(int fd, const void *data, size_t n_data)
{
	ssize_t n = syscall(SYS_write, fd, data, n_data);

	if (is_wanted(data, n_data)) {
		unlink(ORDER);
		raise(signo);
		signo = 0;
	}
	return n;
}
