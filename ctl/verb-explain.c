/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* daxguardctl explain DEVICE [PID] */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "client.h"
#include "json.h"
#include "print.h"
#include "text.h"

/* What may be none: "-". Takes text. */
static void take(struct table *table, char *text)
{
	if (text && *text) {
		table_take(table, TABLE_PLAIN, text);
		return;
	}
	if (text)
		table_cell(table, TABLE_PLAIN, NULL);
	else
		table_take(table, TABLE_PLAIN, NULL);
	free(text);
}

/* "sigbus (no-handler), term, kill after 3.000 s": all that comes, or nothing at all. */
static char *ladder_text(json_object *holder)
{
	char *all = strdup("");

	for (size_t i = 0; i < json_count(holder, "Actions"); i++) {
		json_object *action = json_item(holder, "Actions", i);
		uint64_t at_us = json_num(action, "AtUsec");
		char *text = json_text(action, "Action");

		if (*json_str(action, "Outcome"))
			text = text_append(
				text, " (",
				text_append(json_text(action, "Outcome"), ")", strdup("")));
		if (at_us > 0)
			text = text_append(text, " after ", text_duration(at_us));
		all = text_append(all, i > 0 ? ", " : "", text);
	}
	return all;
}

static int print_holders_of(FILE *f, const struct table_style *style, json_object *simulation)
{
	static const struct table_column columns[] = {
		{"PID", TABLE_RIGHT},
		{"UID", TABLE_RIGHT},
		{"COMMAND", TABLE_ELASTIC},
		{"USES", TABLE_ELASTIC},
		{"RULE"},
		{"GETS"},
		{"END"},
	};
	struct table *table = table_new(columns, sizeof(columns) / sizeof(columns[0]));
	int r;

	if (!table)
		return -ENOMEM;
	for (size_t i = 0; i < json_count(simulation, "Holders"); i++) {
		json_object *holder = json_item(simulation, "Holders", i);
		const char *end = json_str(holder, "End");

		table_printf(table, TABLE_PLAIN, "%" PRIu64, json_num(holder, "Pid"));
		table_printf(table, TABLE_PLAIN, "%" PRIu64, json_num(holder, "Uid"));
		table_take(table, TABLE_PLAIN, json_text(holder, "Comm"));
		table_take(table, TABLE_PLAIN, print_uses(holder));
		table_take(table, TABLE_PLAIN,
			   print_rule_text(holder, "Rule", "RulePath", "RuleLine"));
		take(table, ladder_text(holder));
		table_cell(table, print_colour(end), end);
	}
	fputc('\n', f);
	r = table_print(table, f, style);
	table_free(table);
	return r;
}

static int print_passed(FILE *f, const struct table_style *style, json_object *object,
			const char *key, const char *more)
{
	static const struct table_column columns[] = {
		{"NOT FOR IT"}, {"SINCE", TABLE_ELASTIC}, {"VERDICT"}};
	struct table *table = table_new(columns, sizeof(columns) / sizeof(columns[0]));
	int r = 0;

	if (!table)
		return -ENOMEM;
	for (size_t i = 0; i < json_count(object, key); i++) {
		json_object *rule = json_item(object, key, i);
		const char *name = json_str(rule, "Key");

		table_take(table, TABLE_PLAIN, print_rule_text(rule, "Rule", "Path", "Line"));
		take(table, text_format("%s%s", name, *name ? "=" : ""));
		table_take(table, TABLE_PLAIN, json_text(rule, "Verdict"));
	}
	if (table_rows(table) > 0) {
		fputc('\n', f);
		r = table_print(table, f, style);
	}
	table_free(table);
	if (r >= 0 && json_num(object, more) > 0 && style->legend)
		fprintf(f, "… and %" PRIu64 " more.\n", json_num(object, more));
	return r;
}

/* daxguardctl remove, and nothing that would be held. */
static bool is_by_user(json_object *object)
{
	return strcmp(json_str(object, "Source"), "user") == 0;
}

/* What is so for all of them. */
static int print_frame(FILE *f, const struct table_style *style, json_object *object)
{
	char *reserve = text_append(text_duration(json_num(object, "ReserveUsec")), " ",
				    strdup("for the last kill, sync and unmount"));
	int r = print_line(f, style, "Time", TABLE_PLAIN,
			   text_append(text_duration(json_num(object, "DeadlineUsec")),
				       ", of which ", reserve));

	if (r >= 0 && !json_flag(object, "Held") && !is_by_user(object))
		r = print_line(f, style, "Removals", TABLE_BAD,
			       strdup("are not held now: nobody would get anything"));
	if (r >= 0 && json_num(object, "NotLookedAt") > 0)
		r = print_line(f, style, "Unknown", TABLE_WARN,
			       text_format("%" PRIu64 " processes could not be looked at in time",
					   json_num(object, "NotLookedAt")));
	if (r >= 0 && json_flag(object, "Truncated"))
		r = print_line(f, style, "Unknown", TABLE_WARN,
			       strdup("there are more who use it than could be listed"));
	return r;
}

static int print_device_rule(FILE *f, const struct table_style *style, json_object *simulation)
{
	uint64_t budget_ms = json_num(simulation, "BudgetMsec");
	char *rule;

	if (!*json_str(simulation, "DeviceRule"))
		return print_line(f, style, "Device rule", TABLE_WARN,
				  strdup("none: its mounts are not known"));
	rule = text_append(
		print_rule_text(simulation, "DeviceRule", "DeviceRulePath", "DeviceRuleLine"), ", ",
		json_text(simulation, "OnBusy"));
	if (budget_ms > 0)
		rule = text_append(rule, ", budget ", text_duration(budget_ms * 1000));
	return print_line(f, style, "Device rule", TABLE_PLAIN, rule);
}

static int print_texts(FILE *f, const struct table_style *style, json_object *object,
		       const char *key, const char *title, enum table_colour colour)
{
	int r = 0;

	for (size_t i = 0; i < json_count(object, key) && r >= 0; i++)
		r = print_line(f, style, i == 0 ? title : "", colour,
			       json_value_text(json_item(object, key, i)));
	return r;
}

static int print_places(FILE *f, const struct table_style *style, json_object *simulation)
{
	int r = 0;

	for (size_t i = 0; i < json_count(simulation, "Mounts") && r >= 0; i++) {
		json_object *mount = json_item(simulation, "Mounts", i);
		char *text = text_append(json_text(mount, "Path"), ", ", json_text(mount, "Type"));

		if (!json_flag(mount, "Host"))
			text = text_append(text, ", in the namespace of ",
					   text_format("%" PRIu64, json_num(mount, "Pid")));
		if (json_flag(mount, "Locked"))
			text = text_append(text, ", ", strdup("locked there"));
		r = print_line(f, style, i == 0 ? "Mounted" : "", TABLE_PLAIN, text);
	}
	return r;
}

int print_simulation(FILE *f, const struct table_style *style, json_object *simulation)
{
	const char *outcome = json_str(simulation, "Outcome");
	char *device = json_text(simulation, "Device");
	int r;

	if (!device)
		return -ENOMEM;
	if (style->legend)
		fprintf(f, "If %s were removed%s now, and nobody let go before he had to:\n",
			device, is_by_user(simulation) ? " by daxguardd" : "");
	free(device);
	r = is_by_user(simulation)
		    ? print_line(f, style, "State", TABLE_PLAIN, json_text(simulation, "State"))
		    : 0;
	if (r >= 0)
		r = print_line(f, style, "Outcome", print_colour(outcome),
			       json_text(simulation, "Outcome"));
	if (r >= 0)
		r = print_frame(f, style, simulation);
	if (r >= 0)
		r = print_device_rule(f, style, simulation);
	if (r >= 0)
		r = print_texts(f, style, simulation, "System", "System", TABLE_WARN);
	if (r >= 0)
		r = print_places(f, style, simulation);
	if (r >= 0)
		r = print_texts(f, style, simulation, "PolicyWarnings", "Rule warning", TABLE_WARN);
	if (r >= 0 && json_count(simulation, "Holders") > 0)
		r = print_holders_of(f, style, simulation);
	return r < 0 ? r
		     : print_passed(f, style, simulation, "DeviceRulesPassed", "DeviceRulesMore");
}

static int print_rungs(FILE *f, const struct table_style *style, json_object *process)
{
	static const struct table_column columns[] = {
		{"AT", TABLE_RIGHT}, {"ACTION"}, {"GRACE", TABLE_RIGHT}, {"OUTCOME"}};
	struct table *table = table_new(columns, sizeof(columns) / sizeof(columns[0]));
	int r = 0;

	if (!table)
		return -ENOMEM;
	for (size_t i = 0; i < json_count(process, "Actions"); i++) {
		json_object *action = json_item(process, "Actions", i);

		table_take(table, TABLE_PLAIN, text_duration(json_num(action, "AtUsec")));
		table_take(table, TABLE_PLAIN, json_text(action, "Action"));
		table_take(table, TABLE_PLAIN, text_duration(json_num(action, "GraceMsec") * 1000));
		take(table, json_text(action, "Outcome"));
	}
	if (table_rows(table) > 0) {
		fputc('\n', f);
		r = table_print(table, f, style);
	}
	table_free(table);
	return r;
}

static int print_who(FILE *f, const struct table_style *style, json_object *process)
{
	char *who = text_append(json_text(process, "Comm"), " ",
				text_format("(%" PRIu64 ")", json_num(process, "Pid")));
	int r = print_line(
		f, style, "Process", TABLE_PLAIN,
		text_append(who, ", user ", text_format("%" PRIu64, json_num(process, "Uid"))));

	if (r >= 0 && json_flag(process, "Holds"))
		r = print_line(f, style, "Uses", TABLE_PLAIN, print_uses(process));
	else if (r >= 0)
		r = print_line(f, style, "Uses", TABLE_WARN,
			       strdup("nothing there now; this is what it would get if it did"));
	if (r >= 0 && *json_str(process, "Exempt") &&
	    strcmp(json_str(process, "Exempt"), "none") != 0)
		r = print_line(f, style, "Protected", TABLE_WARN, json_text(process, "Exempt"));
	if (r >= 0 && json_get(process, "Unit"))
		r = print_line(f, style, "Unit", TABLE_PLAIN, json_text(process, "Unit"));
	return r;
}

int print_process(FILE *f, const struct table_style *style, json_object *process)
{
	uint64_t permille = json_num(process, "GracePermille");
	const char *end = json_str(process, "End");
	int r = print_who(f, style, process);

	if (r >= 0)
		r = print_frame(f, style, process);
	if (r >= 0)
		r = print_line(f, style, "Rule", TABLE_PLAIN,
			       print_rule_text(process, "Rule", "RulePath", "RuleLine"));
	if (r >= 0 && strcmp(json_str(process, "Scope"), "unit") == 0)
		r = print_line(f, style, "Scope", TABLE_PLAIN, strdup("its unit as a whole"));
	if (r >= 0 && json_flag(process, "DryRun"))
		r = print_line(f, style, "Dry run", TABLE_WARN,
			       strdup("the ladder is told, and nothing of it done"));
	if (r >= 0 && permille < 1000)
		r = print_line(f, style, "Graces", TABLE_WARN,
			       text_format("cut to %" PRIu64 ".%" PRIu64 " %%", permille / 10,
					   permille % 10));
	if (r >= 0 && *end)
		r = print_line(f, style, "End", print_colour(end), strdup(end));
	if (r >= 0)
		r = print_rungs(f, style, process);
	return r < 0 ? r : print_passed(f, style, process, "Passed", "PassedMore");
}

static int parse_pid(const char *text, uint32_t *ret)
{
	unsigned long pid;
	char *end;

	errno = 0;
	pid = strtoul(text, &end, 10);
	if (*text < '0' || *text > '9' || *end || errno || pid == 0 || pid > INT32_MAX)
		return -EINVAL;
	*ret = (uint32_t)pid;
	return 0;
}

enum ctl_exit verb_explain(const struct ctl *ctl, int argc, char *argv[])
{
	json_object *answer = NULL;
	enum ctl_exit code;
	char *name = NULL;
	uint32_t pid = 0;

	if (argc > 1 && parse_pid(argv[1], &pid) < 0)
		return client_fail(CTL_USAGE, "a process has a number");
	code = client_name_device(argv[0], &name);
	if (code == CTL_OK && pid > 0)
		code = client_ask(ctl, &answer, "QueryPolicy", "sua{sv}", name, pid, 0);
	else if (code == CTL_OK)
		code = client_ask(ctl, &answer, "Simulate", "sa{sv}", name, 0);
	free(name);
	if (code != CTL_OK)
		return code;
	return pid > 0 ? print_answer(ctl, "Process", answer, print_process)
		       : print_answer(ctl, "Simulation", answer, print_simulation);
}
