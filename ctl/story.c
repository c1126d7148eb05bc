/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The whole story of one incident, for people. */
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "json.h"
#include "print.h"
#include "text.h"

#define N(array) (sizeof(array) / sizeof((array)[0]))

/* "+2.104 s": since the hold began. */
static char *at(json_object *object, const char *key)
{
	char *plus = strdup("+");

	return text_append(plus, "", text_duration(json_num(object, key)));
}

static int print_part(FILE *f, const struct table_style *style, const char *title,
		      struct table *table)
{
	struct table_style inner = *style;
	int r = 0;

	inner.indent += 2;
	if (table_rows(table) > 0) {
		fprintf(f, "\n%*s%s\n", (int)style->indent, "", title);
		r = table_print(table, f, &inner);
	}
	table_free(table);
	return r;
}

/* What the daemon makes of it, and what else happened on the way. */
static int print_outcome(FILE *f, const struct table_style *style, json_object *incident)
{
	const char *outcome = json_str(incident, "Outcome");
	char *others = strdup("");

	for (size_t i = 0; i < json_count(incident, "Marks"); i++) {
		char *mark = json_value_text(json_item(incident, "Marks", i));

		/* How it was answered is the result's to say. */
		if (mark && (strcmp(mark, outcome) == 0 || strcmp(mark, "acked") == 0 ||
			     strcmp(mark, "released") == 0))
			free(mark);
		else
			others = text_append(others, ", ", mark);
	}
	if (others && !*others) {
		free(others);
		return print_line(f, style, "Outcome", print_colour(outcome),
				  json_text(incident, "Outcome"));
	}
	return print_line(f, style, "Outcome", print_colour(outcome),
			  text_append(json_text(incident, "Outcome"), "; also ", others));
}

static int print_how_it_ended(FILE *f, const struct table_style *style, json_object *incident)
{
	const char *result = json_str(incident, "Result"), *revoke = json_str(incident, "Revoke");
	char *took;
	int r;

	if (strcmp(json_str(incident, "Source"), "user") == 0 && *json_str(incident, "Outcome")) {
		r = print_line(f, style, "State", TABLE_PLAIN, json_text(incident, "State"));
		return r < 0 ? r : print_outcome(f, style, incident);
	}
	if (!*result || strcmp(result, "none") == 0)
		return print_line(f, style, "State", TABLE_WARN, json_text(incident, "State"));

	r = print_outcome(f, style, incident);
	if (r < 0)
		return r;
	r = print_line(f, style, "Result", print_colour(result),
		       text_append(strdup(result), " after ",
				   text_duration(json_num(incident, "HeldUsec"))));
	if (r < 0)
		return r;

	took = text_append(strdup(revoke), " in ", text_duration(json_num(incident, "RevokeUsec")));
	took = text_append(took, ": ",
			   text_format("%" PRIu64 " mappings left to remove, %" PRIu64
				       " DAX entries dropped in %" PRIu64 " inodes",
				       json_num(incident, "LeftMappings"),
				       json_num(incident, "Entries"),
				       json_num(incident, "Inodes")));
	if (json_num(incident, "PinnedPages") > 0)
		took = text_append(took, ", ",
				   text_format("%" PRIu64 " pages stay pinned",
					       json_num(incident, "PinnedPages")));
	if (json_num(incident, "Shutdowns") > 0)
		took = text_append(took, ", ",
				   text_format("%" PRIu64 " file systems shut down",
					       json_num(incident, "Shutdowns")));
	return print_line(f, style, "Revoke", print_colour(revoke), took);
}

/* Of the device; the built-in one goes without saying. */
static int print_rule(FILE *f, const struct table_style *style, json_object *incident)
{
	uint64_t budget_ms = json_num(incident, "BudgetMsec");
	char *rule;

	if (!*json_str(incident, "DeviceRule") ||
	    strcmp(json_str(incident, "DeviceRule"), "built-in:device") == 0)
		return 0;
	rule = text_append(json_text(incident, "DeviceRule"), ": ", json_text(incident, "OnBusy"));
	if (budget_ms > 0)
		rule = text_append(rule, ", budget ", text_duration(budget_ms * 1000));
	return print_line(f, style, "Rule", TABLE_PLAIN, rule);
}

static char *title_of(json_object *incident, bool failure)
{
	char *title = text_append(text_format("Incident %" PRIu64, json_num(incident, "Id")), ": ",
				  failure ? strdup("memory of") : json_text(incident, "Device"));

	if (failure)
		return text_append(text_append(title, " ", json_text(incident, "Device")), " ",
				   strdup("has failed"));
	return text_append(
		title, " loses its driver ",
		text_append(json_text(incident, "Driver"), " on ", json_text(incident, "Bus")));
}

static int print_head(FILE *f, const struct table_style *style, json_object *incident)
{
	bool failure = json_is_failure(incident);
	char *title = title_of(incident, failure);
	int r = 0;

	if (!title)
		return -ENOMEM;
	fprintf(f, "%*s%s%s\n", (int)style->indent, "", title,
		json_flag(incident, "Surprise") ? " (surprise removal)" : "");
	free(title);

	r = print_line(f, style, "Began", TABLE_PLAIN, text_time(json_num(incident, "BeganUsec")));
	if (r >= 0 && strcmp(json_str(incident, "Source"), "user") == 0)
		r = print_line(f, style, "Removed by", TABLE_PLAIN,
			       strdup(json_flag(incident, "Forced")
					      ? "daxguardd, as it was forced to"
					      : "daxguardd, as it was asked to"));
	else if (r >= 0 && !failure && json_num(incident, "UnbinderPid") > 0)
		r = print_line(f, style, "Removed by", TABLE_PLAIN,
			       text_format("process %" PRIu64, json_num(incident, "UnbinderPid")));
	else if (r >= 0 && !failure)
		r = print_line(f, style, "Removed by", TABLE_PLAIN, strdup("the kernel itself"));
	if (r >= 0 && json_flag(incident, "TakenOver"))
		r = print_line(f, style, "Taken over", TABLE_WARN,
			       strdup("from a daemon that died or was stopped"));
	if (r >= 0)
		r = print_rule(f, style, incident);
	if (r >= 0)
		r = failure ? print_failed(f, style, incident)
			    : print_how_it_ended(f, style, incident);
	for (size_t i = 0; r >= 0 && i < json_count(incident, "Notes"); i++)
		r = print_line(f, style, i == 0 ? "Note" : "", TABLE_WARN,
			       json_value_text(json_item(incident, "Notes", i)));
	return r;
}

static int print_targets(FILE *f, const struct table_style *style, json_object *incident)
{
	static const struct table_column columns[] = {
		{"NAME"}, {"DEVICE"}, {"MODE"}, {"MAJ:MIN"}, {"UUID", TABLE_ELASTIC}};
	struct table *table = table_new(columns, N(columns));

	if (!table)
		return -ENOMEM;
	for (size_t i = 0; i < json_count(incident, "Targets"); i++) {
		json_object *target = json_item(incident, "Targets", i);

		table_cell(table, TABLE_PLAIN, json_str(target, "Name"));
		table_cell(table, TABLE_PLAIN, json_str(target, "Device"));
		table_cell(table, TABLE_PLAIN, json_str(target, "Mode"));
		table_cell(table, TABLE_PLAIN, json_str(target, "DevNum"));
		table_cell(table, TABLE_PLAIN, json_str(target, "Uuid"));
	}
	return print_part(f, style, json_is_failure(incident) ? "Device" : "What was removed",
			  table);
}

static void add_number(struct table *table, json_object *object, const char *key)
{
	if (json_get(object, key))
		table_printf(table, TABLE_PLAIN, "%" PRIu64, json_num(object, key));
	else
		table_cell(table, TABLE_PLAIN, "-");
}

static int print_failed_ranges(FILE *f, const struct table_style *style, json_object *incident)
{
	static const struct table_column columns[] = {{"PHYSICAL", TABLE_RIGHT},
						      {"BYTES", TABLE_RIGHT},
						      {"ON DEVICE", TABLE_RIGHT},
						      {"FILE SYSTEM"},
						      {"INODE", TABLE_RIGHT},
						      {"IN FILE", TABLE_RIGHT},
						      {"SOURCE"}};
	struct table *table = table_new(columns, N(columns));

	if (!table)
		return -ENOMEM;
	for (size_t i = 0; i < json_count(incident, "Failures"); i++) {
		json_object *failure = json_item(incident, "Failures", i);
		bool file = json_num(failure, "Inode") > 0;

		if (json_get(failure, "Start"))
			table_printf(table, TABLE_PLAIN, "%#" PRIx64, json_num(failure, "Start"));
		else
			table_cell(table, TABLE_PLAIN, "-");
		table_printf(table, TABLE_PLAIN, "%" PRIu64, json_num(failure, "Length"));
		add_number(table, failure, "DeviceOffset");
		table_cell(table, TABLE_PLAIN, file ? json_str(failure, "FileSystem") : "-");
		add_number(table, failure, "Inode");
		add_number(table, failure, "FileOffset");
		table_cell(table, TABLE_PLAIN, json_str(failure, "Source"));
	}
	return print_part(f, style, "What has failed", table);
}

/* "/mnt/a", "inode 12 on 259:0 (not-found)"; also of a file's metadata. */
static char *place_text(json_object *place)
{
	char *path = json_text(place, "Path");
	const char *why = json_str(place, "NoPath");

	if (path && *path && json_flag(place, "Deleted"))
		path = text_append(path, "", strdup(" (deleted)"));
	if (path && *path)
		return path;
	free(path);
	if (json_num(place, "Inode") == 0)
		return strdup("-");
	return text_format("inode %" PRIu64 " on %s%s%s%s", json_num(place, "Inode"),
			   json_str(place, "FileSystem"), *why ? " (" : "", why, *why ? ")" : "");
}

static int print_places(FILE *f, const struct table_style *style, json_object *incident)
{
	static const struct table_column columns[] = {
		{"ON DEVICE", TABLE_RIGHT}, {"BYTES", TABLE_RIGHT}, {"CONTENT"}, {"WHAT"},
		{"IN FILE", TABLE_RIGHT},   {"FILE", TABLE_ELASTIC}};
	struct table *table = table_new(columns, N(columns));

	if (!table)
		return -ENOMEM;
	for (size_t i = 0; i < json_count(incident, "Places"); i++) {
		json_object *place = json_item(incident, "Places", i);
		const char *what = json_str(place, "What");

		add_number(table, place, "DeviceOffset");
		add_number(table, place, "Length");
		table_cell(table, TABLE_PLAIN, json_str(place, "Content"));
		table_cell(table, TABLE_PLAIN, *what ? what : "-");
		add_number(table, place, "FileOffset");
		table_take(table, TABLE_PLAIN, place_text(place));
	}
	return print_part(f, style, "What it was used for", table);
}

static int print_states(FILE *f, const struct table_style *style, json_object *incident)
{
	static const struct table_column columns[] = {
		{"AT", TABLE_RIGHT}, {"STATE"}, {"TOOK", TABLE_RIGHT}};
	struct table *table = table_new(columns, N(columns));

	if (!table)
		return -ENOMEM;
	for (size_t i = 0; i < json_count(incident, "States"); i++) {
		json_object *state = json_item(incident, "States", i);
		const char *name = json_str(state, "State");

		table_take(table, TABLE_PLAIN, at(state, "AtUsec"));
		table_cell(table, print_colour(name), name);
		table_take(table, TABLE_PLAIN, text_duration(json_num(state, "TookUsec")));
	}
	return print_part(f, style, "States", table);
}

static int print_steps(FILE *f, const struct table_style *style, json_object *incident)
{
	static const struct table_column columns[] = {{"AT", TABLE_RIGHT},
						      {"STEP"},
						      {"TOOK", TABLE_RIGHT},
						      {"END"},
						      {"SAID", TABLE_ELASTIC}};
	struct table *table = table_new(columns, N(columns));

	if (!table)
		return -ENOMEM;
	for (size_t i = 0; i < json_count(incident, "Steps"); i++) {
		json_object *step = json_item(incident, "Steps", i);
		const char *end = json_str(step, "End");
		char *said = json_text(step, "Error");

		table_take(table, TABLE_PLAIN, at(step, "AtUsec"));
		table_cell(table, TABLE_PLAIN, json_str(step, "Step"));
		table_take(table, TABLE_PLAIN, text_duration(json_num(step, "TookUsec")));
		table_cell(table, print_colour(end), end);
		table_cell(table, TABLE_PLAIN, said);
		free(said);
	}
	return print_part(f, style, "Steps", table);
}

static void add_event(struct table *table, char *when, const char *what, const char *outcome)
{
	table_take(table, TABLE_PLAIN, when);
	table_cell(table, TABLE_PLAIN, what);
	table_cell(table, print_colour(outcome), outcome);
}

/* One line for who it is, with the first thing it got; one more for each other thing. */
static void add_holder(struct table *table, json_object *holder)
{
	size_t n = json_count(holder, "Actions");
	char *comm = json_text(holder, "Comm"), *uses = print_uses(holder);
	const char *cooperation = json_str(holder, "Cooperation");

	table_printf(table, TABLE_PLAIN, "%" PRIu64, json_num(holder, "Pid"));
	table_printf(table, TABLE_PLAIN, "%" PRIu64, json_num(holder, "Uid"));
	table_cell(table, TABLE_PLAIN, comm);
	table_cell(table, TABLE_PLAIN, uses);
	free(comm);
	free(uses);

	for (size_t i = 0; i < n; i++) {
		json_object *action = json_item(holder, "Actions", i);

		add_event(table, at(action, "AtUsec"), json_str(action, "Action"),
			  json_str(action, "Outcome"));
		for (size_t column = 0; column < 4; column++)
			table_cell(table, TABLE_PLAIN, " ");
	}
	if (*cooperation) {
		add_event(table, strdup(" "), "registered", cooperation);
		for (size_t column = 0; column < 4; column++)
			table_cell(table, TABLE_PLAIN, " ");
	}
	add_event(table, json_num(holder, "EndUsec") > 0 ? at(holder, "EndUsec") : strdup(" "),
		  n > 0 || *cooperation ? "then" : "nothing", json_str(holder, "End"));
}

static int print_holder_list(FILE *f, const struct table_style *style, json_object *incident)
{
	static const struct table_column columns[] = {{"PID", TABLE_RIGHT},
						      {"UID", TABLE_RIGHT},
						      {"COMMAND", TABLE_ELASTIC},
						      {"USED", TABLE_ELASTIC},
						      {"AT", TABLE_RIGHT},
						      {"GOT"},
						      {"OUTCOME"}};
	struct table *table = table_new(columns, N(columns));
	int r;

	if (!table)
		return -ENOMEM;
	for (size_t i = 0; i < json_count(incident, "Holders"); i++)
		add_holder(table, json_item(incident, "Holders", i));
	r = print_part(f, style, "Processes", table);
	if (r >= 0 && json_num(incident, "HolderCount") > json_count(incident, "Holders"))
		fprintf(f, "%*s(and %" PRIu64 " more)\n", (int)style->indent + 2, "",
			json_num(incident, "HolderCount") - json_count(incident, "Holders"));
	return r;
}

/* What decided for each. */
static int print_rules(FILE *f, const struct table_style *style, json_object *incident)
{
	static const struct table_column columns[] = {{"PID", TABLE_RIGHT}, {"RULE"}};
	struct table *table = table_new(columns, N(columns));

	if (!table)
		return -ENOMEM;
	for (size_t i = 0; i < json_count(incident, "Holders"); i++) {
		json_object *holder = json_item(incident, "Holders", i);

		if (!*json_str(holder, "Rule"))
			continue;
		table_printf(table, TABLE_PLAIN, "%" PRIu64, json_num(holder, "Pid"));
		table_take(table, TABLE_PLAIN,
			   print_rule_text(holder, "Rule", "RulePath", "RuleLine"));
	}
	return print_part(f, style, "Rules", table);
}

static void add_said(struct table *table, uint64_t pid, json_object *action)
{
	char *unit = json_text(action, "Unit"), *said = json_text(action, "Output");
	const char *checkpoint = json_str(action, "Checkpoint");

	/* By this it can be brought back. */
	if (*checkpoint && *said)
		said = text_append(strdup(checkpoint), ": ", said);
	else if (*checkpoint)
		said = text_append(said, "", strdup(checkpoint));

	if (*unit || *said) {
		table_printf(table, TABLE_PLAIN, "%" PRIu64, pid);
		table_cell(table, TABLE_PLAIN, json_str(action, "Action"));
		table_cell(table, TABLE_PLAIN, *unit ? unit : "-");
		if (json_num(action, "TookUsec") > 0)
			table_take(table, TABLE_PLAIN, text_duration(json_num(action, "TookUsec")));
		else
			table_cell(table, TABLE_PLAIN, "-");
		table_cell(table, TABLE_PLAIN, said);
	}
	free(unit);
	free(said);
}

/* Whom else it concerned, and what programs had to say. */
static int print_said(FILE *f, const struct table_style *style, json_object *incident)
{
	static const struct table_column columns[] = {{"PID", TABLE_RIGHT},
						      {"GOT"},
						      {"UNIT"},
						      {"TOOK", TABLE_RIGHT},
						      {"SAID", TABLE_ELASTIC}};
	struct table *table = table_new(columns, N(columns));

	if (!table)
		return -ENOMEM;
	for (size_t i = 0; i < json_count(incident, "Holders"); i++) {
		json_object *holder = json_item(incident, "Holders", i);

		for (size_t k = 0; k < json_count(holder, "Actions"); k++)
			add_said(table, json_num(holder, "Pid"), json_item(holder, "Actions", k));
	}
	return print_part(f, style, "Units and programs", table);
}

static int print_mounts(FILE *f, const struct table_style *style, json_object *incident)
{
	static const struct table_column columns[] = {
		{"MOUNTED ON", TABLE_ELASTIC}, {"TYPE"}, {"NAMESPACE"}, {"RESULT"}};
	struct table *table = table_new(columns, N(columns));

	if (!table)
		return -ENOMEM;
	for (size_t i = 0; i < json_count(incident, "Mounts"); i++) {
		json_object *mount = json_item(incident, "Mounts", i);
		const char *result = json_str(mount, "Result");
		char *path = json_text(mount, "Path");
		table_cell(table, TABLE_PLAIN, path);
		table_cell(table, TABLE_PLAIN, json_str(mount, "Type"));
		if (json_flag(mount, "Host"))
			table_cell(table, TABLE_PLAIN, "host");
		else if (json_num(mount, "Pid") > 0)
			table_printf(table, TABLE_PLAIN, "%" PRIu64 " (of %" PRIu64 ")",
				     json_num(mount, "Namespace"), json_num(mount, "Pid"));
		else
			table_printf(table, TABLE_PLAIN, "%" PRIu64, json_num(mount, "Namespace"));
		table_cell(table, print_colour(result), result);
		free(path);
	}
	return print_part(f, style, "Mounts", table);
}

int print_story(FILE *f, const struct table_style *style, json_object *incident)
{
	static int (*const parts[])(FILE *, const struct table_style *, json_object *) = {
		print_head,        print_targets, print_failed_ranges, print_places, print_states,
		print_holder_list, print_rules,   print_said,          print_mounts, print_steps};

	for (size_t i = 0; i < N(parts); i++) {
		int r = parts[i](f, style, incident);

		if (r < 0)
			return r;
	}
	return 0;
}
