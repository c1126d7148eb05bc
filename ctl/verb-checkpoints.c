/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* daxguardctl checkpoints [ID…] [--delete | --prune] */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "client.h"
#include "core/utf8.h"
#include "json.h"
#include "print.h"
#include "text.h"

#define MINUTES 16 /* characters of a time that go as far as its minutes */

/* "redis-server (4711)" */
static char *process_text(json_object *checkpoint)
{
	return text_append(json_text(checkpoint, "Comm"), " ",
			   text_format("(%" PRIu64 ")", json_num(checkpoint, "Pid")));
}

static char *mounts_text(json_object *checkpoint)
{
	char *all = strdup("");

	for (size_t i = 0; i < json_count(checkpoint, "Mounts"); i++)
		all = text_append(all, " ", json_text(json_item(checkpoint, "Mounts", i), "Path"));
	return all;
}

static bool is_whole(json_object *checkpoint)
{
	return strcmp(json_str(checkpoint, "State"), "whole") == 0;
}

/* Of what is not whole nothing else is known. */
static void add_row(struct table *table, json_object *checkpoint)
{
	bool whole = is_whole(checkpoint);
	char *when = whole ? text_time(json_num(checkpoint, "TimeUsec")) : NULL;

	table_cell(table, TABLE_PLAIN, json_str(checkpoint, "Id"));
	table_take(table, TABLE_PLAIN, when ? text_format("%.*s", MINUTES, when) : strdup(""));
	table_take(table, TABLE_PLAIN, whole ? process_text(checkpoint) : strdup(""));
	table_take(table, TABLE_PLAIN, json_text(checkpoint, "Unit"));
	table_take(table, TABLE_PLAIN,
		   whole ? text_size(json_num(checkpoint, "Bytes")) : strdup(""));
	table_cell(table, whole ? TABLE_PLAIN : TABLE_WARN,
		   !whole                                     ? json_str(checkpoint, "State")
		   : json_flag(checkpoint, "RestoreOnReturn") ? "on return"
							      : "by hand");
	table_take(table, TABLE_PLAIN, mounts_text(checkpoint));
	free(when);
}

int print_checkpoints(FILE *f, const struct table_style *style, json_object *checkpoints)
{
	static const struct table_column columns[] = {
		{"ID"},
		{"MADE"},
		{"PROCESS", TABLE_ELASTIC},
		{"UNIT", TABLE_ELASTIC},
		{"SIZE", TABLE_RIGHT},
		{"RESTORE"},
		{"FILES ON", TABLE_ELASTIC},
	};
	struct table *table = table_new(columns, sizeof(columns) / sizeof(columns[0]));
	size_t n = json_length(checkpoints);
	uint64_t bytes = 0;
	int r;

	if (!table)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		add_row(table, json_at(checkpoints, i));
		bytes += json_num(json_at(checkpoints, i), "Bytes");
	}
	r = table_print(table, f, style);
	if (style->legend) {
		char *size = text_size(bytes);

		fprintf(f, "\n%zu checkpoint%s, %s.\n", n, n == 1 ? "" : "s", size ? size : "");
		free(size);
	}
	table_free(table);
	return r;
}

static int print_mounts(FILE *f, const struct table_style *style, json_object *checkpoint)
{
	int r = 0;

	for (size_t i = 0; r >= 0 && i < json_count(checkpoint, "Mounts"); i++) {
		json_object *mount = json_item(checkpoint, "Mounts", i);
		const char *device = json_str(mount, "Device");
		char *text = text_append(json_text(mount, "Path"), ", namespace ",
					 strdup(json_str(mount, "Namespace")));

		r = print_line(f, style, "Files on", TABLE_PLAIN,
			       text_append(text, "",
					   *device ? text_format(" (%s)", device)
						   : strdup(" (which is not there)")));
	}
	return r;
}

static int print_one(FILE *f, const struct table_style *style, json_object *checkpoint)
{
	int r;

	fprintf(f, "%s\n", json_str(checkpoint, "Id"));
	if (!is_whole(checkpoint))
		return print_line(f, style, "State", TABLE_WARN,
				  strdup(json_str(checkpoint, "State")));
	r = print_line(f, style, "Process", TABLE_PLAIN, process_text(checkpoint));
	if (r >= 0 && *json_str(checkpoint, "Unit"))
		r = print_line(f, style, "Unit", TABLE_PLAIN, json_text(checkpoint, "Unit"));
	if (r >= 0)
		r = print_line(f, style, "Scope", TABLE_PLAIN, json_text(checkpoint, "Scope"));
	if (r >= 0)
		r = print_line(
			f, style, "Incident", TABLE_PLAIN,
			text_append(text_format("%" PRIu64, json_num(checkpoint, "Incident")),
				    ", rule ", json_text(checkpoint, "Rule")));
	if (r >= 0)
		r = print_line(f, style, "Made", TABLE_PLAIN,
			       text_append(text_time(json_num(checkpoint, "TimeUsec")), ", in ",
					   text_duration(json_num(checkpoint, "DumpUsec"))));
	if (r >= 0)
		r = print_line(f, style, "Size", TABLE_PLAIN,
			       text_append(text_size(json_num(checkpoint, "Bytes")), ", by CRIU ",
					   json_text(checkpoint, "Criu")));
	if (r >= 0)
		r = print_line(f, style, "Restore", TABLE_PLAIN,
			       strdup(json_flag(checkpoint, "RestoreOnReturn")
					      ? "when its device returns"
					      : "by hand: daxguardctl restore"));
	return r < 0 ? r : print_mounts(f, style, checkpoint);
}

int print_checkpoints_each(FILE *f, const struct table_style *style, json_object *checkpoints)
{
	int r = 0;

	for (size_t i = 0; r >= 0 && i < json_length(checkpoints); i++) {
		if (i > 0)
			fputc('\n', f);
		r = print_one(f, style, json_at(checkpoints, i));
	}
	return r;
}

int print_removed(FILE *f, const struct table_style *style, json_object *ids)
{
	size_t n = json_length(ids);

	for (size_t i = 0; i < n; i++)
		fprintf(f, "%s\n", json_object_get_string(json_at(ids, i)));
	if (style->legend)
		fprintf(f, "%s%zu removed.\n", n > 0 ? "\n" : "", n);
	return 0;
}

/* What was asked for, which must be there. */
static enum ctl_exit choose(json_object *all, int n_ids, char *ids[], json_object **ret)
{
	json_object *chosen = json_object_new_array();

	for (int i = 0; i < n_ids; i++) {
		json_object *found = NULL;

		for (size_t k = 0; k < json_length(all) && !found; k++)
			if (strcmp(json_str(json_at(all, k), "Id"), ids[i]) == 0)
				found = json_at(all, k);
		if (!found) {
			json_object_put(chosen);
			return client_fail(CTL_NOT_FOUND, "there is no such checkpoint");
		}
		json_object_array_add(chosen, json_object_get(found));
	}
	*ret = chosen;
	return CTL_OK;
}

static enum ctl_exit list(const struct ctl *ctl, int argc, char *argv[])
{
	json_object *all = NULL, *chosen = NULL;
	enum ctl_exit code = client_ask(ctl, &all, "ListCheckpoints", "a{sv}", 0);

	if (code != CTL_OK || argc == 0)
		return code != CTL_OK ? code
				      : print_answer(ctl, "Checkpoints", all, print_checkpoints);
	code = choose(all, argc, argv, &chosen);
	json_object_put(all);
	return code != CTL_OK ? code
			      : print_answer(ctl, "Checkpoints", chosen, print_checkpoints_each);
}

/* Each that can be is; of the others the last one's error is the exit status. */
static enum ctl_exit delete_each(const struct ctl *ctl, int argc, char *argv[])
{
	json_object *removed = json_object_new_array();
	enum ctl_exit refused = CTL_OK, code;

	for (int i = 0; i < argc; i++) {
		json_object *nothing = NULL;

		code = client_ask(ctl, &nothing, "DeleteCheckpoint", "s", argv[i]);
		if (code == CTL_OK)
			json_object_array_add(removed, json_object_new_string(argv[i]));
		else
			refused = code;
	}
	code = print_answer(ctl, "Removed", removed, print_removed);
	return refused != CTL_OK ? refused : code;
}

static enum ctl_exit prune(const struct ctl *ctl)
{
	json_object *removed = NULL;
	enum ctl_exit code = client_ask(ctl, &removed, "PruneCheckpoints", "");

	return code != CTL_OK ? code : print_answer(ctl, "Removed", removed, print_removed);
}

enum ctl_exit verb_checkpoints(const struct ctl *ctl, int argc, char *argv[])
{
	for (int i = 0; i < argc; i++)
		if (!dg_utf8_is_valid(argv[i], strlen(argv[i])))
			return client_fail(CTL_NOT_FOUND, "there is no such checkpoint");
	if (ctl->deletes && ctl->prunes)
		return client_fail(CTL_USAGE, "either --delete or --prune");
	if (ctl->deletes && argc == 0)
		return client_fail(CTL_USAGE, "--delete needs the ID of a checkpoint");
	if (ctl->prunes && argc > 0)
		return client_fail(CTL_USAGE, "--prune takes no ID");
	if (ctl->deletes)
		return delete_each(ctl, argc, argv);
	return ctl->prunes ? prune(ctl) : list(ctl, argc, argv);
}
