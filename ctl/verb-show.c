/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* daxguardctl show [ID] */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "client.h"
#include "json.h"
#include "print.h"

static int parse_id(const char *text, uint64_t *ret)
{
	unsigned long long id;
	char *end;

	if (*text < '0' || *text > '9')
		return -EINVAL;
	errno = 0;
	id = strtoull(text, &end, 10);
	if (*end || errno != 0 || id == 0)
		return -EINVAL;
	*ret = id;
	return 0;
}

/* Incidents come in the order of their ids, and those that a user asked for last. */
static enum ctl_exit find_last(sd_bus *bus, uint64_t *ret)
{
	json_object *incidents;
	enum ctl_exit code = client_call(bus, &incidents, "ListIncidents", "");
	uint64_t newest_us = 0;
	size_t n;

	if (code != CTL_OK)
		return code;
	n = json_length(incidents);
	for (size_t i = 0; i < n; i++) {
		uint64_t began_us = json_num(json_at(incidents, i), "BeganUsec");

		if (began_us < newest_us)
			continue;
		newest_us = began_us;
		*ret = json_num(json_at(incidents, i), "Id");
	}
	if (n == 0)
		code = client_fail(CTL_NOT_FOUND, "no incident is known");
	json_object_put(incidents);
	return code;
}

enum ctl_exit verb_show(const struct ctl *ctl, int argc, char *argv[])
{
	json_object *incident = NULL;
	enum ctl_exit code;
	sd_bus *bus = NULL;
	uint64_t id = 0;

	if (argc > 0 && parse_id(argv[0], &id) < 0)
		return client_fail(CTL_USAGE, "an incident has a number, as shown by "
					      "daxguardctl incidents");

	code = client_open(ctl, &bus);
	if (code == CTL_OK && argc == 0)
		code = find_last(bus, &id);
	if (code == CTL_OK)
		code = client_call(bus, &incident, "GetIncident", "t", id);
	sd_bus_close_unref(bus);
	return code != CTL_OK ? code : print_answer(ctl, "Incident", incident, print_story);
}
