/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "checkpoint/criu-run.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/utf8.h"
#include "step/checkpoint-run.h"
#include "step/checkpoint-store.h"

#define LOG_MAX (64U * 1024) /* bytes that are looked at, from its end */
#define KILL_US 5000000U     /* for one that was killed to be gone */
#define NOT_STARTED 127
#define VERSION_FILE "criu-version" /* of the program that was asked last */

__attribute__((noreturn)) static void become_criu(const char *const *argv, int gate_fd, int log_fd,
						  pid_t parent)
{
	int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	sigset_t none;
	char byte;

	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != parent)
		_exit(NOT_STARTED);
	setsid();
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGPIPE, SIG_DFL);
	/* All others are close-on-exec. */
	if (null_fd < 0 || dup2(null_fd, STDIN_FILENO) < 0 || dup2(log_fd, STDOUT_FILENO) < 0 ||
	    dup2(log_fd, STDERR_FILENO) < 0 || chdir("/") < 0)
		_exit(NOT_STARTED);
	if (read(gate_fd, &byte, 1) != 1)
		_exit(NOT_STARTED);
	execv(argv[0], (char *const *)argv);
	dprintf(STDERR_FILENO, "Error: cannot be started: %s\n", strerror(errno));
	_exit(NOT_STARTED);
}

void criu_add(const char **argv, const char *word)
{
	while (*argv)
		argv++;
	*argv = word;
}

int criu_start(const char *const *argv, struct criu_run *ret)
{
	struct criu_run run = {.pid = -1, .pidfd = -1, .gate_fd = -1, .log_fd = -1};
	int gate[2] = {-1, -1}, r = 0;
	pid_t parent = getpid();

	run.log_fd = memfd_create("criu-log", MFD_CLOEXEC);
	if (run.log_fd < 0 || pipe2(gate, O_CLOEXEC) < 0)
		r = -errno;
	else
		run.pid = fork();
	if (r >= 0 && run.pid < 0)
		r = -errno;
	if (run.pid == 0) {
		close(gate[1]);
		become_criu(argv, gate[0], run.log_fd, parent);
	}
	if (gate[0] >= 0)
		close(gate[0]);
	run.gate_fd = gate[1];
	if (r >= 0) {
		run.pidfd = pidfd_open(run.pid, 0);
		r = run.pidfd < 0 ? -errno : 0;
	}
	if (r < 0)
		criu_done(&run);
	else
		*ret = run;
	return r;
}

int criu_go(struct criu_run *run)
{
	int r = write(run->gate_fd, "", 1) == 1 ? 0 : -EPIPE;

	close(run->gate_fd);
	run->gate_fd = -1;
	return r;
}

/* It or its end. */
static bool has_ended(struct criu_run *run, int signal_fd, uint64_t deadline_us)
{
	struct pollfd fds[] = {
		{.fd = run->pidfd, .events = POLLIN},
		{.fd = signal_fd, .events = POLLIN},
	};
	uint64_t now;

	while ((now = checkpoint_now_us()) < deadline_us) {
		int r = poll(fds, 2, (int)((deadline_us - now + 999) / 1000));

		if (r < 0 && errno != EINTR)
			break;
		if (r > 0 && fds[0].revents)
			return true;
		if (r > 0 && fds[1].revents)
			break;
	}
	return false;
}

static void end(struct criu_run *run)
{
	struct pollfd pollfd = {.fd = run->pidfd, .events = POLLIN};

	/* Its session is its own; what it has restored may not be left half done, either. */
	(void)kill(-run->pid, SIGKILL);
	(void)kill(run->pid, SIGKILL);
	(void)poll(&pollfd, 1, KILL_US / 1000);
	(void)waitpid(run->pid, NULL, WNOHANG);
	run->pid = -1;
}

int criu_wait(struct criu_run *run, uint64_t deadline_us)
{
	int signal_fd, status;
	sigset_t set;
	bool ended;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	ended = has_ended(run, signal_fd, deadline_us);
	if (signal_fd >= 0)
		close(signal_fd);
	if (!ended) {
		end(run);
		return -ETIME;
	}
	if (waitpid(run->pid, &status, 0) < 0)
		return -errno;
	run->pid = -1;
	return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -EIO;
}

/* "(00.012345) Error (criu/mem.c:12): Can't" begins behind the bracket's colon. */
static const char *without_place(const char *line)
{
	const char *error = strstr(line, "Error (");
	const char *colon = error ? strstr(error, "): ") : NULL;

	return colon ? colon + 3 : line;
}

static char *read_log(int fd)
{
	char *text = malloc(LOG_MAX + 1);
	off_t size = lseek(fd, 0, SEEK_END);
	ssize_t n;

	if (!text)
		return NULL;
	n = pread(fd, text, LOG_MAX, size > LOG_MAX ? size - LOG_MAX : 0);
	text[n > 0 ? n : 0] = '\0';
	return text;
}

static void make_plain(char *text)
{
	size_t n = strlen(text);

	for (size_t i = 0; i < n;) {
		uint32_t code;
		size_t len = dg_utf8_decode(text + i, n - i, &code);

		if (len == 0 || code < ' ' || (code >= 0x7f && code < 0xa0))
			text[i] = '?';
		i += len ?: 1;
	}
}

void criu_reason(const struct criu_run *run, char *text, size_t size)
{
	char *log = read_log(run->log_fd), *state, *all, *last = NULL;
	size_t n = 0;

	snprintf(text, size, "CRIU did not say why");
	all = log ? calloc(1, 3 * LOG_MAX) : NULL;
	if (!all) {
		free(log);
		return;
	}
	for (char *line = strtok_r(log, "\n", &state); line; line = strtok_r(NULL, "\n", &state)) {
		last = line;
		if (strstr(line, "Error"))
			n += (size_t)sprintf(all + n, "%s%s", n > 0 ? "; " : "",
					     without_place(line));
	}
	if (n > 0)
		snprintf(text, size, "%s", n < size ? all : all + n - size + 1);
	else if (last)
		snprintf(text, size, "%s", last);
	make_plain(text);
	free(all);
	free(log);
}

void criu_done(struct criu_run *run)
{
	if (run->pid > 0)
		end(run);
	if (run->pidfd >= 0)
		close(run->pidfd);
	if (run->gate_fd >= 0)
		close(run->gate_fd);
	if (run->log_fd >= 0)
		close(run->log_fd);
	*run = (struct criu_run){.pid = -1, .pidfd = -1, .gate_fd = -1, .log_fd = -1};
}

static void ask_version(const char *criu, char *text, size_t size, uint64_t deadline_us)
{
	const char *const argv[] = {criu, "--version", NULL};
	struct criu_run run;
	char *log, *version;

	snprintf(text, size, "unknown");
	if (criu_start(argv, &run) < 0)
		return;
	if (criu_go(&run) >= 0 && criu_wait(&run, deadline_us) >= 0 &&
	    (log = read_log(run.log_fd))) {
		version = strstr(log, "Version: ");
		if (version)
			snprintf(text, size, "%.*s", (int)strcspn(version + 9, " \n"), version + 9);
		make_plain(text);
		free(log);
	}
	criu_done(&run);
}

/* What tells the program from another one that comes to its place: a line's beginning. */
static int identity(const char *criu, char *text, size_t size)
{
	struct stat status;

	if (stat(criu, &status) < 0)
		return -errno;
	return snprintf(text, size, "%ju:%ju %jd %jd.%09ld ", (uintmax_t)status.st_dev,
			(uintmax_t)status.st_ino, (intmax_t)status.st_size,
			(intmax_t)status.st_ctim.tv_sec, status.st_ctim.tv_nsec);
}

void criu_version(const char *criu, int run_fd, char *text, size_t size, uint64_t deadline_us)
{
	char line[192], *kept;
	int n = identity(criu, line, sizeof(line));
	bool known = false;
	size_t n_kept;

	if (n > 0 && store_read_file(run_fd, VERSION_FILE, &kept, &n_kept) >= 0) {
		known = strncmp(kept, line, (size_t)n) == 0;
		if (known)
			snprintf(text, size, "%s", kept + n);
		free(kept);
	}
	if (known)
		return;
	ask_version(criu, text, size, deadline_us);
	if (n <= 0 || strcmp(text, "unknown") == 0)
		return;
	snprintf(line + n, sizeof(line) - (size_t)n, "%s", text);
	(void)store_replace_file(run_fd, VERSION_FILE, line, strlen(line));
}
