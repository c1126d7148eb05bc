/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* daxguardctl incidents */
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <string.h>

#include "client.h"
#include "json.h"
#include "print.h"
#include "text.h"

static bool is_none(const char *word)
{
	return !*word || strcmp(word, "none") == 0;
}

/*
 * The kernel's word, which says how it ended, or our own if nothing was held; where there is
 * none, how far it has come.
 */
static const char *result_of(json_object *incident)
{
	const char *result = json_str(incident, json_is_failure(incident) ? "Outcome" : "Result");

	return is_none(result) ? json_str(incident, "State") : result;
}

int print_incidents(FILE *f, const struct table_style *style, json_object *incidents)
{
	static const struct table_column columns[] = {
		{"ID", TABLE_RIGHT},
		{"BEGAN"},
		{"DEVICE", TABLE_ELASTIC},
		{"RESULT"},
		{"REVOKE"},
		{"HELD", TABLE_RIGHT},
		{"HOLDERS", TABLE_RIGHT},
	};
	struct table *table = table_new(columns, sizeof(columns) / sizeof(columns[0]));
	int r;

	if (!table)
		return -ENOMEM;
	for (size_t i = 0; i < json_length(incidents); i++) {
		json_object *incident = json_at(incidents, i);
		const char *result = result_of(incident);
		const char *revoke = json_str(incident, "Revoke");
		uint64_t held_us = json_num(incident, "HeldUsec");

		table_printf(table, TABLE_PLAIN, "%" PRIu64, json_num(incident, "Id"));
		table_take(table, TABLE_PLAIN, text_time(json_num(incident, "BeganUsec")));
		table_cell(table, TABLE_PLAIN, json_str(incident, "Device"));
		table_cell(table, print_colour(result), result);
		table_cell(table, print_colour(revoke), is_none(revoke) ? NULL : revoke);
		if (held_us > 0)
			table_take(table, TABLE_PLAIN, text_duration(held_us));
		else
			table_cell(table, TABLE_PLAIN, NULL);
		table_printf(table, TABLE_PLAIN, "%" PRIu64, json_num(incident, "HolderCount"));
	}
	r = table_print(table, f, style);
	if (style->legend)
		fprintf(f, "\n%zu incident%s.\n", table_rows(table),
			table_rows(table) == 1 ? "" : "s");
	table_free(table);
	return r;
}

static int by_begin(const void *a, const void *b)
{
	uint64_t x = json_num(*(json_object *const *)a, "BeganUsec");
	uint64_t y = json_num(*(json_object *const *)b, "BeganUsec");

	return x < y ? -1 : x > y;
}

enum ctl_exit verb_incidents(const struct ctl *ctl, int argc, char *argv[])
{
	json_object *incidents;
	enum ctl_exit code = client_ask(ctl, &incidents, "ListIncidents", "");

	/* Those that a user asked for have numbers of their own. */
	if (code == CTL_OK && json_object_is_type(incidents, json_type_array))
		json_object_array_sort(incidents, by_begin);
	return code != CTL_OK ? code : print_answer(ctl, "Incidents", incidents, print_incidents);
}
