/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Runs a hook, keeps what it says, and ends all that came of it. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "core/procstat.h"
#include "step/hook.h"

/* To end what multiplies; then those who are left are pid 1's. */
#define REAP_US 1000000U
#define REAP_GAP_MS 2

#define NOT_STARTED 127

struct run {
	const struct hook *hook;
	struct hook_end *end;
	int proc_fd, signal_fd, input_fd;
	int output[2];
	pid_t pid;
	bool over;
};

static uint64_t now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

/* Nothing to wait for: what is written is there, and so is its end. */
static int open_input(const char *json)
{
	size_t n = strlen(json);
	int fd = memfd_create("daxguard-hook", MFD_CLOEXEC);

	if (fd < 0)
		return -errno;
	if (write(fd, json, n) == (ssize_t)n && lseek(fd, 0, SEEK_SET) == 0)
		return fd;
	close(fd);
	return -EIO;
}

/* Everybody goes before the daemon and its steps, this one as usual. */
static void fall_back_in_line(int proc_fd)
{
	int fd = openat(proc_fd, "self/oom_score_adj", O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return;
	(void)!write(fd, "0", 1);
	close(fd);
}

__attribute__((noreturn)) static void become_hook(const struct run *run, pid_t parent)
{
	sigset_t none;

	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != parent)
		_exit(NOT_STARTED);
	setsid();
	fall_back_in_line(run->proc_fd);
	for (int signo = 1; signo < NSIG; signo++)
		signal(signo, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	/* All others are close-on-exec. */
	if (dup2(run->input_fd, STDIN_FILENO) < 0 || dup2(run->output[1], STDOUT_FILENO) < 0 ||
	    dup2(run->output[1], STDERR_FILENO) < 0 || chdir("/") < 0)
		_exit(NOT_STARTED);
	execve(run->hook->argv[0], run->hook->argv, run->hook->env);
	dprintf(STDERR_FILENO, "cannot be started: %s\n", strerror(errno));
	_exit(NOT_STARTED);
}

static int start(struct run *run)
{
	pid_t parent = getpid();
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGCHLD);
	if (sigprocmask(SIG_BLOCK, &set, NULL) < 0 || prctl(PR_SET_CHILD_SUBREAPER, 1) < 0)
		return -errno;
	run->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (run->signal_fd < 0 || pipe2(run->output, O_CLOEXEC) < 0)
		return -errno;
	if (fcntl(run->output[0], F_SETFL, O_NONBLOCK) < 0)
		return -errno;
	run->input_fd = open_input(run->hook->json);
	if (run->input_fd < 0)
		return run->input_fd;
	run->pid = fork();
	if (run->pid < 0)
		return -errno;
	if (run->pid == 0)
		become_hook(run, parent);
	close(run->output[1]);
	run->output[1] = -1;
	return 0;
}

/* What does not fit is read all the same, a bit at a time: nobody waits for a reader. */
static void read_output(struct run *run)
{
	struct hook_end *end = run->end;
	char rest[4096];
	ssize_t n = 1;

	for (int i = 0; i < 16 && n > 0; i++) {
		bool room = end->n_output < sizeof(end->output);

		n = room ? read(run->output[0], end->output + end->n_output,
				sizeof(end->output) - end->n_output)
			 : read(run->output[0], rest, sizeof(rest));
		if (room && n > 0)
			end->n_output += (size_t)n;
	}
	if (n != 0)
		return;
	close(run->output[0]);
	run->output[0] = -1;
}

/* False: there is nobody left. */
static bool reap(struct run *run)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		if (pid != run->pid)
			continue;
		run->over = true;
		run->end->how = WIFEXITED(status) ? HOOK_EXITED : HOOK_SIGNALED;
		run->end->status = WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status);
	}
	return pid == 0;
}

static bool is_child(int proc_fd, const char *pid)
{
	char path[64], text[1024];
	struct dg_procstat stat;
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "%.20s/stat", pid);
	fd = openat(proc_fd, path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	n = read(fd, text, sizeof(text) - 1);
	close(fd);
	text[n > 0 ? n : 0] = '\0';
	return dg_procstat_parse(text, &stat) >= 0 && stat.ppid == getpid();
}

/* Children of those become ours by that, and come next. */
static void kill_children(int proc_fd)
{
	int fd = openat(proc_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *entry;

	while (dir && (entry = readdir(dir)))
		/* Not reaped by anybody but us: the pid is its own. */
		if (entry->d_name[0] >= '1' && entry->d_name[0] <= '9' &&
		    is_child(proc_fd, entry->d_name))
			kill((pid_t)strtol(entry->d_name, NULL, 10), SIGKILL);
	if (dir)
		closedir(dir);
	else if (fd >= 0)
		close(fd);
}

static void end_all(struct run *run)
{
	uint64_t until = now_us() + REAP_US;

	while (reap(run) && now_us() < until) {
		if (!run->over)
			kill(-run->pid, SIGKILL);
		kill_children(run->proc_fd);
		poll(NULL, 0, REAP_GAP_MS);
	}
}

/* Until it is over, its time is, or somebody wants it to end. */
static void attend(struct run *run)
{
	uint64_t deadline = now_us() + run->hook->timeout_us, now;
	struct signalfd_siginfo info;

	while (reap(run) && !run->over && (now = now_us()) < deadline) {
		struct pollfd fds[] = {
			{.fd = run->signal_fd, .events = POLLIN},
			{.fd = run->output[0], .events = POLLIN},
		};

		if (poll(fds, 2, (int)((deadline - now + 999) / 1000)) < 0 && errno != EINTR)
			return;
		if (run->output[0] >= 0)
			read_output(run);
		while (read(run->signal_fd, &info, sizeof(info)) == sizeof(info))
			if (info.ssi_signo == SIGTERM)
				return;
	}
}

int hook_run(const struct hook *hook, int proc_fd, struct hook_end *ret)
{
	struct hook_end end = {.how = HOOK_TIMEOUT};
	struct run run = {
		.hook = hook,
		.end = &end,
		.proc_fd = proc_fd,
		.signal_fd = -1,
		.input_fd = -1,
		.output = {-1, -1},
	};
	bool in_time;
	int r;

	r = start(&run);
	if (r < 0)
		return r;
	attend(&run);
	in_time = run.over;
	end_all(&run);
	if (run.output[0] >= 0)
		read_output(&run);
	if (!in_time)
		end.how = HOOK_TIMEOUT;
	*ret = end;
	return 0;
}
