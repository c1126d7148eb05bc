/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "io/steps-spawn.h"
#include "io/steps.h"

#define USEC_PER_SEC UINT64_C(1000000)
#define NSEC_PER_USEC UINT64_C(1000)

/* A deadline may be late by this much. */
#define ACCURACY_US 1000

/* Enough to empty a pipe, few enough to leave a step that pours without end. */
#define READS_PER_TURN 32

struct pipe_end {
	int fd;
	sd_event_source *source;
	char *data;
	size_t n, size, max;
	bool overflow;
};

struct step {
	struct steps *steps;
	struct step *prev, *next;
	pid_t pid;
	uint64_t start_ns;
	int pidfd;
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
	switch (end) {
	case STEP_OK:
		return "ok";
	case STEP_FAILED:
		return "failed";
	case STEP_SIGNALED:
		return "signaled";
	case STEP_TIMEOUT:
		return "timeout";
	case STEP_CANCELED:
		return "canceled";
	default:
		return "unknown";
	}
}

static uint64_t now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * USEC_PER_SEC + (uint64_t)now.tv_nsec / NSEC_PER_USEC;
}

static void pipe_end_close(struct pipe_end *end)
{
	end->source = sd_event_source_disable_unref(end->source);
	if (end->fd >= 0)
		close(end->fd);
	end->fd = -1;
}

static void step_close(struct step *step)
{
	pipe_end_close(&step->output);
	pipe_end_close(&step->error);
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
	if (step->steps) {
		if (step->next)
			step->next->prev = step->prev;
		if (step->prev)
			step->prev->next = step->next;
		else
			step->steps->first = step->next;
	}
	free(step);
}

/* From here on the step is only waited for: nobody is interested any more. */
static void step_abandon(struct step *step)
{
	(void)pidfd_send_signal(step->pidfd, SIGKILL, NULL, 0);
	step->func = NULL;
	step->deadline_source = sd_event_source_disable_unref(step->deadline_source);
	pipe_end_close(&step->output);
	pipe_end_close(&step->error);
}

/* Room for another read; false: none, or none wanted. */
static bool pipe_end_grow(struct pipe_end *end)
{
	size_t size = end->size ? end->size * 2 : 1024;
	char *grown;

	if (end->n < end->size)
		return true;
	if (size > end->max)
		size = end->max;
	if (size == end->size)
		return false;
	grown = realloc(end->data, size);
	if (!grown)
		return false;
	end->data = grown;
	end->size = size;
	return true;
}

/* What is in the pipe now; what finds no room is counted out. The end closes it. */
static void pipe_end_read(struct pipe_end *end)
{
	for (int i = 0; end->fd >= 0 && i < READS_PER_TURN; i++) {
		char rest[4096];
		bool room = pipe_end_grow(end);
		ssize_t n;

		n = room ? read(end->fd, end->data + end->n, end->size - end->n)
			 : read(end->fd, rest, sizeof(rest));
		if (n < 0 && (errno == EINTR || errno == EAGAIN))
			return;
		if (n <= 0)
			pipe_end_close(end);
		else if (room)
			end->n += (size_t)n;
		else
			end->overflow = true;
	}
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

static int watch(struct step *step, uint64_t timeout_us)
{
	sd_event *event = step->steps->event;
	int r;

	r = sd_event_add_io(event, &step->exit_source, step->pidfd, EPOLLIN, on_gone, step);
	if (r < 0)
		return r;
	r = sd_event_add_io(event, &step->output.source, step->output.fd, EPOLLIN, on_output, step);
	if (r < 0)
		return r;
	r = sd_event_add_io(event, &step->error.source, step->error.fd, EPOLLIN, on_error, step);
	if (r < 0)
		return r;
	return sd_event_add_time(event, &step->deadline_source, CLOCK_MONOTONIC,
				 step->started_us + timeout_us, ACCURACY_US, on_deadline, step);
}

/* Spawn with both pipes; what is opened belongs to step, also on failure. */
static int spawn_piped(struct step *step, const char *const argv[])
{
	int output[2], error[2], r;

	r = spawn_pipe(output);
	if (r < 0)
		return r;
	step->output.fd = output[0];
	r = spawn_pipe(error);
	if (r < 0) {
		close(output[1]);
		return r;
	}
	step->error.fd = error[0];
	r = spawn_step(step->steps->binary, argv, output[1], error[1], &step->pid);
	close(output[1]);
	close(error[1]);
	if (r < 0)
		return r;
	step->pidfd = pidfd_open(step->pid, 0);
	return step->pidfd < 0 ? -errno : 0;
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
		.output = {.fd = -1, .max = STEP_OUTPUT_MAX},
		.error = {.fd = -1, .max = STEP_ERROR_MAX},
		.started_us = now_us(),
	};
	if (steps->first)
		steps->first->prev = step;
	steps->first = step;
	return step;
}

int step_start(struct steps *steps, const char *const argv[], uint64_t timeout_us, step_func func,
	       void *userdata, struct step **ret)
{
	struct step *step;
	int r;

	reap_given_up(steps);
	step = step_new(steps);
	if (!step)
		return -ENOMEM;
	step->func = func;
	step->userdata = userdata;
	r = spawn_piped(step, argv);
	if (r < 0 && step->pid == 0) {
		step_free(step);
		return r;
	}
	step->start_ns = spawn_start_ns(step->pid);
	if (r >= 0)
		r = watch(step, timeout_us);
	if (r < 0) {
		step_give_up(step);
		return r;
	}
	*ret = step;
	return 0;
}

int step_adopt(struct steps *steps, pid_t pid, uint64_t start_ns)
{
	struct step *step = step_new(steps);
	int r;

	if (!step)
		return -ENOMEM;
	step->pid = pid;
	step->start_ns = start_ns;
	step->pidfd = pidfd_open(pid, 0);
	r = step->pidfd < 0 ? -errno : 0;
	/* Held first, then looked at: the pid may be another's by now. */
	if (r >= 0 && (start_ns == 0 || spawn_start_ns(pid) != start_ns))
		r = -ESRCH;
	if (r >= 0)
		r = sd_event_add_io(steps->event, &step->exit_source, step->pidfd, EPOLLIN, on_gone,
				    step);
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

struct steps *steps_free(struct steps *steps)
{
	if (!steps)
		return NULL;
	while (steps->first) {
		step_abandon(steps->first);
		step_free(steps->first);
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
		n += !step->func;
	return n;
}
