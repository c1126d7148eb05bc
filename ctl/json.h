/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * D-Bus values as JSON, and JSON as something to read from.
 *
 * Every verb asks the daemon, turns the answer into JSON once, and either
 * prints that (--json) or reads it to write the same for people. So the two
 * cannot differ, and what is written for people can be tested with literals.
 *
 * Dictionaries become objects with the same keys, structures and arrays
 * become arrays. A byte array is a name (of a file, of a process): a string
 * if it is valid UTF-8, else an array of numbers, one for each byte.
 */
#pragma once

#include <json-c/json.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <systemd/sd-bus.h>

#include "ctl.h"

#define JSON_SCHEMA 1 /* rises when a key changes its meaning or goes */

/* The next complete value of m. -ENXIO: there is none. */
int json_read(sd_bus_message *m, json_object **ret);

json_object *json_bytes(const void *bytes, size_t n);

/*
 * Reading. Of the wrong type, or absent, is the same as empty: a newer or older
 * daemon may say less. So is, to json_str(), what could not be printed as it is:
 * it is for the daemon's own words. Nothing returned is the caller's, except by
 * json_text().
 */
const char *json_str(json_object *object, const char *key);
uint64_t json_num(json_object *object, const char *key);
/* Of an incident, or a signal of one: its memory failed, nothing was removed. */
bool json_is_failure(json_object *object);
bool json_flag(json_object *object, const char *key);
json_object *json_get(json_object *object, const char *key);
size_t json_length(json_object *list);
json_object *json_at(json_object *list, size_t index);
size_t json_count(json_object *object, const char *key); /* of the list under key */
json_object *json_item(json_object *object, const char *key, size_t index);

/* A string or a name as it may be shown to people: escaped, the caller's to free. */
char *json_text(json_object *object, const char *key);
char *json_value_text(json_object *value);

/*
 * Print {"Schema": …, key: value} to f. 0, -ENOMEM or -EIO. Takes no reference.
 */
int json_print(FILE *f, enum ctl_json mode, const char *key, json_object *value);
