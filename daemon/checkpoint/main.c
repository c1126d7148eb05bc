/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * daxguard-checkpoint: makes one checkpoint, or restores one, with CRIU.
 *
 *	daxguard-checkpoint dump|restore|abandon|abandon-restore --request=FILE
 *
 * Started by daxguard-step (`checkpoint`, `restore`), in a unit of its own with all
 * capabilities: what is begun goes on when the daemon and the step are gone. FILE is
 * what the step was asked for; the result is written beside it. What it says of a
 * refusal is in step/main.c.
 *
 * abandon is for after the death of the others (ExecStopPost=): if there is no result,
 * it puts everything right and says so.
 *
 * Exit status: 0 there is a result; 2 wrong usage; 3 there is no such request.
 */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "checkpoint/dump.h"
#include "checkpoint/restore.h"
#include "step/step.h"

static void dump(struct request *request)
{
	struct result result = {};

	dump_run(request, &result);
	result_done(&result);
}

static void restore(struct request *request)
{
	struct result result = {};

	restore_run(request, &result);
	result_done(&result);
}

static void abandon(struct request *request)
{
	dump_abandon(request, "it was killed");
}

static void abandon_restore(struct request *request)
{
	restore_abandon(request, "it was killed");
}

static const struct {
	const char *name;
	enum checkpoint_run run;
	void (*func)(struct request *request);
} verbs[] = {
	{"abandon", CHECKPOINT_DUMP, abandon},
	{"abandon-restore", CHECKPOINT_RESTORE, abandon_restore},
	{"dump", CHECKPOINT_DUMP, dump},
	{"restore", CHECKPOINT_RESTORE, restore},
};

static int usage(void)
{
	fprintf(stderr, "usage: daxguard-checkpoint dump|restore|abandon|abandon-restore "
			"--request=FILE\n");
	return STEP_EXIT_USAGE;
}

static int run(const char *verb, const char *path)
{
	struct request request;
	int r;

	for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++) {
		if (strcmp(verbs[i].name, verb) != 0)
			continue;
		r = request_read(verbs[i].run, path, &request);
		if (r < 0) {
			fprintf(stderr, "daxguard-checkpoint: %s: %s\n", path, strerror(-r));
			return STEP_EXIT_FAILURE;
		}
		verbs[i].func(&request);
		request_done(&request);
		return STEP_EXIT_OK;
	}
	return usage();
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{"request", required_argument, NULL, 'r'},
		{0},
	};
	const char *path = NULL;
	sigset_t set;
	int c;

	/* It is waited for where it may interrupt; elsewhere the work is brought to its end. */
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	umask(0077);
	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (c != 'r')
			return usage();
		path = optarg;
	}
	if (optind + 1 != argc || !path)
		return usage();
	return run(argv[optind], path);
}
