/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* daxguardctl holders DEVICE */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "client.h"
#include "json.h"
#include "print.h"
#include "text.h"

static int print_processes(FILE *f, const struct table_style *style, json_object *answer)
{
	static const struct table_column columns[] = {
		{"PID", TABLE_RIGHT},    {"UID", TABLE_RIGHT}, {"COMMAND", TABLE_ELASTIC},
		{"USES", TABLE_ELASTIC}, {"FIRST MAPPING"},    {"FLAGS", TABLE_ELASTIC},
	};
	struct table *table = table_new(columns, sizeof(columns) / sizeof(columns[0]));
	int r;

	if (!table)
		return -ENOMEM;
	for (size_t i = 0; i < json_count(answer, "Holders"); i++) {
		json_object *holder = json_item(answer, "Holders", i);
		json_object *mapping = json_item(holder, "Mappings", 0);
		char *comm = json_text(holder, "Comm"), *uses = print_uses(holder);
		char *flags = print_words(holder, "Flags");

		table_printf(table, TABLE_PLAIN, "%" PRIu64, json_num(holder, "Pid"));
		table_printf(table, TABLE_PLAIN, "%" PRIu64, json_num(holder, "Uid"));
		table_cell(table, TABLE_PLAIN, comm);
		table_cell(table, mapping ? TABLE_WARN : TABLE_PLAIN, uses);
		if (mapping)
			table_printf(table, TABLE_PLAIN, "0x%" PRIx64,
				     json_num(mapping, "Address"));
		else
			table_cell(table, TABLE_PLAIN, NULL);
		table_cell(table, TABLE_PLAIN, flags);
		free(comm);
		free(uses);
		free(flags);
	}
	r = table_print(table, f, style);
	table_free(table);
	return r;
}

static int print_file_systems(FILE *f, const struct table_style *style, json_object *answer)
{
	static const struct table_column columns[] = {
		{"FILE SYSTEM"},
		{"MAJ:MIN"},
		{"DAX INODES", TABLE_RIGHT},
		{"DAX ENTRIES", TABLE_RIGHT},
		{"FLAGS", TABLE_ELASTIC},
	};
	struct table *table = table_new(columns, sizeof(columns) / sizeof(columns[0]));
	int r;

	if (!table)
		return -ENOMEM;
	for (size_t i = 0; i < json_count(answer, "FileSystems"); i++) {
		json_object *fs = json_item(answer, "FileSystems", i);
		char *flags = print_words(fs, "Flags");

		table_cell(table, TABLE_PLAIN, json_str(fs, "Type"));
		table_cell(table, TABLE_PLAIN, json_str(fs, "DevNum"));
		table_printf(table, TABLE_PLAIN, "%" PRIu64, json_num(fs, "Inodes"));
		table_printf(table, TABLE_PLAIN, "%" PRIu64, json_num(fs, "Entries"));
		table_cell(table, TABLE_PLAIN, flags);
		free(flags);
	}
	r = table_print(table, f, style);
	table_free(table);
	return r;
}

int print_holders(FILE *f, const struct table_style *style, json_object *answer)
{
	int r = 0;

	if (json_count(answer, "Holders") > 0)
		r = print_processes(f, style, answer);
	else if (style->legend)
		fprintf(f, "No process uses %s.\n", json_str(answer, "Device"));

	if (r >= 0 && style->legend && json_count(answer, "FileSystems") > 0) {
		fputc('\n', f);
		r = print_file_systems(f, style, answer);
	}
	if (r >= 0 && json_flag(answer, "Truncated"))
		fprintf(f,
			"\n%sThe list is not complete: more uses than fit, or a lock was not "
			"to be had in time.%s\n",
			table_colour_on(TABLE_WARN, style->colour),
			table_colour_off(TABLE_WARN, style->colour));
	return r;
}

enum ctl_exit verb_holders(const struct ctl *ctl, int argc, char *argv[])
{
	json_object *answer = NULL;
	char *name = NULL;
	enum ctl_exit code = client_name_device(argv[0], &name);

	if (code == CTL_OK)
		code = client_ask(ctl, &answer, "ListHolders", "s", name);
	free(name);
	return code != CTL_OK ? code : print_answer(ctl, "Users", answer, print_holders);
}
