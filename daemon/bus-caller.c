/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bus-caller.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "names.h"

/* Enough for all who ask at the same time; the oldest goes. */
#define KNOWN_MAX 32
#define UNIQUE_NAME_MAX 256

struct known {
	char name[UNIQUE_NAME_MAX];
	struct caller caller;
};

struct callers {
	sd_bus *conn;
	struct known known[KNOWN_MAX];
	size_t n_known, next;
};

/* A question under way; goes with its slot. */
struct question {
	struct callers *callers;
	char name[UNIQUE_NAME_MAX];
	caller_func func;
	void *userdata;
};

int callers_new(sd_bus *conn, struct callers **ret)
{
	struct callers *callers = calloc(1, sizeof(*callers));

	if (!callers)
		return -ENOMEM;
	callers->conn = conn;
	*ret = callers;
	return 0;
}

struct callers *callers_free(struct callers *callers)
{
	free(callers);
	return NULL;
}

static void remember(struct callers *callers, const char *name, struct caller caller)
{
	struct known *known = &callers->known[callers->next];

	snprintf(known->name, sizeof(known->name), "%s", name);
	known->caller = caller;
	callers->next = (callers->next + 1) % KNOWN_MAX;
	if (callers->n_known < KNOWN_MAX)
		callers->n_known++;
}

/* a{sv}, of which UnixUserID and ProcessID are there if the bus knows them. */
static int read_caller(sd_bus_message *m, struct caller *ret)
{
	uint32_t uid = BUS_NOBODY, pid = 0;
	const char *key;
	int r = sd_bus_message_enter_container(m, 'a', "{sv}");

	while (r >= 0 && (r = sd_bus_message_enter_container(m, 'e', "sv")) > 0) {
		r = sd_bus_message_read(m, "s", &key);
		if (r >= 0 && strcmp(key, "UnixUserID") == 0)
			r = sd_bus_message_read(m, "v", "u", &uid);
		else if (r >= 0 && strcmp(key, "ProcessID") == 0)
			r = sd_bus_message_read(m, "v", "u", &pid);
		else if (r >= 0)
			r = sd_bus_message_skip(m, "v");
		if (r >= 0)
			r = sd_bus_message_exit_container(m);
	}
	if (r >= 0)
		*ret = (struct caller){.uid = uid, .pid = (pid_t)pid};
	return r;
}

static int on_credentials(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	struct question *question = userdata;
	caller_func func = question->func;
	void *context = question->userdata;
	struct caller caller = {.uid = BUS_NOBODY};
	int r = 0;

	if (sd_bus_message_is_method_error(m, NULL))
		r = -sd_bus_message_get_errno(m);
	else
		r = read_caller(m, &caller);
	if (r >= 0)
		remember(question->callers, question->name, caller);
	func(context, r, caller); /* which drops the slot, and the question with it */
	return 1;
}

static void question_free(void *userdata)
{
	free(userdata);
}

static int ask(struct question *question, sd_bus_slot **ret)
{
	sd_bus_message *m = NULL;
	sd_bus_slot *slot = NULL;
	int r;

	r = sd_bus_message_new_method_call(question->callers->conn, &m, "org.freedesktop.DBus",
					   "/org/freedesktop/DBus", "org.freedesktop.DBus",
					   "GetConnectionCredentials");
	if (r >= 0)
		r = sd_bus_message_append(m, "s", question->name);
	if (r >= 0)
		r = sd_bus_call_async(question->callers->conn, &slot, m, on_credentials, question,
				      DG_BUS_ANSWER_MSEC * UINT64_C(1000));
	sd_bus_message_unref(m);
	if (r < 0)
		return r;
	sd_bus_slot_set_destroy_callback(slot, question_free);
	*ret = slot;
	return 0;
}

int callers_find(struct callers *callers, const char *sender, struct caller *ret, caller_func func,
		 void *userdata, sd_bus_slot **ret_slot)
{
	struct question *question;
	int r;

	if (!sender || strlen(sender) >= UNIQUE_NAME_MAX)
		return -EBADMSG;
	for (size_t i = 0; i < callers->n_known; i++) {
		if (strcmp(callers->known[i].name, sender) == 0) {
			*ret = callers->known[i].caller;
			return 1;
		}
	}
	question = calloc(1, sizeof(*question));
	if (!question)
		return -ENOMEM;
	question->callers = callers;
	question->func = func;
	question->userdata = userdata;
	snprintf(question->name, sizeof(question->name), "%s", sender);
	r = ask(question, ret_slot);
	if (r < 0)
		free(question);
	return r;
}
