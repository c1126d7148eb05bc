/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "step/service-manager.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-bus.h>

#define PATH "/org/freedesktop/systemd1"
#define NAME "org.freedesktop.systemd1"

/*
 * A queued job is answered at once. Whoever is stopped for his dump stays so for as long
 * as this, if it is not.
 */
#define ANSWER_US (10ULL * 1000000ULL)

struct service_manager {
	sd_bus *bus;
};

static void keep_error(char **error, const char *message, int r)
{
	if (error)
		*error = strdup(message ?: strerror(-r));
}

int service_manager_open(const char *address, struct service_manager **ret, char **error)
{
	struct service_manager *manager = calloc(1, sizeof(*manager));
	int r;

	if (!manager)
		return -ENOMEM;
	r = sd_bus_new(&manager->bus);
	if (r >= 0)
		r = sd_bus_set_address(manager->bus, address);
	if (r >= 0)
		r = sd_bus_set_method_call_timeout(manager->bus, ANSWER_US);
	/* Nobody between us and it: no Hello, no names. */
	if (r >= 0)
		r = sd_bus_start(manager->bus);
	if (r < 0) {
		keep_error(error, NULL, r);
		service_manager_free(manager);
		return r;
	}
	*ret = manager;
	return 0;
}

struct service_manager *service_manager_free(struct service_manager *manager)
{
	if (!manager)
		return NULL;
	sd_bus_close_unref(manager->bus);
	free(manager);
	return NULL;
}

static int begin(struct service_manager *manager, const char *method, sd_bus_message **ret)
{
	return sd_bus_message_new_method_call(manager->bus, ret, NULL, PATH, NAME ".Manager",
					      method);
}

/* Sends it, and takes its answer; it is freed. */
static int finish(struct service_manager *manager, sd_bus_message *message, int r, char **error)
{
	sd_bus_error bus_error = SD_BUS_ERROR_NULL;
	sd_bus_message *reply = NULL;

	if (r >= 0)
		r = sd_bus_call(manager->bus, message, 0, &bus_error, &reply);
	if (r < 0 && sd_bus_error_has_name(&bus_error, NAME ".UnitExists"))
		r = -EEXIST;
	if (r < 0 && sd_bus_error_has_name(&bus_error, NAME ".TransactionIsDestructive"))
		r = -EBUSY;
	if (r < 0)
		keep_error(error, bus_error.message, r);
	sd_bus_error_free(&bus_error);
	sd_bus_message_unref(message);
	sd_bus_message_unref(reply);
	return r < 0 ? r : 0;
}

int service_manager_stop(struct service_manager *manager, const char *unit, char **error)
{
	sd_bus_message *message = NULL;
	int r;

	r = begin(manager, "StopUnit", &message);
	if (r >= 0)
		r = sd_bus_message_append(message, "ss", unit, "replace");
	return finish(manager, message, r, error);
}

int service_manager_kill(struct service_manager *manager, const char *unit, char **error)
{
	sd_bus_message *message = NULL;
	int r;

	r = begin(manager, "KillUnit", &message);
	if (r >= 0)
		r = sd_bus_message_append(message, "ssi", unit, "all", 9);
	return finish(manager, message, r, error);
}

/*
 * Of the object that every unit has, loaded or not; what is not loaded is not for asking. The
 * answer is to be unreferenced.
 */
static int ask_property(struct service_manager *manager, const char *unit, const char *interface,
			const char *name, const char *type, sd_bus_message **ret)
{
	sd_bus_error error = SD_BUS_ERROR_NULL;
	char *path;
	int r;

	*ret = NULL;
	r = sd_bus_path_encode(PATH "/unit", unit, &path);
	if (r < 0)
		return r;
	r = sd_bus_get_property(manager->bus, NULL, path, interface, name, &error, ret, type);
	sd_bus_error_free(&error);
	free(path);
	return r;
}

/* To be freed. */
static int get_text(struct service_manager *manager, const char *unit, const char *interface,
		    const char *name, char **ret)
{
	sd_bus_message *answer;
	const char *text;
	int r;

	r = ask_property(manager, unit, interface, name, "s", &answer);
	if (r >= 0)
		r = sd_bus_message_read(answer, "s", &text);
	if (r >= 0) {
		*ret = strdup(text);
		r = *ret ? 0 : -ENOMEM;
	}
	sd_bus_message_unref(answer);
	return r;
}

int service_manager_state(struct service_manager *manager, const char *unit, char **ret)
{
	char *load = NULL, *state = NULL;
	int r;

	r = get_text(manager, unit, NAME ".Unit", "ActiveState", &state);
	if (r >= 0)
		r = get_text(manager, unit, NAME ".Unit", "LoadState", &load);
	if (r >= 0 && strcmp(load, "not-found") == 0 && strcmp(state, "inactive") == 0)
		state[0] = '\0';
	free(load);
	if (r < 0)
		free(state);
	else
		*ret = state;
	return r;
}

int service_manager_has_job(struct service_manager *manager, const char *unit, bool *ret)
{
	sd_bus_message *answer;
	uint32_t job;
	int r;

	r = ask_property(manager, unit, NAME ".Unit", "Job", "(uo)", &answer);
	if (r >= 0)
		r = sd_bus_message_read(answer, "(uo)", &job, NULL);
	if (r >= 0)
		*ret = job > 0;
	sd_bus_message_unref(answer);
	return r < 0 ? r : 0;
}

int service_manager_main_pid(struct service_manager *manager, const char *unit, pid_t *ret)
{
	sd_bus_message *answer;
	uint32_t pid;
	int r;

	r = ask_property(manager, unit, NAME ".Service", "MainPID", "u", &answer);
	if (r >= 0)
		r = sd_bus_message_read(answer, "u", &pid);
	if (r >= 0)
		*ret = (pid_t)pid;
	sd_bus_message_unref(answer);
	return r < 0 ? r : 0;
}

static const char *interface_of(const char *unit)
{
	const char *dot = strrchr(unit, '.');

	return dot && strcmp(dot, ".scope") == 0 ? NAME ".Scope" : NAME ".Service";
}

int service_manager_cgroup(struct service_manager *manager, const char *unit, char **ret)
{
	return get_text(manager, unit, interface_of(unit), "ControlGroup", ret);
}

/* sd_bus_message_append_strv() asks for words that it may change. */
static int append_words(sd_bus_message *message, const char *const *words)
{
	int r;

	r = sd_bus_message_open_container(message, 'a', "s");
	for (; *words && r >= 0; words++)
		r = sd_bus_message_append(message, "s", *words);
	return r < 0 ? r : sd_bus_message_close_container(message);
}

static int append_command(sd_bus_message *message, const char *property, const char *const *argv)
{
	int r;

	r = sd_bus_message_open_container(message, 'r', "sv");
	if (r >= 0)
		r = sd_bus_message_append(message, "s", property);
	if (r >= 0)
		r = sd_bus_message_open_container(message, 'v', "a(sasb)");
	if (r >= 0)
		r = sd_bus_message_open_container(message, 'a', "(sasb)");
	if (r >= 0)
		r = sd_bus_message_open_container(message, 'r', "sasb");
	if (r >= 0)
		r = sd_bus_message_append(message, "s", argv[0]);
	if (r >= 0)
		r = append_words(message, argv);
	if (r >= 0)
		r = sd_bus_message_append(message, "b", false);
	for (int i = 0; i < 4 && r >= 0; i++)
		r = sd_bus_message_close_container(message);
	return r;
}

static int append_environment(sd_bus_message *message, const char *const *environment)
{
	int r;

	r = sd_bus_message_open_container(message, 'r', "sv");
	if (r >= 0)
		r = sd_bus_message_append(message, "s", "Environment");
	if (r >= 0)
		r = sd_bus_message_open_container(message, 'v', "as");
	if (r >= 0)
		r = append_words(message, environment);
	for (int i = 0; i < 2 && r >= 0; i++)
		r = sd_bus_message_close_container(message);
	return r;
}

static int append_start(sd_bus_message *message, const struct service_start *start)
{
	int r;

	r = sd_bus_message_append(message, "ss", start->unit, "fail");
	if (r >= 0)
		r = sd_bus_message_open_container(message, 'a', "(sv)");
	/*
	 * What it says is in its result: to write to the journal could be to wait. It has
	 * to do its work early at boot and late at shutdown, too.
	 */
	if (r >= 0)
		r = sd_bus_message_append(message, "(sv)(sv)(sv)(sv)(sv)(sv)(sv)(sv)(sv)",
					  "Description", "s", start->description, "Type", "s",
					  "exec", "CollectMode", "s", "inactive-or-failed",
					  "DefaultDependencies", "b", false, "RuntimeMaxUSec", "t",
					  start->max_us, "TimeoutStopUSec", "t", UINT64_C(5000000),
					  "OOMScoreAdjust", "i", -999, "StandardOutput", "s",
					  "null", "StandardError", "s", "null");
	if (r >= 0)
		r = append_command(message, "ExecStart", start->argv);
	if (r >= 0)
		r = append_command(message, "ExecStopPost", start->stop_argv);
	if (r >= 0)
		r = append_environment(message, start->environment);
	if (r >= 0)
		r = sd_bus_message_close_container(message);
	return r >= 0 ? sd_bus_message_append(message, "a(sa(sv))", 0) : r;
}

int service_manager_start(struct service_manager *manager, const struct service_start *start,
			  char **error)
{
	sd_bus_message *message = NULL;
	int r;

	r = begin(manager, "StartTransientUnit", &message);
	if (r >= 0)
		r = append_start(message, start);
	return finish(manager, message, r, error);
}

static int append_unit(sd_bus_message *message, const char *property, const char *unit)
{
	return sd_bus_message_append(message, "(sv)", property, "as", 1, unit);
}

static int append_scope(sd_bus_message *message, const char *unit, const char *description,
			pid_t pid, const char *instead_of)
{
	int r;

	/* Whatever is in the queue counts more. */
	r = sd_bus_message_append(message, "ss", unit, "fail");
	if (r >= 0)
		r = sd_bus_message_open_container(message, 'a', "(sv)");
	if (r >= 0)
		r = sd_bus_message_append(message, "(sv)(sv)(sv)", "Description", "s", description,
					  "CollectMode", "s", "inactive-or-failed", "PIDs", "au", 1,
					  (uint32_t)pid);
	if (r >= 0 && instead_of)
		r = append_unit(message, "Conflicts", instead_of);
	/* Or both would be done at the same time. */
	if (r >= 0 && instead_of)
		r = append_unit(message, "Before", instead_of);
	if (r >= 0)
		r = sd_bus_message_close_container(message);
	return r >= 0 ? sd_bus_message_append(message, "a(sa(sv))", 0) : r;
}

int service_manager_scope(struct service_manager *manager, const char *unit,
			  const char *description, pid_t pid, const char *instead_of, char **error)
{
	sd_bus_message *message = NULL;
	int r;

	r = begin(manager, "StartTransientUnit", &message);
	if (r >= 0)
		r = append_scope(message, unit, description, pid, instead_of);
	return finish(manager, message, r, error);
}

int service_manager_instead_of(struct service_manager *manager, const char *unit, char **ret)
{
	sd_bus_message *answer;
	const char *name;
	int r;

	*ret = NULL;
	r = ask_property(manager, unit, NAME ".Unit", "Conflicts", "as", &answer);
	if (r >= 0)
		r = sd_bus_message_enter_container(answer, 'a', "s");
	/* The shutdown is against all of them. */
	while (r >= 0 && !*ret && (r = sd_bus_message_read(answer, "s", &name)) > 0)
		if (strcmp(name, "shutdown.target") != 0) {
			*ret = strdup(name);
			r = *ret ? r : -ENOMEM;
		}
	sd_bus_message_unref(answer);
	return r < 0 ? r : 0;
}
