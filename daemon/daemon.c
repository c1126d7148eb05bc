/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon.h"

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <syslog.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "bus.h"
#include "config.h"
#include "io/notify.h"
#include "names.h"

#define STACK_TOUCHED (256U * 1024)
#define START_AGAIN_NS (500L * 1000 * 1000)

static void usage(void)
{
	puts("daxguardd [--check-config [FILE]]\n"
	     "\n"
	     "Answers the kernel module daxguard: before a persistent-memory device goes away,\n"
	     "its data is synced, processes let go of it, and it is unmounted.\n"
	     "\n"
	     "  --check-config [FILE]  check the configuration, or FILE, and exit\n"
	     "  -h, --help             this text\n"
	     "  --version              the version\n"
	     "\n"
	     "See daxguardd(8).");
}

static int check_config(const char *path)
{
	struct config config;
	int status = DG_EXIT_OK;

	if (config_load(path, &config) < 0)
		return DG_EXIT_FAILURE;
	if (config.errors[0]) {
		fprintf(stderr, "%s\n", config.errors[0]);
		status = DG_EXIT_CONFIG;
	} else if (config.files[0]) {
		printf("%s: OK\n", config.files[0]);
	} else {
		printf("no configuration file: the built-in default is in force\n");
	}
	config_done(&config);
	return status;
}

/* -1: go on and be the daemon; else the exit status. */
static int parse_argv(int argc, char *argv[])
{
	enum { ARG_VERSION = 256, ARG_CHECK_CONFIG };
	static const struct option options[] = {
		{"help", no_argument, NULL, 'h'},
		{"version", no_argument, NULL, ARG_VERSION},
		{"check-config", no_argument, NULL, ARG_CHECK_CONFIG},
		{},
	};
	bool check = false;
	int c;

	while ((c = getopt_long(argc, argv, "h", options, NULL)) >= 0) {
		if (c == 'h') {
			usage();
			return DG_EXIT_OK;
		}
		if (c == ARG_VERSION) {
			puts("daxguardd " DAXGUARD_VERSION);
			return DG_EXIT_OK;
		}
		if (c != ARG_CHECK_CONFIG)
			return DG_EXIT_USAGE;
		check = true;
	}
	if (argc - optind > (check ? 1 : 0)) {
		fprintf(stderr, "daxguardd: unexpected argument: %s\n", argv[optind]);
		return DG_EXIT_USAGE;
	}
	return check ? check_config(argv[optind]) : -1;
}

/* A page fault in a hold may need memory that only the held device could free. */
static int lock_memory(void)
{
	volatile char stack[STACK_TOUCHED];

	for (size_t i = 0; i < sizeof(stack); i += 4096)
		stack[i] = 0;
	return mlockall(MCL_CURRENT | MCL_FUTURE) < 0 ? -errno : 0;
}

/* A pidfd for each holder. */
static void raise_limits(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max;
		(void)!setrlimit(RLIMIT_NOFILE, &limit);
	}
}

static int on_signal(sd_event_source *source, const struct signalfd_siginfo *info, void *userdata)
{
	return sd_event_exit(sd_event_source_get_event(source), 0);
}

static int on_hangup(sd_event_source *source, const struct signalfd_siginfo *info, void *userdata)
{
	manager_reload_soon(userdata);
	return 0;
}

static int block_signals(sd_event *event)
{
	sigset_t set;
	int r;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGCHLD);
	if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
		return -errno;
	if (signal(SIGPIPE, SIG_IGN) == SIG_ERR)
		return -errno;
	r = sd_event_add_signal(event, NULL, SIGTERM, on_signal, NULL);
	return r < 0 ? r : sd_event_add_signal(event, NULL, SIGINT, on_signal, NULL);
}

/*
 * The service manager starts us again at once, since who dies in a hold is
 * missed there. What kept us from starting is given a moment to pass instead,
 * less than a takeover may take. A signal that ends us ends that too.
 */
static void wait_a_moment(void)
{
	const struct timespec moment = {.tv_nsec = START_AGAIN_NS};
	sigset_t set;

	if (!getenv("NOTIFY_SOCKET"))
		return;
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	(void)!sigtimedwait(&set, NULL, &moment);
}

static int fail(int error, bool started)
{
	if (!started && (error == -EBUSY || error == -EADDRINUSE)) {
		fprintf(stderr, "daxguardd: another daemon is at work already\n");
		return DG_EXIT_SECOND;
	}
	fprintf(stderr, "daxguardd: cannot %s: %s\n", started ? "go on" : "start",
		strerror(-error));
	if (!started)
		wait_a_moment();
	return DG_EXIT_FAILURE;
}

/*
 * The kernel knows one daemon; without a module the control socket tells two
 * apart. Apart from that, a hold is answered without a socket too.
 */
static int start_bus(struct manager *m, struct bus **ret)
{
	struct manager_status status;
	int r;

	r = bus_new(m, ret);
	if (r >= 0)
		return r;
	manager_get_status(m, &status);
	if (r == -EADDRINUSE && !status.registered)
		return r;
	manager_log(m, LOG_ERR, "No control socket: %s", strerror(-r));
	return 0;
}

/* From here on a hold may be open, and nothing is printed unless we give up. */
static int serve(sd_event *event, const struct manager_paths *paths, uint64_t watchdog_us,
		 bool *ret_started)
{
	struct manager *m = NULL;
	sd_event_source *hangup = NULL;
	struct bus *bus = NULL;
	int r, locked;

	locked = lock_memory();
	r = manager_new(event, paths, &m);
	if (r < 0)
		return r;
	if (locked < 0)
		manager_log(m, LOG_WARNING, "The daemon's memory could not be locked: %s",
			    strerror(-locked));
	r = sd_event_add_signal(event, &hangup, SIGHUP, on_hangup, m);
	if (r >= 0)
		r = start_bus(m, &bus);
	if (r >= 0) {
		*ret_started = true;
		manager_start(m, watchdog_us);
		(void)!notify_send("READY=1");
		r = sd_event_loop(event);
		(void)!notify_send("STOPPING=1");
		manager_stop(m);
	}
	bus_free(bus);
	sd_event_source_disable_unref(hangup);
	manager_free(m);
	return r;
}

int daemon_run(int argc, char *argv[], const struct manager_paths *paths)
{
	uint64_t watchdog_us = 0;
	sd_event *event = NULL;
	bool started = false;
	int status, r;

	status = parse_argv(argc, argv);
	if (status >= 0)
		return status;
	if (geteuid() != 0) {
		fprintf(stderr, "daxguardd: must be run as root\n");
		wait_a_moment();
		return DG_EXIT_FAILURE;
	}
	raise_limits();
	(void)!sd_watchdog_enabled(0, &watchdog_us);
	r = sd_event_new(&event);
	if (r >= 0)
		r = block_signals(event);
	if (r >= 0)
		r = serve(event, paths, watchdog_us, &started);
	sd_event_unref(event);
	return r < 0 ? fail(r, started) : DG_EXIT_OK;
}
