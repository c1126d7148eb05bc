/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What is asked of the service manager, over its private socket: the bus may itself
 * wait for the device. An answer has ten seconds, then it is -ETIMEDOUT; whoever
 * has less time kills the step.
 *
 * All return a negative errno where they fail; *error, if it is given, is then why,
 * to be freed.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct service_manager;

/* address: as in sd_bus_set_address(3). */
int service_manager_open(const char *address, struct service_manager **ret, char **error);
struct service_manager *service_manager_free(struct service_manager *manager);

/* Queues a job; whoever waits in the queue to start the unit again goes out of it. */
int service_manager_stop(struct service_manager *manager, const char *unit, char **error);

/* SIGKILL for all of the unit. */
int service_manager_kill(struct service_manager *manager, const char *unit, char **error);

/* "active", "deactivating", …; "" of a unit that is not loaded. To be freed. */
int service_manager_state(struct service_manager *manager, const char *unit, char **ret);

/* Whether a job of it is queued, or under way. */
int service_manager_has_job(struct service_manager *manager, const char *unit, bool *ret);

/* 0: the unit has no main process. */
int service_manager_main_pid(struct service_manager *manager, const char *unit, pid_t *ret);

/* Its control group, to be freed; "": it has none. */
int service_manager_cgroup(struct service_manager *manager, const char *unit, char **ret);

/* A transient service. -EEXIST: there is such a unit. The job is queued then, not more. */
struct service_start {
	const char *unit;
	const char *description;
	const char *const *argv; /* each ends with NULL */
	const char *const *stop_argv;
	const char *const *environment;
	uint64_t max_us; /* then it is stopped */
};
int service_manager_start(struct service_manager *manager, const struct service_start *start,
			  char **error);

/*
 * A transient scope with this process in it, until the unit instead_of, if there is one, is
 * started: the scope is stopped before. -EEXIST likewise. -EBUSY: a job that is queued is
 * against it, perhaps that start.
 */
int service_manager_scope(struct service_manager *manager, const char *unit,
			  const char *description, pid_t pid, const char *instead_of, char **error);

/* Of such a scope: the unit that it runs instead of, to be freed; NULL: of none. */
int service_manager_instead_of(struct service_manager *manager, const char *unit, char **ret);
