/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A service manager's private socket: transient units are run, others are watched.
 *
 * usage: fake-units SOCKET [HOW] [UNIT=MAINPID[:CGROUP]…]
 *
 * refuse: StopUnit is an error; ignore: nothing comes of it; silent: it is done, without
 * an answer and without a signal; mute: nobody's main process is said. activating, reloading:
 * so those are that are watched; queued: a service that does not run is to be started;
 * late: it is when a scope is asked for instead of it, and not before; shutdown: then
 * something else is. slow: a transient one is inactive, with a job, for a second. Prints
 * "ready", and what it was asked and does; "restarted UNIT" when the main process of one
 * that nobody has stopped is gone.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <systemd/sd-bus.h>
#include <systemd/sd-event.h>
#include <unistd.h>

#define DESTRUCTIVE "org.freedesktop.systemd1.TransactionIsDestructive"
#define LOOK_US 10000
#define SLOW_US 1000000
#define UNITS_MAX 256
#define ARGS_MAX 16

struct unit {
	char name[256], cgroup[256];
	const char *state;
	pid_t pid;
	int ours;          /* a child */
	uint64_t start_us; /* of what waits to be run */
	char *start[ARGS_MAX], *stop[ARGS_MAX], *env[ARGS_MAX];
	char *conflicts[ARGS_MAX], *before[ARGS_MAX];
};

static struct unit units[UNITS_MAX];
static const char *how = "";
static sd_event *event;

static struct unit *find(const char *name)
{
	for (int i = 0; i < UNITS_MAX; i++)
		if (units[i].state && strcmp(units[i].name, name) == 0)
			return &units[i];
	return NULL;
}

static struct unit *add(const char *name)
{
	for (int i = 0; i < UNITS_MAX; i++)
		if (!units[i].state) {
			units[i] = (struct unit){.state = "active"};
			snprintf(units[i].name, sizeof(units[i].name), "%s", name);
			return &units[i];
		}
	abort();
}

static void say(const char *what, const char *name, long number)
{
	if (number >= 0)
		printf("%s %s %ld\n", what, name, number);
	else
		printf("%s %s\n", what, name);
	fflush(stdout);
}

static pid_t spawn(char **argv, char **env)
{
	pid_t pid = fork();

	if (pid == 0) {
		sigset_t none;

		sigemptyset(&none);
		sigprocmask(SIG_SETMASK, &none, NULL);
		setsid();
		execve(argv[0], argv, env);
		_exit(127);
	}
	return pid;
}

/* "a(sasb)", of which the first. */
static int read_command(sd_bus_message *m, char **argv)
{
	const char *path, *arg;
	int n = 0, ignore, r;

	r = sd_bus_message_enter_container(m, 'v', "a(sasb)");
	if (r >= 0)
		r = sd_bus_message_enter_container(m, 'a', "(sasb)");
	if (r >= 0)
		r = sd_bus_message_enter_container(m, 'r', "sasb");
	if (r >= 0)
		r = sd_bus_message_read(m, "s", &path);
	if (r >= 0)
		r = sd_bus_message_enter_container(m, 'a', "s");
	while (r >= 0 && n < ARGS_MAX - 1 && (r = sd_bus_message_read(m, "s", &arg)) > 0)
		argv[n++] = strdup(arg);
	if (r >= 0)
		r = sd_bus_message_exit_container(m);
	if (r >= 0)
		r = sd_bus_message_read(m, "b", &ignore);
	for (int i = 0; i < 3 && r >= 0; i++)
		r = sd_bus_message_exit_container(m);
	return r;
}

static int read_strings(sd_bus_message *m, char **strings)
{
	const char *string;
	int n = 0, r;

	r = sd_bus_message_enter_container(m, 'v', "as");
	if (r >= 0)
		r = sd_bus_message_enter_container(m, 'a', "s");
	while (r >= 0 && n < ARGS_MAX - 1 && (r = sd_bus_message_read(m, "s", &string)) > 0)
		strings[n++] = strdup(string);
	for (int i = 0; i < 2 && r >= 0; i++)
		r = sd_bus_message_exit_container(m);
	return r;
}

static int read_property(sd_bus_message *m, struct unit *unit)
{
	const char *name;
	uint32_t pid;
	int r;

	r = sd_bus_message_read(m, "s", &name);
	if (r < 0)
		return r;
	if (strcmp(name, "ExecStart") == 0)
		return read_command(m, unit->start);
	if (strcmp(name, "ExecStopPost") == 0)
		return read_command(m, unit->stop);
	if (strcmp(name, "Environment") == 0)
		return read_strings(m, unit->env);
	if (strcmp(name, "Conflicts") == 0)
		return read_strings(m, unit->conflicts);
	if (strcmp(name, "Before") == 0)
		return read_strings(m, unit->before);
	if (strcmp(name, "PIDs") == 0) {
		r = sd_bus_message_read(m, "v", "au", 1, &pid);
		unit->pid = (pid_t)pid;
		return r;
	}
	return sd_bus_message_skip(m, "v");
}

/* Something in the queue. */
static int is_against(void)
{
	if (strcmp(how, "late") == 0)
		how = "queued";
	return strcmp(how, "queued") == 0 || strcmp(how, "shutdown") == 0;
}

static void start(struct unit *unit)
{
	unit->state = "active";
	unit->start_us = 0;
	unit->ours = 1;
	unit->pid = spawn(unit->start, unit->env);
	say("start", unit->name, unit->pid);
}

static void queue(struct unit *unit)
{
	unit->state = "inactive";
	sd_event_now(event, CLOCK_MONOTONIC, &unit->start_us);
	unit->start_us += SLOW_US;
}

static int on_start(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	const char *name, *mode;
	struct unit *unit;
	int r;

	r = sd_bus_message_read(m, "ss", &name, &mode);
	if (r < 0)
		return r;
	if (find(name))
		return sd_bus_error_setf(error, "org.freedesktop.systemd1.UnitExists",
					 "Unit %s was already loaded.", name);
	unit = add(name);
	r = sd_bus_message_enter_container(m, 'a', "(sv)");
	while (r >= 0 && (r = sd_bus_message_enter_container(m, 'r', "sv")) > 0) {
		r = read_property(m, unit);
		if (r >= 0)
			r = sd_bus_message_exit_container(m);
	}
	if (r < 0)
		return r;
	if (unit->conflicts[0] && is_against()) {
		unit->state = NULL;
		return sd_bus_error_setf(error, DESTRUCTIVE, "Transaction for %s is destructive",
					 name);
	}
	for (int i = 0; unit->conflicts[i]; i++)
		say("conflicts", unit->conflicts[i], -1);
	for (int i = 0; unit->before[i]; i++)
		say("before", unit->before[i], -1);
	if (!unit->start[0])
		say("scope", name, unit->pid);
	else if (strcmp(how, "slow") == 0)
		queue(unit);
	else
		start(unit);
	return sd_bus_reply_method_return(m, "o", "/org/freedesktop/systemd1/job/1");
}

static int on_stop(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	const char *name, *mode;
	struct unit *unit;
	int r = sd_bus_message_read(m, "ss", &name, &mode);

	if (r < 0)
		return r;
	say("stop", name, -1);
	unit = find(name);
	if (!unit || strcmp(how, "refuse") == 0)
		return sd_bus_error_setf(error, "org.freedesktop.systemd1.NoSuchUnit",
					 "Unit %s not loaded.", name);
	if (strcmp(how, "ignore") != 0) {
		unit->state = "deactivating";
		if (strcmp(how, "silent") == 0)
			return 1;
		kill(unit->pid, SIGTERM);
		kill(unit->pid, SIGCONT);
	}
	return sd_bus_reply_method_return(m, "o", "/org/freedesktop/systemd1/job/1");
}

static int on_kill(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	const char *name, *whom;
	struct unit *unit;
	int signo, r = sd_bus_message_read(m, "ssi", &name, &whom, &signo);

	if (r < 0)
		return r;
	say("kill", name, signo);
	unit = find(name);
	if (unit && !unit->ours)
		unit->state = NULL;
	return sd_bus_reply_method_return(m, "");
}

static const sd_bus_vtable manager_vtable[] = {
	SD_BUS_VTABLE_START(0),
	SD_BUS_METHOD("StartTransientUnit", "ssa(sv)a(sa(sv))", "o", on_start,
		      SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD("StopUnit", "ss", "o", on_stop, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD("KillUnit", "ssi", NULL, on_kill, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_VTABLE_END,
};

static int is_between(void)
{
	return strcmp(how, "activating") == 0 || strcmp(how, "reloading") == 0;
}

/* A service that is not there; ours have no job before we are asked for them. */
static int is_to_be_started(const char *path)
{
	return strcmp(how, "queued") == 0 && strstr(path, "_2eservice") &&
	       !strstr(path, "/daxguard_2d");
}

static int get(sd_bus *bus, const char *path, const char *interface, const char *property,
	       sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
	struct unit *unit;
	char *name;

	if (sd_bus_path_decode(path, "/org/freedesktop/systemd1/unit", &name) <= 0)
		return -EINVAL;
	unit = find(name);
	free(name);
	if (strcmp(property, "Job") == 0) {
		int queued = unit ? unit->start_us > 0 : is_to_be_started(path);

		return sd_bus_message_append(reply, "(uo)", queued, queued ? "/job/1" : "/");
	}
	if (strcmp(property, "Conflicts") == 0)
		return sd_bus_message_append(reply, "as", unit && unit->conflicts[0] ? 2 : 1,
					     "shutdown.target", unit ? unit->conflicts[0] : NULL);
	if (strcmp(property, "ActiveState") == 0 && unit && !unit->ours && is_between())
		return sd_bus_message_append(reply, "s", how);
	if (strcmp(property, "ActiveState") == 0)
		return sd_bus_message_append(reply, "s", unit ? unit->state : "inactive");
	if (strcmp(property, "LoadState") == 0)
		return sd_bus_message_append(reply, "s", unit ? "loaded" : "not-found");
	if (strcmp(property, "MainPID") == 0 && strcmp(how, "mute") == 0)
		return -ETIMEDOUT;
	if (strcmp(property, "MainPID") == 0)
		return sd_bus_message_append(reply, "u", unit ? (uint32_t)unit->pid : 0);
	return sd_bus_message_append(reply, "s", unit ? unit->cgroup : "");
}

static const sd_bus_vtable unit_vtable[] = {
	SD_BUS_VTABLE_START(0),
	SD_BUS_PROPERTY("ActiveState", "s", get, 0, 0),
	SD_BUS_PROPERTY("LoadState", "s", get, 0, 0),
	SD_BUS_PROPERTY("Job", "(uo)", get, 0, 0),
	SD_BUS_PROPERTY("Conflicts", "as", get, 0, 0),
	SD_BUS_VTABLE_END,
};
static const sd_bus_vtable service_vtable[] = {
	SD_BUS_VTABLE_START(0),
	SD_BUS_PROPERTY("MainPID", "u", get, 0, 0),
	SD_BUS_PROPERTY("ControlGroup", "s", get, 0, 0),
	SD_BUS_VTABLE_END,
};

static int find_object(sd_bus *bus, const char *path, const char *interface, void *userdata,
		       void **ret, sd_bus_error *error)
{
	*ret = userdata;
	return 1;
}

static int on_client(sd_event_source *source, int listening, uint32_t revents, void *userdata)
{
	static const char unit_path[] = "/org/freedesktop/systemd1/unit";
	int fd = accept4(listening, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK), r;
	sd_bus *bus;

	if (fd < 0)
		return 0;
	r = sd_bus_new(&bus);
	if (r >= 0)
		r = sd_bus_set_fd(bus, fd, fd);
	if (r >= 0)
		r = sd_bus_set_server(bus, 1,
				      SD_ID128_MAKE(01, 02, 03, 04, 05, 06, 07, 01, 01, 02, 03, 04,
						    05, 06, 07, 01));
	if (r >= 0)
		r = sd_bus_add_object_vtable(bus, NULL, "/org/freedesktop/systemd1",
					     "org.freedesktop.systemd1.Manager", manager_vtable,
					     NULL);
	if (r >= 0)
		r = sd_bus_add_fallback_vtable(bus, NULL, unit_path,
					       "org.freedesktop.systemd1.Unit", unit_vtable,
					       find_object, units);
	if (r >= 0)
		r = sd_bus_add_fallback_vtable(bus, NULL, unit_path,
					       "org.freedesktop.systemd1.Service", service_vtable,
					       find_object, units);
	if (r >= 0)
		r = sd_bus_start(bus);
	if (r >= 0)
		r = sd_bus_attach_event(bus, event, 0);
	/* It lives as long as the test does. */
	return r;
}

static int is_gone(pid_t pid)
{
	char path[64], state = 'Z';
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	file = fopen(path, "re");
	if (!file)
		return 1;
	(void)!fscanf(file, "%*d (%*[^)]) %c", &state);
	fclose(file);
	return state == 'Z' || state == 'X';
}

/* A main process that is gone, and then what was to be run after it. */
static void look(struct unit *unit, uint64_t now_us)
{
	int status;

	if (unit->start_us > 0) {
		if (now_us >= unit->start_us)
			start(unit);
		return;
	}
	if (unit->ours) {
		if (waitpid(unit->pid, &status, WNOHANG) != unit->pid)
			return;
		unit->state = unit->stop[0] ? "deactivating" : NULL;
		if (unit->stop[0])
			unit->pid = spawn(unit->stop, unit->env);
		unit->stop[0] = NULL;
		return;
	}
	if (!strchr(unit->name, '.') || strstr(unit->name, ".scope") || !is_gone(unit->pid))
		return;
	if (strcmp(unit->state, "active") == 0)
		say("restarted", unit->name, -1);
	unit->state = NULL;
}

static int on_time(sd_event_source *source, uint64_t usec, void *userdata)
{
	for (int i = 0; i < UNITS_MAX; i++)
		if (units[i].state)
			look(&units[i], usec);
	sd_event_source_set_time(source, usec + LOOK_US);
	return sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

static void watch(const char *word)
{
	char name[256], cgroup[256] = "";
	struct unit *unit;
	int pid;

	if (sscanf(word, "%255[^=]=%d:%255s", name, &pid, cgroup) < 2)
		exit(EXIT_FAILURE);
	unit = add(name);
	unit->pid = pid;
	snprintf(unit->cgroup, sizeof(unit->cgroup), "%s", cgroup);
}

int main(int argc, char *argv[])
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int listening;

	if (argc < 2 || strlen(argv[1]) >= sizeof(address.sun_path))
		return EXIT_FAILURE;
	for (int i = 2; i < argc; i++)
		if (strchr(argv[i], '='))
			watch(argv[i]);
		else
			how = argv[i];
	strcpy(address.sun_path, argv[1]);
	listening = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (listening < 0 || bind(listening, (struct sockaddr *)&address, sizeof(address)) < 0 ||
	    listen(listening, 64) < 0 || sd_event_new(&event) < 0 ||
	    sd_event_add_io(event, NULL, listening, 1 /* EPOLLIN */, on_client, NULL) < 0 ||
	    sd_event_add_time_relative(event, NULL, CLOCK_MONOTONIC, LOOK_US, 1, on_time, NULL) < 0)
		return EXIT_FAILURE;
	puts("ready");
	fflush(stdout);
	return sd_event_loop(event) < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
