/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bus-policy.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/rule-text.h"

/* Takes text, which has a newline behind each line. */
static void put_lines(struct dict *d, const char *key, char *text)
{
	const char **lines;
	size_t n = 0, size = 1;
	char *state;

	for (const char *at = text; at && *at; at++)
		size += *at == '\n';
	lines = text ? calloc(size, sizeof(*lines)) : NULL;
	if (!lines) {
		free(text);
		if (d->error >= 0)
			d->error = -ENOMEM;
		return;
	}
	for (char *line = strtok_r(text, "\n", &state); line; line = strtok_r(NULL, "\n", &state))
		lines[n++] = line;
	dict_texts(d, key, lines, n);
	free(lines);
	free(text);
}

static void put_rule(struct dict *d, const struct dg_rule *rule)
{
	dict_begin(d);
	dict_word(d, "Name", rule->name);
	dict_bytes(d, "Path", rule->path ?: "");
	dict_bool(d, "Protected", rule->exempt);
	put_lines(d, "Match", dg_match_text(&rule->match));
	put_lines(d, "Policy", dg_policy_section_text(rule));
	dict_end(d);
}

static void put_device_rule(struct dict *d, const struct dg_device_rule *rule)
{
	dict_begin(d);
	dict_word(d, "Name", rule->name);
	dict_bytes(d, "Path", rule->path ?: "");
	put_lines(d, "Match", dg_match_text(&rule->match));
	put_lines(d, "Device", dg_device_section_text(rule));
	dict_end(d);
}

void bus_put_policy(struct dict *d, struct manager *m)
{
	const struct dg_policy *policy = manager_policy(m);
	struct manager_status status;
	const struct dg_device_rule *device_rule;
	const struct dg_rule *rule;

	dict_list_begin(d, "Rules");
	for (size_t i = 0; (rule = dg_policy_rule_at(policy, i)); i++)
		put_rule(d, rule);
	dict_list_end(d);
	dict_list_begin(d, "DeviceRules");
	for (size_t i = 0; (device_rule = dg_policy_device_rule_at(policy, i)); i++)
		put_device_rule(d, device_rule);
	dict_list_end(d);
	manager_get_status(m, &status);
	dict_texts(d, "Warnings", status.policy_warnings, SIZE_MAX);
}
