// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Stands in for daxguard-step and makes any step last: it is mounted over the
 * real one, of which there is a copy. While the file GATES/VERB is there, a
 * step of that verb waits, and says so by GATES/VERB.at, which holds its pid.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#define GATES "/run/step-gates"
#define REAL "/usr/lib/daxguard-test/daxguard-step"
#define WORDS_MAX 4096

static void say_here(const char *verb)
{
	char path[128], pid[16];
	int fd, n;

	snprintf(path, sizeof(path), GATES "/%s.at", verb);
	n = snprintf(pid, sizeof(pid), "%d\n", getpid());
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0 || write(fd, pid, n) != n)
		exit(98);
	close(fd);
}

/* One that was started before it was needed: its words come from stdin. */
static char **wait_for_words(char *name)
{
	static char text[WORDS_MAX + 1], *words[WORDS_MAX / 2 + 2];
	size_t n = 0, n_words = 1;
	ssize_t r;

	while ((r = read(STDIN_FILENO, text + n, WORDS_MAX - n)) > 0)
		n += r;
	words[0] = name;
	for (size_t at = 0; at < n; at += strlen(text + at) + 1)
		words[n_words++] = text + at;
	return words;
}

int main(int argc, char *argv[])
{
	char gate[128];

	/* As the real one: it dies with its daemon. */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (argc > 1 && strcmp(argv[1], "--wait") == 0)
		argv = wait_for_words(argv[0]);
	if (!argv[1])
		return 0;
	snprintf(gate, sizeof(gate), GATES "/%s", argv[1]);
	if (access(gate, F_OK) == 0) {
		say_here(argv[1]);
		while (access(gate, F_OK) == 0)
			usleep(20000);
	}
	execv(REAL, argv);
	return 99;
}
