/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * daxguardctl: options, environment, and the choice of the verb.
 */
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "client.h"
#include "ctl.h"
#include "names.h"
#include "text.h"

static const struct ctl_verb verbs[] = {
	{"status", "", "Is the daemon at work, and are removals held?", 0, 0, verb_status},
	{"list", "", "Devices that are guarded", 0, 0, verb_list},
	{"holders", "DEVICE", "Who uses a device now", 1, 1, verb_holders},
	{"explain", "DEV [PID]", "Who would get what in a removal, and why", 1, 2, verb_explain},
	{"incidents", "", "Removals since the daemon's records begin", 0, 0, verb_incidents},
	{"show", "[ID]", "The whole story of one incident; the last if no ID", 0, 1, verb_show},
	{"monitor", "", "Follow incidents as they happen", 0, 0, verb_monitor},
	{"poison", "[DEVICE]", "Which ranges of memory are bad", 0, 1, verb_poison},
	{"remove", "DEVICE", "Sync, end its users, unmount, take its driver away", 1, 1,
	 verb_remove},
	{"checkpoints", "[ID…]", "Processes that were written to the disk, and may go on", 0,
	 INT_MAX, verb_checkpoints},
	{"restore", "ID", "Has the processes of a checkpoint go on", 1, 1, verb_restore},
	{"policy", "", "The rules in force, in their order", 0, 0, verb_policy},
	{"reload", "", "Read the configuration and the rules again", 0, 0, verb_reload},
	{"check-policy", "[FILE…]", "Are the rules, or these files, without errors?", 0, INT_MAX,
	 verb_check_policy},
};
#define N_VERBS (sizeof(verbs) / sizeof(verbs[0]))

static enum ctl_exit print_help(void)
{
	printf("daxguardctl [OPTION…] VERB [ARGUMENT]\n\n"
	       "Ask daxguardd about guarded devices, their users, and their removals.\n\n");
	for (size_t i = 0; i < N_VERBS; i++)
		printf("  %-13s %-9s %s\n", verbs[i].name, verbs[i].arguments, verbs[i].help);
	printf("\n"
	       "  -j, --json[=MODE]   print JSON: short, pretty or off; without MODE\n"
	       "                      pretty on a terminal, else short\n"
	       "      --history       of poison: also what was repaired\n"
	       "      --no-legend     no column titles, no hints\n"
	       "      --dry-run       of remove: what it would come to; nothing is done\n"
	       "      --force         of remove: also if a part of the system is on it, or\n"
	       "                      somebody stays who uses it; of restore: also if a file\n"
	       "                      has changed\n"
	       "      --no-progress   of remove: only how it ended\n"
	       "      --delete        of checkpoints: remove those that are named\n"
	       "      --prune         of checkpoints: remove what is too old or too much\n"
	       "      --socket=PATH   the daemon's control socket (%s)\n"
	       "  -h, --help          this text\n"
	       "      --version       the version\n\n"
	       "Exit status: 0 ok, 1 failure, 2 usage, 3 daemon not running, 4 no such device,\n"
	       "process, incident or checkpoint, 5 removals are not held, 6 a rule file has an "
	       "error,\n"
	       "7 the device was not removed, 8 its removal goes on unwatched, 9 a checkpoint was "
	       "not\n"
	       "restored.\n"
	       "See daxguardctl(1).\n",
	       DG_CONTROL_SOCKET);
	return CTL_OK;
}

/* As systemd's tools: SYSTEMD_COLORS says it either way, else NO_COLOR, else a terminal. */
static bool want_colour(bool terminal)
{
	static const char *const no[] = {"0", "no", "n", "false", "f", "off"};
	const char *value = getenv("SYSTEMD_COLORS");

	if (value && *value) {
		for (size_t i = 0; i < sizeof(no) / sizeof(no[0]); i++)
			if (strcasecmp(value, no[i]) == 0)
				return false;
		return true;
	}
	value = getenv("NO_COLOR");
	if (value && *value)
		return false;
	value = getenv("TERM");
	return terminal && value && strcmp(value, "dumb") != 0;
}

static size_t find_width(bool terminal)
{
	const char *columns = getenv("COLUMNS");
	struct winsize window;
	long width = columns ? strtol(columns, NULL, 10) : 0;

	if (width > 0 && width < 10000)
		return (size_t)width;
	if (!terminal)
		return 0;
	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &window) == 0 && window.ws_col > 0)
		return window.ws_col;
	return 80;
}

static int parse_json(const char *mode, bool terminal, enum ctl_json *ret)
{
	if (!mode)
		*ret = terminal ? CTL_JSON_PRETTY : CTL_JSON_SHORT;
	else if (strcmp(mode, "short") == 0)
		*ret = CTL_JSON_SHORT;
	else if (strcmp(mode, "pretty") == 0)
		*ret = CTL_JSON_PRETTY;
	else if (strcmp(mode, "off") == 0)
		*ret = CTL_JSON_OFF;
	else
		return -EINVAL;
	return 0;
}

/* 0: go on with the verb; else *ret_code is the answer already. */
static int parse_options(struct ctl *ctl, int argc, char *argv[], bool terminal,
			 enum ctl_exit *ret_code)
{
	enum {
		OPT_HISTORY = 0x100,
		OPT_NO_LEGEND,
		OPT_DRY_RUN,
		OPT_FORCE,
		OPT_NO_PROGRESS,
		OPT_DELETE,
		OPT_PRUNE,
		OPT_SOCKET,
		OPT_VERSION
	};
	static const struct option options[] = {
		{"json", optional_argument, NULL, 'j'},
		{"history", no_argument, NULL, OPT_HISTORY},
		{"no-legend", no_argument, NULL, OPT_NO_LEGEND},
		{"dry-run", no_argument, NULL, OPT_DRY_RUN},
		{"force", no_argument, NULL, OPT_FORCE},
		{"no-progress", no_argument, NULL, OPT_NO_PROGRESS},
		{"delete", no_argument, NULL, OPT_DELETE},
		{"prune", no_argument, NULL, OPT_PRUNE},
		{"socket", required_argument, NULL, OPT_SOCKET},
		{"help", no_argument, NULL, 'h'},
		{"version", no_argument, NULL, OPT_VERSION},
		{NULL, 0, NULL, 0},
	};
	int c;

	while ((c = getopt_long(argc, argv, "jh", options, NULL)) >= 0) {
		switch (c) {
		case 'j':
			if (parse_json(optarg, terminal, &ctl->json) >= 0)
				break;
			*ret_code = client_fail(CTL_USAGE,
						"--json= takes short, pretty or off, not \"%s\"",
						optarg);
			return -EINVAL;
		case OPT_HISTORY:
			ctl->history = true;
			break;
		case OPT_NO_LEGEND:
			ctl->style.legend = false;
			break;
		case OPT_DRY_RUN:
			ctl->dry_run = true;
			break;
		case OPT_FORCE:
			ctl->force = true;
			break;
		case OPT_NO_PROGRESS:
			ctl->no_progress = true;
			break;
		case OPT_DELETE:
			ctl->deletes = true;
			break;
		case OPT_PRUNE:
			ctl->prunes = true;
			break;
		case OPT_SOCKET:
			ctl->socket = optarg;
			break;
		case 'h':
			*ret_code = print_help();
			return -ECANCELED;
		case OPT_VERSION:
			printf("daxguardctl %s\n", DAXGUARD_VERSION);
			*ret_code = CTL_OK;
			return -ECANCELED;
		default:
			*ret_code = CTL_USAGE;
			return -EINVAL;
		}
	}
	return 0;
}

/* Of another verb: somebody believes that it would be one of this. */
static enum ctl_exit check_options(const struct ctl *ctl, const struct ctl_verb *verb)
{
	if ((ctl->dry_run || ctl->no_progress) && verb->run != verb_remove)
		return client_fail(CTL_USAGE, "--dry-run and --no-progress are of remove");
	if (ctl->force && verb->run != verb_remove && verb->run != verb_restore)
		return client_fail(CTL_USAGE, "--force is of remove and restore");
	if ((ctl->deletes || ctl->prunes) && verb->run != verb_checkpoints)
		return client_fail(CTL_USAGE, "--delete and --prune are of checkpoints");
	if (ctl->history && verb->run != verb_poison)
		return client_fail(CTL_USAGE, "--history is for poison");
	return CTL_OK;
}

static enum ctl_exit run_verb(const struct ctl *ctl, int argc, char *argv[])
{
	const struct ctl_verb *verb;
	enum ctl_exit code;
	const char *near;

	if (argc == 0)
		return client_fail(CTL_USAGE, "what to do? See daxguardctl --help");

	verb = verb_find(verbs, N_VERBS, argv[0], &near);
	if (!verb && near)
		return client_fail(CTL_USAGE, "unknown verb \"%s\"; did you mean \"%s\"?", argv[0],
				   near);
	if (!verb)
		return client_fail(CTL_USAGE, "unknown verb \"%s\"; see daxguardctl --help",
				   argv[0]);

	argc--, argv++;
	if (argc < verb->min_args || argc > verb->max_args)
		return client_fail(CTL_USAGE, "usage: daxguardctl %s%s%s", verb->name,
				   *verb->arguments ? " " : "", verb->arguments);
	code = check_options(ctl, verb);
	return code != CTL_OK ? code : verb->run(ctl, argc, argv);
}

int main(int argc, char *argv[])
{
	bool terminal = isatty(STDOUT_FILENO);
	enum ctl_exit code = CTL_OK;
	struct ctl ctl = {
		.socket = DG_CONTROL_SOCKET,
		.style = {.legend = true},
	};

	setlocale(LC_ALL, "");
	/* A reader that has seen enough is no failure: writes say EPIPE instead. */
	signal(SIGPIPE, SIG_IGN);
	ctl.style.colour = want_colour(terminal);
	ctl.style.width = find_width(terminal);

	if (parse_options(&ctl, argc, argv, terminal, &code) >= 0)
		code = run_verb(&ctl, argc - optind, argv + optind);

	if (fflush(stdout) != 0 && errno != EPIPE && code == CTL_OK)
		code = client_fail(CTL_FAILURE, "cannot write: %s", strerror(errno));
	return (int)code;
}
