/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What each verb writes for people, from the JSON that --json would print.
 * 0 or a negative errno; whether f took it all is seen when it is flushed.
 */
#pragma once

#include <json-c/json.h>
#include <stdio.h>

#include "ctl.h"

int print_status(FILE *f, const struct table_style *style, json_object *status);
int print_devices(FILE *f, const struct table_style *style, json_object *devices);
int print_holders(FILE *f, const struct table_style *style, json_object *answer);
int print_simulation(FILE *f, const struct table_style *style, json_object *simulation);
int print_process(FILE *f, const struct table_style *style, json_object *process);
int print_incidents(FILE *f, const struct table_style *style, json_object *incidents);
int print_story(FILE *f, const struct table_style *style, json_object *incident);
int print_failures(FILE *f, const struct table_style *style, json_object *failures);
int print_failures_each(FILE *f, const struct table_style *style, json_object *failures);
int print_checkpoints(FILE *f, const struct table_style *style, json_object *checkpoints);
int print_checkpoints_each(FILE *f, const struct table_style *style, json_object *checkpoints);
int print_removed(FILE *f, const struct table_style *style, json_object *ids);
int print_restored(FILE *f, const struct table_style *style, json_object *restored);
int print_policy(FILE *f, const struct table_style *style, json_object *policy);
int print_check(FILE *f, const struct table_style *style, json_object *check);
int print_signal(FILE *f, const struct table_style *style, json_object *signal);

/* The colour of an outcome: of a hold, a revoke, a step, an action. */
enum table_colour print_colour(const char *outcome);

/* "16.0 MiB mapped, 2 open, cwd": a holder's uses; the caller's to free. */
char *print_uses(json_object *holder);

/*
 * "/etc/daxguard/policy.d/1.policy:5", of these keys; of a built-in rule its name. The
 * caller's to free.
 */
char *print_rule_text(json_object *object, const char *name, const char *path, const char *line);

/* A list of words in one: "shared write". */
char *print_words(json_object *object, const char *key);

/* One of the above, or JSON under key, to stdout; frees value. */
enum ctl_exit print_answer(const struct ctl *ctl, const char *key, json_object *value,
			   int (*print)(FILE *f, const struct table_style *style,
					json_object *value));

/* A titled line: "  Result   acked". Takes text and frees it; NULL is -ENOMEM. */
int print_line(FILE *f, const struct table_style *style, const char *title,
	       enum table_colour colour, char *text);
/* How a memory failure has ended, and what was done about it. -ENOMEM. */
int print_failed(FILE *f, const struct table_style *style, json_object *incident);
