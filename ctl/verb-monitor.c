/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* daxguardctl monitor: follow what happens until Ctrl-C. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "client.h"
#include "json.h"
#include "print.h"
#include "text.h"
#include "watch.h"

static char *restored_text(json_object *signal)
{
	if (strcmp(json_str(signal, "Result"), "ok") == 0)
		return strdup("restored");
	return text_append(strdup("not restored, "), "", json_text(signal, "Result"));
}

/* What the signal is about, for people: everything but number and time. */
static char *describe(json_object *signal)
{
	const char *name = json_str(signal, "Signal");
	char *text;

	if (strcmp(name, "IncidentBegan") == 0 && json_is_failure(signal))
		return text_append(
			text_append(strdup("memory of "), "", json_text(signal, "Device")), " ",
			strdup("has failed"));
	if (strcmp(name, "FailureSeen") == 0)
		return text_format("%" PRIu64 " ranges, %" PRIu64 " bytes, %" PRIu64 " holders",
				   json_num(signal, "FailedRanges"),
				   json_num(signal, "FailedBytes"),
				   json_num(signal, "HolderCount"));
	if (strcmp(name, "FailuresRepaired") == 0)
		return text_append(json_text(signal, "Device"), ": ",
				   text_format("%" PRIu64 " ranges, %" PRIu64
					       " bytes are good again",
					       json_num(signal, "RepairedRanges"),
					       json_num(signal, "RepairedBytes")));
	if (strcmp(name, "IncidentBegan") == 0)
		return text_append(json_text(signal, "Device"), " ", strdup("is being removed"));
	if (strcmp(name, "StateChanged") == 0)
		return json_text(signal, "State");
	if (strcmp(name, "HolderActed") == 0) {
		text = text_append(json_text(signal, "Comm"), " ",
				   text_format("(%" PRIu64 ")", json_num(signal, "Pid")));
		text = text_append(text, ": ", json_text(signal, "Action"));
		return *json_str(signal, "Outcome")
			       ? text_append(text, ": ", json_text(signal, "Outcome"))
			       : text;
	}
	if (strcmp(name, "CheckpointRestored") == 0)
		return text_append(text_append(strdup("checkpoint"), " ", json_text(signal, "Id")),
				   ": ", restored_text(signal));
	if (strcmp(name, "IncidentEnded") == 0 && json_is_failure(signal))
		return json_text(signal, "Outcome");
	if (strcmp(name, "IncidentEnded") == 0 && strcmp(json_str(signal, "Source"), "user") == 0)
		return text_append(
			text_append(json_text(signal, "State"), ": ", json_text(signal, "Outcome")),
			" after ",
			text_duration(json_num(signal, "EndedUsec") -
				      json_num(signal, "BeganUsec")));
	if (strcmp(name, "IncidentEnded") == 0) {
		text = text_append(json_text(signal, "Result"), " after ",
				   text_duration(json_num(signal, "HeldUsec")));
		return text_append(text, ", revoke ", json_text(signal, "Revoke"));
	}
	return json_text(signal, "Signal"); /* of a newer daemon */
}

int print_signal(FILE *f, const struct table_style *style, json_object *signal)
{
	enum table_colour colour = print_colour(json_str(signal, "Result"));
	char *time = text_time(json_num(signal, "TimeUsec")), *text = describe(signal);
	int r = time && text ? 0 : -ENOMEM;

	if (r == 0)
		fprintf(f, "%s  #%" PRIu64 "  %s%s%s\n", time, json_num(signal, "Id"),
			table_colour_on(colour, style->colour), text,
			table_colour_off(colour, style->colour));
	free(time);
	free(text);
	return r;
}

static bool on_signal(void *userdata, json_object *signal)
{
	print_answer(userdata, "Event", signal, print_signal);
	return true;
}

enum ctl_exit verb_monitor(const struct ctl *ctl, int argc, char *argv[])
{
	struct ctl lines = *ctl;
	json_object *status = NULL;
	enum ctl_exit code;
	sd_bus *bus = NULL;

	code = client_open(ctl, &bus);
	if (code != CTL_OK)
		return code;
	/* Who reads a stream reads lines. */
	if (lines.json != CTL_JSON_OFF)
		lines.json = CTL_JSON_SHORT;
	/* Says at once who may not listen, and that nobody is there to speak. */
	code = client_call(bus, &status, "GetStatus", "");
	json_object_put(status);
	if (code == CTL_OK)
		code = watch_signals(bus, on_signal, &lines, CTL_OK);
	sd_bus_close_unref(bus);
	return code;
}
