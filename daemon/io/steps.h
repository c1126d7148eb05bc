/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Steps: everything that may block runs in a daxguard-step process.
 *
 * Owns: the children, their pipes, their deadlines. Must not own: what a step
 * is for. A step is started with posix_spawn, watched by pidfd, and killed at
 * its deadline; one that cannot be killed (D state) is reported as timed out
 * at once and kept as "stuck" until it is gone, for the record.
 *
 * Some may be kept ready: started, and waiting for their verb. Then a step costs
 * no exec when it counts, of a program that may lie on what is being removed.
 *
 * Output: records (core/record.h), at most STEP_OUTPUT_MAX bytes; more is an
 * error of that step. What a step prints to stderr is kept (first 1 KiB) for
 * the record.
 *
 * Verbs and their records: see daxguard-step(8).
 */
#pragma once

#include <systemd/sd-event.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "core/record.h"

#define STEP_OUTPUT_MAX (4U * 1024 * 1024)
#define STEP_ERROR_MAX 1024U
#define STEP_INPUT_MAX (1024U * 1024)

struct steps;
struct step;

enum step_end {
	STEP_OK,       /* exit status 0 */
	STEP_FAILED,   /* exit status != 0, see status; or too much output: status 0 */
	STEP_SIGNALED, /* died of a signal, see status */
	STEP_TIMEOUT,  /* the deadline passed; killed or stuck */
	STEP_CANCELED, /* by step_cancel(): never reported, for records of the caller */
};
const char *step_end_name(enum step_end end);

struct step_outcome {
	enum step_end end;
	int status;         /* exit status or signal */
	const char *output; /* n_output bytes of records, also those of a step that failed */
	size_t n_output;
	const char *error; /* text from stderr, may be empty */
	uint64_t took_us;
};

/* Called once, from the event loop, never from within step_start(). The step is gone then. */
typedef void (*step_func)(void *userdata, const struct step_outcome *outcome);

/* binary: path of daxguard-step, copied. */
int steps_new(sd_event *event, const char *binary, struct steps **ret);
struct steps *steps_free(struct steps *steps); /* cancels all, without callbacks */

/*
 * argv: the verb and its arguments, NULL at the end. input: what it reads from
 * stdin, at most STEP_INPUT_MAX bytes; NULL: nothing. What posix_spawn and
 * pidfd_open say, -ENOMEM, -EMFILE, -E2BIG; then there is no callback.
 */
int step_start_with(struct steps *steps, const char *const argv[], const void *input,
		    size_t n_input, uint64_t timeout_us, step_func func, void *userdata,
		    struct step **ret);

int step_start(struct steps *steps, const char *const argv[], uint64_t timeout_us, step_func func,
	       void *userdata, struct step **ret);
void step_cancel(struct step *step); /* no callback any more; step is gone */

/*
 * One that a daemon before us started, and that did not die with it: it hangs
 * in the kernel. Killed, and known as stuck until it is gone. -ESRCH: it is.
 */
int step_adopt(struct steps *steps, pid_t pid, uint64_t start_ns);

pid_t step_pid(const struct step *step);
uint64_t step_start_ns(const struct step *step); /* since boot; from /proc/PID/stat: 10 ms steps */

/*
 * Have this many wait, started as "binary --wait": they read their verb and its
 * arguments from stdin, each with a NUL at its end, and exit when it ends at
 * once. step_start() uses them up; nothing but this call starts others. It
 * starts one, since that may take its time. True: call it again, there are to be more.
 */
bool steps_keep_ready(struct steps *steps, size_t n);

/* Calls func for each running, waiting or stuck step. They are exempt from policy. */
void steps_foreach(struct steps *steps, void (*func)(void *userdata, pid_t pid, uint64_t start_ns),
		   void *userdata);

/* Steps that were killed and are not gone yet. */
size_t steps_stuck(const struct steps *steps);
