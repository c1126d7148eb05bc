/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a hook is told: the same facts as environment and as JSON. */
#include <errno.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/record.h"
#include "core/utf8.h"
#include "step/hook.h"

#define ENV_PREFIX "DAXGUARD_"

enum kind {
	KIND_TEXT,   /* bytes */
	KIND_NUMBER, /* 64 bit */
	KIND_BOOL,
	KIND_LIST, /* of bytes; the environment has none of these */
};

/* Keys as daxguardctl's JSON has them, where it has them. */
static const struct {
	const char *field, *key;
	enum kind kind;
} facts[] = {
	{"EVENT", "Event", KIND_TEXT},
	{"INCIDENT", "Incident", KIND_NUMBER},
	{"DEVICE", "Device", KIND_TEXT},
	{"BUS", "Bus", KIND_TEXT},
	{"DRIVER", "Driver", KIND_TEXT},
	{"SURPRISE", "Surprise", KIND_BOOL},
	{"DEADLINE_MSEC", "DeadlineMsec", KIND_NUMBER},
	{"PID", "Pid", KIND_NUMBER},
	{"START_NSEC", "StartNsec", KIND_NUMBER},
	{"COMM", "Comm", KIND_TEXT},
	{"UID", "Uid", KIND_NUMBER},
	{"UNIT", "Unit", KIND_TEXT},
	{"RULE", "Rule", KIND_TEXT},
	{"GRACE_MSEC", "GraceMsec", KIND_NUMBER},
	{"TIMEOUT_MSEC", "TimeoutMsec", KIND_NUMBER},
	{"NAMESPACE", "Namespace", KIND_TEXT},
	{"FAILED_PAGES", "FailedPages", KIND_NUMBER},
	{"FAILURE_LIMIT", "FailureLimit", KIND_NUMBER},
	{"TARGETS", "Targets", KIND_LIST},
	{"MOUNTS", "Mounts", KIND_LIST},
};
#define N_FACTS (sizeof(facts) / sizeof(*facts))

/* What is no UTF-8 is a list of its bytes, as everywhere. */
static json_object *bytes(const char *text)
{
	json_object *list;

	if (dg_utf8_is_valid(text, strlen(text)))
		return json_object_new_string(text);
	list = json_object_new_array();
	for (; list && *text; text++)
		json_object_array_add(list, json_object_new_int((unsigned char)*text));
	return list;
}

static json_object *value_of(enum kind kind, const char *text)
{
	switch (kind) {
	case KIND_NUMBER:
		return json_object_new_uint64(strtoull(text, NULL, 10));
	case KIND_BOOL:
		return json_object_new_boolean(strcmp(text, "0") != 0);
	case KIND_TEXT:
	case KIND_LIST:
	default:
		return bytes(text);
	}
}

static json_object *list_of(const char *record, size_t n, const char *field)
{
	json_object *list = json_object_new_array();
	size_t n_field = strlen(field);

	for (const char *at = record; list && at < record + n; at += strlen(at) + 1)
		if (strncmp(at, field, n_field) == 0 && at[n_field] == '=')
			json_object_array_add(list, bytes(at + n_field + 1));
	return list;
}

static json_object *read_facts(const char *record, size_t n, char **env)
{
	json_object *object = json_object_new_object();

	for (size_t i = 0; object && i < N_FACTS; i++) {
		const char *value = dg_record_get(record, n, facts[i].field);
		json_object *read;

		if (facts[i].kind == KIND_LIST)
			read = list_of(record, n, facts[i].field);
		else if (value)
			read = value_of(facts[i].kind, value);
		else
			continue;
		json_object_object_add(object, facts[i].key, read);
		if (facts[i].kind != KIND_LIST &&
		    asprintf(env, ENV_PREFIX "%s=%s", facts[i].field, value) < 0) {
			*env = NULL;
			json_object_put(object);
			return NULL;
		}
		env += facts[i].kind != KIND_LIST;
	}
	return object;
}

static int tell(const char *record, size_t n, struct hook *hook)
{
	json_object *object;

	hook->env[0] = strdup("PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin");
	hook->env[1] = strdup("LANG=C.UTF-8");
	if (!hook->env[0] || !hook->env[1])
		return -ENOMEM;
	object = read_facts(record, n, hook->env + 2);
	if (!object)
		return -ENOMEM;
	if (asprintf(&hook->json, "%s\n",
		     json_object_to_json_string_ext(
			     object, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE)) < 0)
		hook->json = NULL;
	json_object_put(object);
	return hook->json ? 0 : -ENOMEM;
}

static int read_argv(const char *record, size_t n, struct hook *hook)
{
	size_t n_args = 0;

	for (const char *at = record; at < record + n; at += strlen(at) + 1)
		if (strncmp(at, "ARG=", 4) == 0)
			hook->argv[n_args++] = (char *)at + 4;
	return n_args > 0 && *hook->argv[0] == '/' ? 0 : -EBADMSG;
}

int hook_read(const char *what, size_t n_what, const char *record, size_t n_record,
	      struct hook *ret)
{
	struct hook hook = {
		.argv = calloc(n_what, sizeof(*hook.argv)),
		.env = calloc(N_FACTS + 3, sizeof(*hook.env)),
	};
	uint64_t timeout_ms;
	int r = hook.argv && hook.env ? 0 : -ENOMEM;

	if (r == 0)
		r = read_argv(what, n_what, &hook);
	if (r == 0)
		r = dg_record_get_u64(what, n_what, "TIMEOUT_MSEC", &timeout_ms);
	if (r == 0) {
		hook.timeout_us = timeout_ms * 1000;
		r = tell(record, n_record, &hook);
	}
	if (r < 0) {
		hook_done(&hook);
		return r;
	}
	*ret = hook;
	return 0;
}

void hook_done(struct hook *hook)
{
	for (size_t i = 0; hook->env && hook->env[i]; i++)
		free(hook->env[i]);
	free(hook->argv);
	free(hook->env);
	free(hook->json);
	*hook = (struct hook){};
}
