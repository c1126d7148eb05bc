/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * hook: a program that a rule names, within its time.
 *
 * The step only waits for a child of its own, which is the parent of all that the
 * hook starts and leaves behind (a subreaper): so it can end them all, when the
 * hook is over, when its time is, and when the step was killed or has lost its
 * daemon.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "step/hook.h"
#include "step/input.h"
#include "step/step.h"

static int tell(struct step *step, struct hook_end *end)
{
	static const char *const hows[] = {
		[HOOK_EXITED] = "exited", [HOOK_SIGNALED] = "signaled", [HOOK_TIMEOUT] = "timeout"};
	char output[HOOK_OUTPUT_MAX + 1];

	for (size_t i = 0; i < end->n_output; i++)
		output[i] = end->output[i] ?: '?';
	output[end->n_output] = '\0';
	dg_record_field(&step->writer, "HOW", hows[end->how]);
	dg_record_field_u64(&step->writer, "STATUS", (uint64_t)end->status);
	dg_record_field(&step->writer, "OUTPUT", output);
	return step_emit(step);
}

static int run(struct step *step, const struct hook *hook)
{
	struct hook_end end;
	int r;

	r = hook_run(hook, step->proc_fd, &end);
	if (r >= 0)
		r = tell(step, &end);
	if (r < 0)
		fprintf(stderr, "daxguard-step: %s: %s\n", hook->argv[0], step_result(r));
	return r < 0 ? STEP_EXIT_FAILURE : STEP_EXIT_OK;
}

static int run_in_child(struct step *step, const struct hook *hook)
{
	pid_t parent = getpid(), child;
	int status;

	child = fork();
	if (child < 0)
		return -errno;
	if (child == 0) {
		/* By then it may have died already. */
		if (prctl(PR_SET_PDEATHSIG, SIGTERM) < 0 || getppid() != parent)
			_exit(STEP_EXIT_FAILURE);
		_exit(run(step, hook));
	}
	while (waitpid(child, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	return WIFEXITED(status) ? WEXITSTATUS(status) : STEP_EXIT_FAILURE;
}

int verb_hook(struct step *step)
{
	const char *what, *facts;
	size_t n_what = 0, n_facts = 0;
	struct input input;
	struct hook hook;
	int r;

	r = input_read(&input);
	if (r < 0)
		return r;
	what = input_next(&input, &n_what);
	facts = what ? input_next(&input, &n_facts) : NULL;
	r = facts ? hook_read(what, n_what, facts, n_facts, &hook) : -EBADMSG;
	if (r >= 0) {
		r = run_in_child(step, &hook);
		hook_done(&hook);
	}
	input_done(&input);
	return r;
}
