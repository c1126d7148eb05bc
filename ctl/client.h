/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The connection to the daemon: its control socket, D-Bus peer to peer. No bus
 * daemon is involved, so this works when the bus itself waits for a device.
 *
 * All functions say what went wrong on stderr and return the exit status.
 */
#pragma once

#include <json-c/json.h>
#include <systemd/sd-bus.h>

#include "ctl.h"

enum ctl_exit client_open(const struct ctl *ctl, sd_bus **ret);

/*
 * Call a method of the manager and give its first return value as JSON, NULL if it has none. types
 * and arguments as for sd_bus_message_append(); the daemon answers within
 * seconds or says why it cannot, so the call has a deadline of its own.
 */
enum ctl_exit client_call(sd_bus *bus, json_object **ret, const char *method, const char *types,
			  ...);

/* client_open() and client_call() for who needs a single answer. */
enum ctl_exit client_ask(const struct ctl *ctl, json_object **ret, const char *method,
			 const char *types, ...);

/*
 * What the daemon is asked for when somebody says this for a device. A path is looked
 * at here, with the caller's eyes: a symbolic link or a partition has a name that the
 * daemon does not know, but a number it does. *ret is the caller's.
 */
enum ctl_exit client_name_device(const char *argument, char **ret);

/* "daxguardctl: …" on stderr; returns code. */
enum ctl_exit client_fail(enum ctl_exit code, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
