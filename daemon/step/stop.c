/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Asks the service manager to stop a unit, and does not wait until it has. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "step/input.h"
#include "step/service-manager.h"
#include "step/step.h"

static int stop(const char *address, const char *unit)
{
	struct service_manager *manager = NULL;
	char *error = NULL;
	int r;

	r = service_manager_open(address, &manager, &error);
	if (r >= 0)
		r = service_manager_stop(manager, unit, &error);
	if (r < 0)
		fprintf(stderr, "%s: %s\n", unit, error ?: strerror(-r));
	service_manager_free(manager);
	free(error);
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
