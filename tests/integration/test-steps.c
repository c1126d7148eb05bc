/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* io/steps with real children: /bin/sh is the step, "-c" its verb. */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "io/steps-spawn.h"
#include "io/steps.h"

#define SECOND UINT64_C(1000000)

static bool no_timers;

/* In the way of the library's: for a step that is spawned and cannot be watched. */
int sd_event_add_time(sd_event *event, sd_event_source **source, clockid_t clock, uint64_t usec,
		      uint64_t accuracy, sd_event_time_handler_t callback, void *userdata)
{
	typeof(&sd_event_add_time) real = dlsym(RTLD_NEXT, "sd_event_add_time");

	return no_timers ? -ENOSPC : real(event, source, clock, usec, accuracy, callback, userdata);
}

struct seen {
	int calls;
	enum step_end end;
	int status;
	char output[256];
	size_t n_output;
	char error[2048];
	uint64_t took_us;
};

static void on_step(void *userdata, const struct step_outcome *outcome)
{
	struct seen *seen = userdata;

	seen->calls++;
	seen->end = outcome->end;
	seen->status = outcome->status;
	seen->n_output = outcome->n_output;
	if (outcome->n_output <= sizeof(seen->output))
		memcpy(seen->output, outcome->output, outcome->n_output);
	snprintf(seen->error, sizeof(seen->error), "%s", outcome->error);
	seen->took_us = outcome->took_us;
}

static void count(void *userdata, pid_t pid, uint64_t start_ns)
{
	assert_true(pid > 1);
	assert_true(start_ns > 0);
	++*(int *)userdata;
}

static int running(struct steps *steps)
{
	int n = 0;

	steps_foreach(steps, count, &n);
	return n;
}

static int setup(void **state)
{
	sd_event *event;
	struct steps *steps;

	assert_true(sd_event_default(&event) >= 0);
	assert_int_equal(steps_new(event, "/bin/sh", &steps), 0);
	sd_event_unref(event);
	*state = steps;
	return 0;
}

static int teardown(void **state)
{
	assert_null(steps_free(*state));
	return 0;
}

static void turn(uint64_t usec)
{
	sd_event *event;

	assert_true(sd_event_default(&event) >= 0);
	assert_true(sd_event_run(event, usec) >= 0);
	sd_event_unref(event);
}

static void run(struct steps *steps, const char *script, uint64_t timeout_us, struct seen *seen)
{
	const char *argv[] = {"-c", script, NULL};
	struct step *step;

	*seen = (struct seen){0};
	assert_int_equal(step_start(steps, argv, timeout_us, on_step, seen, &step), 0);
	assert_int_equal(seen->calls, 0);
	for (int i = 0; i < 1000 && seen->calls == 0; i++)
		turn(SECOND / 10);
	assert_int_equal(seen->calls, 1);
}

/* All children are gone soon, none is left unreaped. */
static void assert_all_gone(struct steps *steps)
{
	for (int i = 0; i < 50 && running(steps) > 0; i++)
		turn(SECOND / 10);
	assert_int_equal(running(steps), 0);
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
	assert_int_equal(errno, ECHILD);
}

static void test_output(void **state)
{
	struct seen seen;

	run(*state, "printf 'A=1\\0\\0'; echo one >&2; echo two >&2", 10 * SECOND, &seen);
	assert_int_equal(seen.end, STEP_OK);
	assert_int_equal(seen.status, 0);
	assert_int_equal(seen.n_output, 5);
	assert_memory_equal(seen.output, "A=1\0\0", 5);
	assert_string_equal(seen.error, "one\ntwo");
	assert_all_gone(*state);
}

static void test_input(void **state)
{
	/* More than a pipe takes, and nobody need read it. */
	static char input[200000];
	const char *const argv[] = {"-c", "head -c 3; [ $(wc -c) = 199997 ] && exec true", NULL};
	const char *const idle[] = {"-c", "exit 7", NULL};
	struct seen seen = {0};
	struct step *step;

	memset(input, 'x', sizeof(input));
	memcpy(input, "A=1", 3);
	assert_int_equal(step_start_with(*state, argv, input, sizeof(input), 10 * SECOND, on_step,
					 &seen, &step),
			 0);
	for (int i = 0; i < 1000 && seen.calls == 0; i++)
		turn(SECOND / 10);
	assert_int_equal(seen.end, STEP_OK);
	assert_int_equal(seen.n_output, 3);
	assert_memory_equal(seen.output, "A=1", 3);

	seen.calls = 0;
	assert_int_equal(step_start_with(*state, idle, input, sizeof(input), 10 * SECOND, on_step,
					 &seen, &step),
			 0);
	for (int i = 0; i < 1000 && seen.calls == 0; i++)
		turn(SECOND / 10);
	assert_int_equal(seen.status, 7);
	assert_int_equal(step_start_with(*state, idle, input, STEP_INPUT_MAX + 1, SECOND, on_step,
					 &seen, &step),
			 -E2BIG);
	assert_all_gone(*state);
}

static void test_failure(void **state)
{
	struct seen seen;

	run(*state, "printf 'A=1\\0\\0'; exit 3", 10 * SECOND, &seen);
	assert_int_equal(seen.end, STEP_FAILED);
	assert_int_equal(seen.status, 3);
	assert_int_equal(seen.n_output, 5);
	run(*state, "kill -SEGV $$", 10 * SECOND, &seen);
	assert_int_equal(seen.end, STEP_SIGNALED);
	assert_int_equal(seen.status, SIGSEGV);
	assert_all_gone(*state);
}

static void test_deadline(void **state)
{
	struct seen seen;

	run(*state, "trap '' TERM; printf 'A=1\\0\\0'; while :; do sleep 1; done", SECOND / 5,
	    &seen);
	assert_int_equal(seen.end, STEP_TIMEOUT);
	assert_int_equal(seen.n_output, 5);
	assert_in_range(seen.took_us, SECOND / 5, SECOND);
	/* Reported before it is gone, and kept until then. */
	assert_int_equal(running(*state), 1);
	assert_int_equal(steps_stuck(*state), 1);
	assert_all_gone(*state);
	assert_int_equal(steps_stuck(*state), 0);
}

static void test_too_much(void **state)
{
	struct seen seen;

	run(*state, "head -c 5000000 /dev/zero; sleep 30", 20 * SECOND, &seen);
	assert_int_equal(seen.end, STEP_FAILED);
	assert_int_equal(seen.n_output, 0);
	assert_non_null(strstr(seen.error, "output"));
	assert_true(seen.took_us < 15 * SECOND);
	run(*state, "head -c 100000 /dev/zero | tr '\\0' x >&2; exit 1", 20 * SECOND, &seen);
	assert_int_equal(seen.end, STEP_FAILED);
	assert_int_equal(strlen(seen.error), STEP_ERROR_MAX);
	assert_all_gone(*state);
}

/* A grandchild that keeps the pipes does not keep the step. */
static void test_grandchild(void **state)
{
	struct seen seen;

	run(*state, "sleep 2 & printf 'A=1\\0\\0'", 10 * SECOND, &seen);
	assert_int_equal(seen.end, STEP_OK);
	assert_int_equal(seen.n_output, 5);
	assert_true(seen.took_us < SECOND);
}

static void test_cancel(void **state)
{
	const char *argv[] = {"-c", "sleep 30", NULL};
	struct seen seen = {0};
	struct step *step;

	assert_int_equal(step_start(*state, argv, 20 * SECOND, on_step, &seen, &step), 0);
	assert_true(step_pid(step) > 1);
	assert_true(step_start_ns(step) > 0);
	step_cancel(step);
	assert_all_gone(*state);
	assert_int_equal(seen.calls, 0);
}

static void test_free_while_running(void **state)
{
	const char *argv[] = {"-c", "sleep 30", NULL};
	struct seen seen = {0};
	struct step *step;

	for (int i = 0; i < 3; i++)
		assert_int_equal(step_start(*state, argv, 20 * SECOND, on_step, &seen, &step), 0);
	steps_free(*state);
	for (int i = 0; i < 3; i++)
		assert_true(waitpid(-1, NULL, 0) > 1);
	assert_int_equal(seen.calls, 0);
	assert_int_equal(setup(state), 0);
}

static void test_no_such_binary(void **state)
{
	const char *argv[] = {"verb", NULL};
	struct seen seen = {0};
	struct steps *steps;
	struct step *step = NULL;
	sd_event *event;

	assert_true(sd_event_default(&event) >= 0);
	assert_int_equal(steps_new(event, "/nonexistent/daxguard-step", &steps), 0);
	assert_int_equal(step_start(steps, argv, SECOND, on_step, &seen, &step), -ENOENT);
	assert_null(step);
	assert_int_equal(running(steps), 0);
	steps_free(steps);
	sd_event_unref(event);
}

static void test_not_watched(void **state)
{
	const char *argv[] = {"-c", "sleep 100", NULL};
	struct step *step = NULL;
	struct seen seen = {0};

	no_timers = true;
	assert_int_equal(step_start(*state, argv, SECOND, on_step, &seen, &step), -ENOSPC);
	no_timers = false;
	assert_null(step);
	assert_int_equal(running(*state), 1);
	/* It was killed; the next one sees to it that no zombie stays. */
	for (int i = 0; i < 50 && running(*state) > 0; i++) {
		run(*state, "exit 0", 10 * SECOND, &seen);
		turn(SECOND / 10);
	}
	assert_all_gone(*state);
}

static void test_adopted(void **state)
{
	FILE *shell = popen("sleep 100 >&- & echo $!", "r");
	uint64_t start_ns;
	pid_t pid;

	assert_int_equal(fscanf(shell, "%d", &pid), 1);
	start_ns = spawn_start_ns(pid);
	assert_true(start_ns > 0);
	/* Somebody else who has its pid now. */
	assert_int_equal(step_adopt(*state, pid, start_ns + 1), -ESRCH);
	assert_int_equal(running(*state), 0);
	assert_int_equal(kill(pid, 0), 0);
	assert_int_equal(step_adopt(*state, pid, start_ns), 0);
	assert_int_equal(running(*state), 1);
	assert_int_equal(steps_stuck(*state), 1);
	pclose(shell);
	assert_all_gone(*state);
}

/* Signals, descriptors and environment of the daemon are not the step's. */
static void test_clean_state(void **state)
{
	struct seen seen;
	sigset_t blocked;
	int fd;

	sigemptyset(&blocked);
	sigaddset(&blocked, SIGTERM);
	sigprocmask(SIG_BLOCK, &blocked, NULL);
	signal(SIGINT, SIG_IGN);
	setenv("NOTIFY_SOCKET", "/nowhere", 1);
	fd = fcntl(STDOUT_FILENO, F_DUPFD, 100); /* no close-on-exec: a library's mistake */
	assert_true(fd >= 100);
	/* glibc leaves signals 32 and 33, its own, ignored: look at those below 29. */
	run(*state,
	    /* Redirected once, at the begin: a shell that redirects a command keeps a copy. */
	    "exec >&2; sed -n 's/^\\(Sig[BI][lg][kn]\\).*\\(.......\\)$/\\1 \\2/p' "
	    "/proc/self/status; "
	    "ls /proc/$$/fd; echo ${NOTIFY_SOCKET-none}",
	    10 * SECOND, &seen);
	close(fd);
	sigprocmask(SIG_UNBLOCK, &blocked, NULL);
	signal(SIGINT, SIG_DFL);
	assert_string_equal(seen.error, "SigBlk 0000000\nSigIgn 0000000\n0\n1\n2\nnone");
}

static void kill_one(void *userdata, pid_t pid, uint64_t start_ns)
{
	siginfo_t info;

	assert_int_equal(kill(pid, SIGKILL), 0);
	/* Its end of the pipe is closed by then. */
	assert_int_equal(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
}

/* A program that waits: it is told its words, and starts no other. */
static const char waiting[] = "#!/bin/sh\n"
			      "[ \"$1\" = --wait ] || exit 9\n"
			      "set -- $(tr '\\0' ' ')\n"
			      "[ $# -gt 0 ] || exit 0\n"
			      "printf '%s,' \"$@\"\n";

/* Without a child that would keep the pipe. */
static const char deaf[] = "#!/bin/sh\n"
			   "[ \"$1\" = --wait ] || exit 9\n"
			   "read words\n";

static struct steps *steps_of_script(const char *script, char path[static 32])
{
	struct steps *steps;
	sd_event *event;
	int fd;

	strcpy(path, "/tmp/test-steps-XXXXXX");
	fd = mkstemp(path);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, script, strlen(script)), strlen(script));
	fchmod(fd, 0700);
	close(fd);
	assert_true(sd_event_default(&event) >= 0);
	assert_int_equal(steps_new(event, path, &steps), 0);
	sd_event_unref(event);
	return steps;
}

static void test_ready(void **state)
{
	const char *argv[] = {"verb", "1:2", NULL};
	struct seen seen = {0};
	struct step *step;
	struct steps *steps;
	char path[32];

	steps = steps_of_script(waiting, path);
	/* One at a time: who is asked to wait for them all is not kept from all else. */
	assert_true(steps_keep_ready(steps, 2));
	assert_int_equal(running(steps), 1);
	assert_false(steps_keep_ready(steps, 2));
	assert_false(steps_keep_ready(steps, 2));
	assert_int_equal(running(steps), 2);
	assert_int_equal(steps_stuck(steps), 0);
	assert_int_equal(step_start(steps, argv, 10 * SECOND, on_step, &seen, &step), 0);
	assert_int_equal(running(steps), 2);
	for (int i = 0; i < 100 && seen.calls == 0; i++)
		turn(SECOND / 10);
	assert_int_equal(seen.end, STEP_OK);
	assert_int_equal(seen.n_output, strlen("verb,1:2,"));
	assert_memory_equal(seen.output, "verb,1:2,", seen.n_output);
	assert_int_equal(running(steps), 1);
	steps_keep_ready(steps, 2);
	assert_int_equal(running(steps), 2);
	/* Nobody has to see to those that wait. */
	steps_free(steps);
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
	assert_int_equal(errno, ECHILD);
	unlink(path);
}

/* One that died while it waited, and words that are too many: started as ever. */
static void test_ready_is_of_no_use(void **state)
{
	const char *argv[] = {"verb", NULL, NULL};
	char long_word[5000];
	struct seen seen = {0};
	struct step *step;
	struct steps *steps;
	char path[32];

	memset(long_word, 'x', sizeof(long_word) - 1);
	long_word[sizeof(long_word) - 1] = 0;
	steps = steps_of_script(deaf, path);
	for (int pass = 0; pass < 2; pass++) {
		seen.calls = 0;
		steps_keep_ready(steps, 1);
		if (pass == 0)
			steps_foreach(steps, kill_one, NULL);
		else
			argv[1] = long_word;
		assert_int_equal(step_start(steps, argv, 10 * SECOND, on_step, &seen, &step), 0);
		for (int i = 0; i < 100 && seen.calls == 0; i++)
			turn(SECOND / 10);
		/* Who is started with a verb says so. */
		assert_int_equal(seen.end, STEP_FAILED);
		assert_int_equal(seen.status, 9);
		assert_all_gone(steps);
	}
	steps_free(steps);
	unlink(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_output, setup, teardown),
		cmocka_unit_test_setup_teardown(test_input, setup, teardown),
		cmocka_unit_test_setup_teardown(test_failure, setup, teardown),
		cmocka_unit_test_setup_teardown(test_deadline, setup, teardown),
		cmocka_unit_test_setup_teardown(test_too_much, setup, teardown),
		cmocka_unit_test_setup_teardown(test_grandchild, setup, teardown),
		cmocka_unit_test_setup_teardown(test_cancel, setup, teardown),
		cmocka_unit_test_setup_teardown(test_free_while_running, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_such_binary, setup, teardown),
		cmocka_unit_test_setup_teardown(test_not_watched, setup, teardown),
		cmocka_unit_test_setup_teardown(test_adopted, setup, teardown),
		cmocka_unit_test_setup_teardown(test_clean_state, setup, teardown),
		cmocka_unit_test(test_ready),
		cmocka_unit_test(test_ready_is_of_no_use),
	};

	signal(SIGPIPE, SIG_IGN); /* as the daemon does */
	return cmocka_run_group_tests_name("steps", tests, NULL, NULL);
}
