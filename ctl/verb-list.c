/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* daxguardctl list */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "client.h"
#include "json.h"
#include "print.h"
#include "text.h"

/* "/mnt/a /mnt/b"; a device with partitions or dm on it may carry several. */
static char *mount_points(json_object *device)
{
	char *all = strdup("");

	for (size_t i = 0; i < json_count(device, "Mounts"); i++)
		all = text_append(all, " ", json_text(json_item(device, "Mounts", i), "Path"));
	return all;
}

static const char *device_state(json_object *device, enum table_colour *ret_colour)
{
	*ret_colour = TABLE_PLAIN;
	if (json_num(device, "Incident") > 0) {
		*ret_colour = TABLE_WARN;
		return "held";
	}
	if (json_count(device, "System") > 0)
		return "system";
	return json_count(device, "Mounts") > 0 ? "mounted" : "idle";
}

int print_devices(FILE *f, const struct table_style *style, json_object *devices)
{
	static const struct table_column columns[] = {
		{"NAME"},
		{"DEVICE"},
		{"MODE"},
		{"MAJ:MIN"},
		{"SIZE", TABLE_RIGHT},
		{"REGION"},
		{"STATE"},
		{"MOUNTED ON", TABLE_ELASTIC},
	};
	struct table *table = table_new(columns, sizeof(columns) / sizeof(columns[0]));
	int r;

	if (!table)
		return -ENOMEM;
	for (size_t i = 0; i < json_length(devices); i++) {
		json_object *device = json_at(devices, i);
		enum table_colour colour;
		const char *state = device_state(device, &colour);
		char *paths = mount_points(device);

		table_cell(table, TABLE_PLAIN, json_str(device, "Name"));
		table_cell(table, TABLE_PLAIN, json_str(device, "Device"));
		table_cell(table, TABLE_PLAIN, json_str(device, "Mode"));
		table_cell(table, TABLE_PLAIN, json_str(device, "DevNum"));
		table_take(table, TABLE_PLAIN, text_size(json_num(device, "Size")));
		table_cell(table, TABLE_PLAIN, json_str(device, "Region"));
		table_cell(table, colour, state);
		table_cell(table, TABLE_PLAIN, paths);
		free(paths);
	}
	r = table_print(table, f, style);
	if (style->legend)
		fprintf(f, "\n%zu guarded device%s.\n", table_rows(table),
			table_rows(table) == 1 ? "" : "s");
	table_free(table);
	return r;
}

enum ctl_exit verb_list(const struct ctl *ctl, int argc, char *argv[])
{
	json_object *devices;
	enum ctl_exit code = client_ask(ctl, &devices, "ListDevices", "");

	return code != CTL_OK ? code : print_answer(ctl, "Devices", devices, print_devices);
}
