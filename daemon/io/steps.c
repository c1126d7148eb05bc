/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "io/steps-pipe.h"
#include "io/steps-spawn.h"
#include "io/steps.h"

#define USEC_PER_SEC UINT64_C(1000000)

/* A deadline may be late by this much. */
#define ACCURACY_US 1000

/* Of one that waits for its verb: what a pipe takes at once on every machine. */
#define WORDS_MAX 4096

#define AWAIT_EXIT_MS 100

struct step {
	struct steps *steps;
	struct step *prev, *next;
	pid_t pid;
	uint64_t start_ns;
	int pidfd;
	int input; /* where it waits for its verb, or -1: it has one */
	sd_event_source *exit_source;
	sd_event_source *deadline_source;
	struct pipe_end output, error;
	uint64_t started_us;
	step_func func; /* NULL: reported or canceled; kept until it is gone */
	void *userdata;
};

struct steps {
	sd_event *event;
	char *binary;
	struct step *first;
};

const char *step_end_name(enum step_end end)
{
	static const char *const names[] = {"ok", "failed", "signaled", "timeout", "canceled"};

	return (unsigned)end < sizeof(names) / sizeof(*names) ? names[end] : "unknown";
}

static uint64_t now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * USEC_PER_SEC + (uint64_t)now.tv_nsec / 1000;
}

static void input_close(struct step *step)
{
	if (step->input >= 0)
		close(step->input);
	step->input = -1;
}

static void step_close(struct step *step)
{
	pipe_end_close(&step->output);
	pipe_end_close(&step->error);
	input_close(step);
	step->exit_source = sd_event_source_disable_unref(step->exit_source);
	step->deadline_source = sd_event_source_disable_unref(step->deadline_source);
	if (step->pidfd >= 0)
		close(step->pidfd);
	step->pidfd = -1;
}

static void step_free(struct step *step)
{
	if (!step)
		return;
	step_close(step);
	free(step->output.data);
	free(step->error.data);
	if (step->next)
		step->next->prev = step->prev;
	if (step->prev)
		step->prev->next = step->next;
	else
		step->steps->first = step->next;
	free(step);
}

/* From here on the step is only waited for: nobody is interested any more. */
static void step_abandon(struct step *step)
{
	(void)pidfd_send_signal(step->pidfd, SIGKILL, NULL, 0);
	step->func = NULL;
	step->deadline_source = sd_event_source_disable_unref(step->deadline_source);
	input_close(step);
	pipe_end_close(&step->output);
	pipe_end_close(&step->error);
}

static int on_output(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
	struct step *step = userdata;

	pipe_end_read(&step->output);
	if (step->output.overflow) {
		/* Its exit reports it. */
		pipe_end_close(&step->output);
		(void)pidfd_send_signal(step->pidfd, SIGKILL, NULL, 0);
	}
	return 0;
}

static int on_error(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
	struct step *step = userdata;

	pipe_end_read(&step->error);
	return 0;
}

/* The last that is heard of it; what is in the pipes now counts. */
static void step_report(struct step *step, enum step_end end, int status)
{
	struct step_outcome outcome = {.end = end, .status = status};
	char error[STEP_ERROR_MAX + 1];
	step_func func = step->func;

	pipe_end_read(&step->output);
	pipe_end_read(&step->error);
	outcome.output = step->output.data ?: "";
	outcome.n_output = step->output.n;
	outcome.took_us = now_us() - step->started_us;
	snprintf(error, sizeof(error), "%.*s", (int)step->error.n, step->error.data ?: "");
	for (size_t n = strlen(error); n > 0 && error[n - 1] == '\n'; n--)
		error[n - 1] = 0;
	if (step->output.overflow) {
		outcome.end = STEP_FAILED;
		outcome.status = 0;
		outcome.n_output = 0;
		snprintf(error, sizeof(error), "more than %u bytes of output", STEP_OUTPUT_MAX);
	}
	outcome.error = error;
	step->func = NULL;
	func(step->userdata, &outcome);
}

static int on_gone(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
	struct step *step = userdata;
	siginfo_t info = {0};

	if (waitid(P_PIDFD, (id_t)step->pidfd, &info, WEXITED | WNOHANG) < 0) {
		/* Somebody else has reaped it; how it ended is not to be known. */
		info.si_code = CLD_EXITED;
		info.si_status = EXIT_FAILURE;
	} else if (info.si_pid == 0) {
		return 0;
	}
	if (step->func) {
		enum step_end end = info.si_status == 0 ? STEP_OK : STEP_FAILED;

		/* Of a signal, a core dump, … */
		if (info.si_code != CLD_EXITED)
			end = STEP_SIGNALED;
		step_report(step, end, info.si_status);
	}
	step_free(step);
	return 0;
}

static int on_deadline(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct step *step = userdata;

	/* Killed before it is reported: whoever hears of it may start the next one. */
	(void)pidfd_send_signal(step->pidfd, SIGKILL, NULL, 0);
	step_report(step, STEP_TIMEOUT, 0);
	step_abandon(step);
	return 0;
}

/* From here on it works for somebody. */
static int step_watch(struct step *step, uint64_t timeout_us, step_func func, void *userdata)
{
	sd_event *event = step->steps->event;
	int r;

	step->started_us = now_us();
	step->func = func;
	step->userdata = userdata;
	r = sd_event_add_io(event, &step->output.source, step->output.fd, EPOLLIN, on_output, step);
	if (r < 0)
		return r;
	r = sd_event_add_io(event, &step->error.source, step->error.fd, EPOLLIN, on_error, step);
	if (r < 0)
		return r;
	return sd_event_add_time(event, &step->deadline_source, CLOCK_MONOTONIC,
				 step->started_us + timeout_us, ACCURACY_US, on_deadline, step);
}

/*
 * It runs and cannot be watched. Nor can it be waited for, being past killed
 * perhaps: whoever starts the next step looks whether it is gone.
 */
static void step_give_up(struct step *step)
{
	kill(step->pid, SIGKILL); /* not reaped yet: the pid is its own */
	step->func = NULL;
	step_close(step);
}

static void reap_given_up(struct steps *steps)
{
	for (struct step *step = steps->first, *next; step; step = next) {
		next = step->next;
		if (step->pidfd < 0 && waitpid(step->pid, NULL, WNOHANG) != 0)
			step_free(step);
	}
}

static struct step *step_new(struct steps *steps)
{
	struct step *step;

	step = calloc(1, sizeof(*step));
	if (!step)
		return NULL;
	*step = (struct step){
		.steps = steps,
		.next = steps->first,
		.pidfd = -1,
		.input = -1,
		.output = {.fd = -1, .max = STEP_OUTPUT_MAX},
		.error = {.fd = -1, .max = STEP_ERROR_MAX},
	};
	/* The analyzer does not know that the first one has no prev. */
	if (steps->first)
		steps->first->prev = step; /* NOLINT(clang-analyzer-unix.Malloc) */
	steps->first = step;
	return step;
}

static int hold_process(struct step *step)
{
	step->pidfd = pidfd_open(step->pid, 0);
	return step->pidfd < 0 ? -errno : 0;
}

static int watch_exit(struct step *step)
{
	return sd_event_add_io(step->steps->event, &step->exit_source, step->pidfd, EPOLLIN,
			       on_gone, step);
}

/* How it is started. */
struct start {
	const char *const *argv;
	bool waits; /* for its verb */
	const void *input;
	size_t n_input;
};

/* Spawn with all pipes; what is opened belongs to step, also on failure. */
static int spawn_piped(struct step *step, const struct start *start)
{
	int input[2] = {-1, -1}, output[2] = {-1, -1}, error[2] = {-1, -1}, r = 0;
	struct spawn_fds theirs;

	if (start->waits)
		r = spawn_pipe(1, input);
	else if (start->input)
		r = spawn_input(start->input, start->n_input, &input[0]);
	step->input = input[1];
	if (r >= 0)
		r = spawn_pipe(0, output);
	step->output.fd = output[0];
	if (r >= 0)
		r = spawn_pipe(0, error);
	step->error.fd = error[0];
	theirs = (struct spawn_fds){input[0], output[1], error[1]};
	if (r >= 0)
		r = spawn_step(step->steps->binary, start->argv, &theirs, &step->pid);
	spawn_fds_close(&theirs);
	return r;
}

static int step_spawn(struct steps *steps, const struct start *start, struct step **ret)
{
	struct step *step;
	int r;

	reap_given_up(steps);
	step = step_new(steps);
	if (!step)
		return -ENOMEM;
	r = spawn_piped(step, start);
	if (r < 0) {
		step_free(step);
		return r;
	}
	step->start_ns = spawn_start_ns(step->pid);
	r = hold_process(step);
	if (r >= 0)
		r = watch_exit(step);
	if (r < 0) {
		step_give_up(step);
		return r;
	}
	*ret = step;
	return 0;
}

static bool tell_verb(struct step *step, const char *const argv[])
{
	char words[WORDS_MAX];
	size_t n = 0;
	bool told;

	for (; *argv; argv++) {
		size_t size = strlen(*argv) + 1;

		if (size > sizeof(words) - n)
			return false;
		memcpy(words + n, *argv, size);
		n += size;
	}
	/* The pipe is empty and takes it all; its end is the end of the words. */
	told = write(step->input, words, n) == (ssize_t)n;
	input_close(step);
	return told;
}

/* The one that waits longest: the last one started may still be loading. */
static struct step *take_ready(struct steps *steps, const char *const argv[])
{
	struct step *ready = NULL;

	for (struct step *step = steps->first; step; step = step->next)
		if (step->input >= 0)
			ready = step;
	if (!ready || tell_verb(ready, argv))
		return ready;
	/* More words than it can be told, or it has died: one that starts with them does. */
	step_abandon(ready);
	return NULL;
}

int step_start_with(struct steps *steps, const char *const argv[], const void *input,
		    size_t n_input, uint64_t timeout_us, step_func func, void *userdata,
		    struct step **ret)
{
	const struct start start = {.argv = argv, .input = input, .n_input = n_input};
	struct step *step = input ? NULL : take_ready(steps, argv);
	int r = n_input > STEP_INPUT_MAX ? -E2BIG : 0;

	if (r >= 0 && !step)
		r = step_spawn(steps, &start, &step);
	if (r < 0)
		return r;
	r = step_watch(step, timeout_us, func, userdata);
	if (r < 0) {
		step_abandon(step);
		return r;
	}
	*ret = step;
	return 0;
}

int step_start(struct steps *steps, const char *const argv[], uint64_t timeout_us, step_func func,
	       void *userdata, struct step **ret)
{
	return step_start_with(steps, argv, NULL, 0, timeout_us, func, userdata, ret);
}

bool steps_keep_ready(struct steps *steps, size_t n)
{
	static const char *const argv[] = {"--wait", NULL};
	struct step *step;
	size_t ready = 0;

	for (step = steps->first; step; step = step->next)
		ready += step->input >= 0;
	/* What cannot be started now is started when it is needed, or fails there. */
	return ready < n &&
	       step_spawn(steps, &(struct start){.argv = argv, .waits = true}, &step) >= 0 &&
	       ready + 1 < n;
}

int step_adopt(struct steps *steps, pid_t pid, uint64_t start_ns)
{
	struct step *step = step_new(steps);
	int r;

	if (!step)
		return -ENOMEM;
	step->pid = pid;
	step->start_ns = start_ns;
	r = hold_process(step);
	/* Held first, then looked at: the pid may be another's by now. */
	if (r >= 0 && (start_ns == 0 || spawn_start_ns(pid) != start_ns))
		r = -ESRCH;
	if (r >= 0)
		r = watch_exit(step);
	if (r < 0) {
		step_free(step);
		return r;
	}
	step_abandon(step);
	return 0;
}

void step_cancel(struct step *step)
{
	if (step)
		step_abandon(step);
}

pid_t step_pid(const struct step *step)
{
	return step->pid;
}

uint64_t step_start_ns(const struct step *step)
{
	return step->start_ns;
}

int steps_new(sd_event *event, const char *binary, struct steps **ret)
{
	struct steps *steps;

	steps = calloc(1, sizeof(*steps));
	if (!steps)
		return -ENOMEM;
	steps->binary = strdup(binary);
	if (!steps->binary) {
		free(steps);
		return -ENOMEM;
	}
	steps->event = sd_event_ref(event);
	*ret = steps;
	return 0;
}

/* Of one that slept: the service manager complains of what is left in the unit. */
static void await_exit(struct step *step)
{
	struct pollfd pollfd = {.fd = step->pidfd, .events = POLLIN};
	siginfo_t info;

	if (poll(&pollfd, 1, AWAIT_EXIT_MS) > 0)
		(void)waitid(P_PIDFD, (id_t)step->pidfd, &info, WEXITED | WNOHANG);
}

struct steps *steps_free(struct steps *steps)
{
	if (!steps)
		return NULL;
	for (struct step *step = steps->first, *next; step; step = next) {
		bool waits = step->input >= 0;

		next = step->next;
		step_abandon(step);
		if (waits)
			await_exit(step);
		step_free(step);
	}
	sd_event_unref(steps->event);
	free(steps->binary);
	free(steps);
	return NULL;
}

void steps_foreach(struct steps *steps, void (*func)(void *userdata, pid_t pid, uint64_t start_ns),
		   void *userdata)
{
	for (const struct step *step = steps->first; step; step = step->next)
		func(userdata, step->pid, step->start_ns);
}

size_t steps_stuck(const struct steps *steps)
{
	size_t n = 0;

	for (const struct step *step = steps->first; step; step = step->next)
		n += !step->func && step->input < 0;
	return n;
}
