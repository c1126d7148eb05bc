/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "print.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "client.h"
#include "json.h"
#include "text.h"

enum { TITLE_WIDTH = 12 };

enum table_colour print_colour(const char *outcome)
{
	static const char *const good[] = {"acked", "clean",        "ok",
					   "done",  "unmapped",     "exited",
					   "told",  "checkpointed", "checkpointed-with"};
	static const char *const bad[] = {
		"timeout",      "no-daemon",     "failed",         "busy",
		"revoke-busy",  "pinned",        "expired",        "abandoned",
		"pages-pinned", "still-mapped",  "locked",         "survived",
		"unfinished",   "sync-failed",   "mounts-unknown", "protected-unknown",
		"hook-failed",  "hook-timeout",  "stop-failed",    "stop-timeout",
		"stayed",       "unbind-failed", "lost",           "system-device",
		"no-driver",    "untold"};

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		if (strcmp(outcome, good[i]) == 0)
			return TABLE_GOOD;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (strcmp(outcome, bad[i]) == 0)
			return TABLE_BAD;
	return TABLE_PLAIN;
}

enum ctl_exit print_answer(const struct ctl *ctl, const char *key, json_object *value,
			   int (*print)(FILE *f, const struct table_style *style,
					json_object *value))
{
	int r;

	if (ctl->json == CTL_JSON_OFF)
		r = print(stdout, &ctl->style, value);
	else
		r = json_print(stdout, ctl->json, key, value);
	json_object_put(value);

	/* What stdout could not take is reported where it is flushed. */
	if (r < 0 && r != -EIO)
		return client_fail(CTL_FAILURE, "%s", strerror(-r));
	return CTL_OK;
}

int print_line(FILE *f, const struct table_style *style, const char *title,
	       enum table_colour colour, char *text)
{
	if (!text)
		return -ENOMEM;
	fprintf(f, "%*s%-*s %s%s%s\n", (int)style->indent, "", TITLE_WIDTH, title,
		table_colour_on(colour, style->colour), text,
		table_colour_off(colour, style->colour));
	free(text);
	return 0;
}

char *print_uses(json_object *holder)
{
	static const struct {
		const char *key, *name;
	} uses[] = {{"Open", "open"},
		    {"Cwd", "cwd"},
		    {"Root", "root"},
		    {"Exe", "exe"},
		    {"Kernel", "by the kernel"}};
	char *all = strdup("");

	if (json_num(holder, "Mapped") > 0)
		all = text_append(all, ", ",
				  text_append(text_size(json_num(holder, "MappedBytes")), " ",
					      strdup("mapped")));
	for (size_t i = 0; i < sizeof(uses) / sizeof(uses[0]); i++) {
		uint64_t n = json_num(holder, uses[i].key);

		if (n == 1)
			all = text_append(all, ", ", strdup(uses[i].name));
		else if (n > 1)
			all = text_append(all, ", ",
					  text_format("%" PRIu64 " %s", n, uses[i].name));
	}
	if (json_num(holder, "SharedWith") > 0)
		all = text_append(all, ", ",
				  text_format("its memory is that of %" PRIu64,
					      json_num(holder, "SharedWith")));
	return all;
}

char *print_rule_text(json_object *object, const char *name, const char *path, const char *line)
{
	char *text = json_text(object, path);

	if (text && !*text) {
		free(text);
		return json_text(object, name);
	}
	return text_append(text, ":", text_format("%" PRIu64, json_num(object, line)));
}

char *print_words(json_object *object, const char *key)
{
	char *all = strdup("");

	for (size_t i = 0; i < json_count(object, key); i++)
		all = text_append(all, " ", json_value_text(json_item(object, key, i)));
	return all;
}
