/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Asks the service manager to stop a unit, and does not wait until it has. Over
 * its private socket: the bus may itself wait for the device.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <systemd/sd-bus.h>

#include "step/input.h"
#include "step/step.h"

/* A queued job is answered at once; who does not answer is killed with us. */
#define ANSWER_US (60U * 1000000U)

static int ask(sd_bus *bus, const char *unit, sd_bus_error *error)
{
	sd_bus_message *message = NULL, *reply = NULL;
	int r;

	/* Whoever waits in the queue to start it again goes out of it. */
	r = sd_bus_message_new_method_call(bus, &message, NULL, "/org/freedesktop/systemd1",
					   "org.freedesktop.systemd1.Manager", "StopUnit");
	if (r >= 0)
		r = sd_bus_message_append(message, "ss", unit, "replace");
	if (r >= 0)
		r = sd_bus_call(bus, message, ANSWER_US, error, &reply);
	sd_bus_message_unref(message);
	sd_bus_message_unref(reply);
	return r;
}

static int stop(const char *address, const char *unit)
{
	sd_bus_error error = SD_BUS_ERROR_NULL;
	sd_bus *bus = NULL;
	int r;

	r = sd_bus_new(&bus);
	if (r >= 0)
		r = sd_bus_set_address(bus, address);
	/* Nobody between us and it: no Hello, no names. */
	if (r >= 0)
		r = sd_bus_start(bus);
	if (r >= 0)
		r = ask(bus, unit, &error);
	if (r < 0)
		fprintf(stderr, "%s: %s\n", unit, error.message ?: strerror(-r));
	sd_bus_error_free(&error);
	sd_bus_close_unref(bus);
	return r;
}

int verb_stop(struct step *step)
{
	const char *record, *unit = NULL, *address = NULL;
	struct input input;
	size_t n;
	int r;

	r = input_read(&input);
	if (r < 0)
		return r;
	record = input_next(&input, &n);
	if (record) {
		unit = dg_record_get(record, n, "UNIT");
		address = dg_record_get(record, n, "ADDRESS");
	}
	r = unit && address ? stop(address, unit) : -EBADMSG;
	input_done(&input);
	return r < 0 ? STEP_EXIT_FAILURE : STEP_EXIT_OK;
}
