/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* daxguardctl status */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "client.h"
#include "json.h"
#include "names.h"
#include "print.h"
#include "text.h"

static int print_module(FILE *f, const struct table_style *style, json_object *status)
{
	int r;

	if (!json_flag(status, "ModuleLoaded"))
		return print_line(
			f, style, "Removals", TABLE_BAD,
			strdup("are not held: load the module with `" DG_MODULE_HINT "`"));
	if (!json_flag(status, "Registered"))
		return print_line(f, style, "Removals", TABLE_BAD,
				  text_append(strdup("are not held by this daemon"), ": ",
					      json_text(status, "WhyNot")));

	r = print_line(f, style, "Removals", TABLE_GOOD, strdup("are held"));
	if (r < 0)
		return r;
	return print_line(f, style, "Module", TABLE_PLAIN,
			  text_format("%s, hold %" PRIu64 " ms, cap %" PRIu64
				      " ms, activation %" PRIu64 " ms",
				      json_str(status, "ModuleVersion"),
				      json_num(status, "HoldMsec"), json_num(status, "CapMsec"),
				      json_num(status, "ActivationMsec")));
}

static int print_counts(FILE *f, const struct table_style *style, json_object *status)
{
	static const struct {
		const char *key, *title, *text;
	} troubles[] = {
		{"LogDropped", "Log", "messages were dropped"},
		{"Unrecorded", "Records", "could not be written to " DG_RUN_DIR},
		{"TakenOver", "Takeovers", "removals were taken over from a daemon that had died"},
		{"LostSteps", "Lost steps", "were not started, ran out of time or were killed"},
		{"StuckSteps", "Steps", "are stuck in the kernel and cannot be killed"},
	};
	uint64_t open = json_num(status, "OpenIncidents");
	int r;

	r = print_line(f, style, "Incidents", open > 0 ? TABLE_WARN : TABLE_PLAIN,
		       text_format("%" PRIu64 " open, %" PRIu64 " kept", open,
				   json_num(status, "KeptIncidents")));
	for (size_t i = 0; r >= 0 && i < sizeof(troubles) / sizeof(troubles[0]); i++) {
		uint64_t n = json_num(status, troubles[i].key);

		if (n > 0)
			r = print_line(f, style, troubles[i].title, TABLE_WARN,
				       text_format("%" PRIu64 " %s", n, troubles[i].text));
	}
	return r;
}

static int print_ledger(FILE *f, const struct table_style *style, json_object *status)
{
	uint64_t n_bad = json_num(status, "BadRanges"), n = json_num(status, "LedgerUnwritten");
	const char *error = json_str(status, "LedgerError");
	int r = 0;

	if (n_bad > 0)
		r = print_line(f, style, "Poison", TABLE_BAD,
			       text_format("%" PRIu64 " bad range%s, see daxguardctl poison", n_bad,
					   n_bad == 1 ? "" : "s"));
	if (r >= 0 && *error)
		r = print_line(f, style, "Ledger", TABLE_BAD,
			       text_append(text_format("%" PRIu64 " records wait for the disk", n),
					   ": ", json_text(status, "LedgerError")));
	n = json_num(status, "LedgerSkipped");
	if (r >= 0 && n > 0)
		r = print_line(f, style, *error ? "" : "Ledger", TABLE_WARN,
			       text_format("%" PRIu64 " lines could not be read", n));
	return r;
}

static int print_list(FILE *f, const struct table_style *style, json_object *status,
		      const char *key, const char *title, enum table_colour colour)
{
	int r = 0;

	for (size_t i = 0; r >= 0 && i < json_count(status, key); i++)
		r = print_line(f, style, i == 0 ? title : "", colour,
			       json_value_text(json_item(status, key, i)));
	return r;
}

/* "pmem0 by sleep (17), left by incident 3". */
static int print_pinned(FILE *f, const struct table_style *style, json_object *status)
{
	size_t n = json_count(status, "Pinned");
	int r = 0;

	for (size_t i = 0; r >= 0 && i < n; i++) {
		json_object *pinned = json_item(status, "Pinned", i);
		char *line =
			text_append(json_text(pinned, "Device"), " by ", json_text(pinned, "Comm"));

		line = text_append(line, " ",
				   text_format("(%" PRIu64 ")", json_num(pinned, "Pid")));
		if (*json_str(pinned, "Path") || json_count(pinned, "Path") > 0)
			line = text_append(line, ", whose namespace has it on ",
					   json_text(pinned, "Path"));
		line = text_append(line, ", left by incident ",
				   text_format("%" PRIu64, json_num(pinned, "Incident")));
		r = print_line(f, style, i == 0 ? "Pinned" : "", TABLE_WARN, line);
	}
	if (r >= 0 && n > 0)
		r = print_line(f, style, "", TABLE_WARN,
			       strdup("such a device cannot be mounted before they have ended"));
	return r;
}

/* "pmem0: database (17) of 1000, waiting". */
static int print_registrations(FILE *f, const struct table_style *style, json_object *status)
{
	int r = 0;

	for (size_t i = 0; r >= 0 && i < json_count(status, "Registrations"); i++) {
		json_object *one = json_item(status, "Registrations", i);
		const char *name = json_str(one, "Name");
		char *line = text_append(json_text(one, "Device"), ": ",
					 strdup(*name ? name : "a process"));

		line = text_append(line, " ",
				   text_format("(%" PRIu64 ") of %" PRIu64, json_num(one, "Pid"),
					       json_num(one, "Uid")));
		line = text_append(line, ", ", json_text(one, "State"));
		if (!json_flag(one, "Kept"))
			line = text_append(line, ", ", strdup("not kept over a restart"));
		r = print_line(f, style, i == 0 ? "Registered" : "",
			       json_flag(one, "Kept") ? TABLE_PLAIN : TABLE_WARN, line);
	}
	return r;
}

static int print_rules(FILE *f, const struct table_style *style, json_object *status)
{
	uint64_t n = json_num(status, "Rules"), n_devices = json_num(status, "DeviceRules");
	int r = print_line(f, style, "Rules", TABLE_PLAIN,
			   text_format("%" PRIu64 " of processes, %" PRIu64
				       " of devices, beside the built-in ones",
				       n, n_devices));

	if (r >= 0)
		r = print_list(f, style, status, "PolicyWarnings", "Rule warning", TABLE_WARN);
	if (r >= 0)
		r = print_list(f, style, status, "Refused", "Refused", TABLE_BAD);
	if (r < 0 || json_count(status, "Refused") == 0)
		return r;
	return print_line(f, style, "", TABLE_BAD,
			  strdup(json_flag(status, "PolicyBuiltin")
					 ? "the built-in rules alone are in force"
					 : "what was in force before is still"));
}

static int print_protected(FILE *f, const struct table_style *style, json_object *status)
{
	char *all = strdup("");
	size_t n = json_count(status, "Protected");

	for (size_t i = 0; i < n; i++) {
		json_object *process = json_item(status, "Protected", i);
		char *item = text_append(json_text(process, "Name"), " ",
					 text_format("(%" PRIu64 ")", json_num(process, "Pid")));

		all = text_append(all, ", ", item);
	}
	if (all && n == 0) {
		free(all);
		all = strdup("none found yet");
	}
	return print_line(f, style, "Protected", TABLE_PLAIN, all);
}

int print_status(FILE *f, const struct table_style *style, json_object *status)
{
	int r = print_line(f, style, "Daemon", TABLE_PLAIN,
			   text_format("daxguardd %s", json_str(status, "Version")));

	if (r >= 0)
		r = print_module(f, style, status);
	if (r >= 0)
		r = print_counts(f, style, status);
	if (r >= 0)
		r = print_ledger(f, style, status);
	if (r >= 0)
		r = print_pinned(f, style, status);
	if (r >= 0)
		r = print_registrations(f, style, status);
	if (r >= 0)
		r = print_list(f, style, status, "ConfigFiles", "Configured by", TABLE_PLAIN);
	if (r >= 0)
		r = print_list(f, style, status, "ConfigErrors", "Config error", TABLE_BAD);
	if (r >= 0 && json_flag(status, "ConfigBuiltin"))
		r = print_line(f, style, "", TABLE_BAD,
			       strdup("the built-in configuration is in effect instead"));
	if (r >= 0)
		r = print_rules(f, style, status);
	if (r >= 0)
		r = print_protected(f, style, status);
	return r;
}

enum ctl_exit verb_status(const struct ctl *ctl, int argc, char *argv[])
{
	json_object *status;
	enum ctl_exit code = client_ask(ctl, &status, "GetStatus", "");
	bool held;

	if (code != CTL_OK)
		return code;
	held = json_flag(status, "ModuleLoaded") && json_flag(status, "Registered");
	code = print_answer(ctl, "Status", status, print_status);
	return code == CTL_OK && !held ? CTL_NOT_HELD : code;
}
