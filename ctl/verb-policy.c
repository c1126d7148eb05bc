/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* daxguardctl policy */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "client.h"
#include "json.h"
#include "print.h"
#include "text.h"

/* As it stands in a file, if a terminal can take it. */
static int print_lines(FILE *f, json_object *rule, const char *key)
{
	for (size_t i = 0; i < json_count(rule, key); i++) {
		json_object *line = json_item(rule, key, i);
		const char *raw = json_object_is_type(line, json_type_string)
					  ? json_object_get_string(line)
					  : NULL;
		char *text = raw && text_is_safe(raw) ? strdup(raw) : json_value_text(line);

		if (!text)
			return -ENOMEM;
		fprintf(f, "%s\n", text);
		free(text);
	}
	return 0;
}

/* As files, one after the other. */
static int print_rules(FILE *f, const struct table_style *style, json_object *policy,
		       const char *key, const char *section)
{
	int r = 0;

	for (size_t i = 0; i < json_count(policy, key) && r == 0; i++) {
		json_object *rule = json_item(policy, key, i);
		const char *name = json_str(rule, "Name");
		char *path = json_text(rule, "Path");

		if (!path)
			return -ENOMEM;
		fprintf(f, "%s# %s%s\n", table_colour_on(TABLE_FAINT, style->colour),
			*path ? path : name, table_colour_off(TABLE_FAINT, style->colour));
		free(path);
		if (json_flag(rule, "Protected"))
			fputs("# For processes that are never signalled, see daxguardctl status.\n",
			      f);
		if (json_count(rule, "Match") > 0)
			fputs("[Match]\n", f);
		r = print_lines(f, rule, "Match");
		fprintf(f, "[%s]\n", section);
		if (r == 0)
			r = print_lines(f, rule, section);
		fputc('\n', f);
	}
	return r;
}

int print_policy(FILE *f, const struct table_style *style, json_object *policy)
{
	size_t n = json_count(policy, "Rules"), n_devices = json_count(policy, "DeviceRules");
	int r = print_rules(f, style, policy, "Rules", "Policy");

	if (r == 0)
		r = print_rules(f, style, policy, "DeviceRules", "Device");
	for (size_t i = 0; i < json_count(policy, "Warnings") && r == 0; i++)
		r = print_line(f, style, i == 0 ? "Warning" : "", TABLE_WARN,
			       json_value_text(json_item(policy, "Warnings", i)));
	if (r == 0 && style->legend)
		fprintf(f, "%zu rule%s and %zu device rule%s, the built-in ones included.\n", n,
			n == 1 ? "" : "s", n_devices, n_devices == 1 ? "" : "s");
	return r;
}

enum ctl_exit verb_policy(const struct ctl *ctl, int argc, char *argv[])
{
	json_object *policy;
	enum ctl_exit code = client_ask(ctl, &policy, "GetPolicy", "");

	return code != CTL_OK ? code : print_answer(ctl, "Policy", policy, print_policy);
}
