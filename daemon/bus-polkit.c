/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bus-polkit.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "names.h"

#define POLKIT                                                                                     \
	"org.freedesktop.PolicyKit1", "/org/freedesktop/PolicyKit1/Authority",                     \
		"org.freedesktop.PolicyKit1.Authority"
#define ALLOW_INTERACTION 1

struct polkit_query {
	sd_bus *conn;
	polkit_func func;
	void *userdata;
	char name[300];    /* by which it is cancelled: who asked, and his message's number */
	sd_bus_slot *call; /* NULL: answered */
	sd_bus_slot *gone; /* the asker leaves the bus */
};

/* Sent and forgotten: a person is no longer to be asked. */
static void send_cancel(const struct polkit_query *query)
{
	sd_bus_message *m = NULL;
	int r;

	r = sd_bus_message_new_method_call(query->conn, &m, POLKIT, "CancelCheckAuthorization");
	if (r >= 0)
		r = sd_bus_message_append(m, "s", query->name);
	if (r >= 0)
		r = sd_bus_message_set_expect_reply(m, false);
	if (r >= 0)
		(void)!sd_bus_send(query->conn, m, NULL);
	sd_bus_message_unref(m);
}

struct polkit_query *polkit_cancel(struct polkit_query *query)
{
	if (!query)
		return NULL;
	if (query->call)
		send_cancel(query);
	sd_bus_slot_unref(query->call);
	sd_bus_slot_unref(query->gone);
	sd_bus_unref(query->conn);
	free(query);
	return NULL;
}

static void answer(struct polkit_query *query, const sd_bus_error *error)
{
	polkit_func func = query->func;
	void *userdata = query->userdata;

	polkit_cancel(query);
	func(userdata, error);
}

static void deny(struct polkit_query *query, const char *name, const char *text)
{
	const sd_bus_error error = SD_BUS_ERROR_MAKE_CONST(name, text);

	answer(query, &error);
}

static bool is_absent(const sd_bus_error *error)
{
	return sd_bus_error_has_name(error, SD_BUS_ERROR_SERVICE_UNKNOWN) ||
	       sd_bus_error_has_name(error, SD_BUS_ERROR_NAME_HAS_NO_OWNER);
}

static int on_answer(sd_bus_message *m, void *userdata, sd_bus_error *ret_error)
{
	struct polkit_query *query = userdata;
	const sd_bus_error *error = sd_bus_message_get_error(m);
	int authorized = false, challenge = false, r = 0;

	/* At its deadline it is still asked there. */
	if (!sd_bus_error_has_name(error, SD_BUS_ERROR_NO_REPLY))
		query->call = sd_bus_slot_unref(query->call);

	if (!error)
		r = sd_bus_message_enter_container(m, 'r', "bba{ss}");
	if (!error && r >= 0)
		r = sd_bus_message_read(m, "bb", &authorized, &challenge);

	if (error && is_absent(error))
		deny(query, SD_BUS_ERROR_ACCESS_DENIED, "only root may: there is no polkit to ask");
	else if (error && sd_bus_error_has_name(error, SD_BUS_ERROR_NO_REPLY))
		deny(query, SD_BUS_ERROR_ACCESS_DENIED, "polkit did not answer in time");
	else if (error || r < 0)
		deny(query, SD_BUS_ERROR_ACCESS_DENIED, "polkit gave no answer");
	else if (authorized)
		answer(query, NULL);
	else if (challenge)
		deny(query, SD_BUS_ERROR_INTERACTIVE_AUTHORIZATION_REQUIRED,
		     "this takes an administrator's password");
	else
		deny(query, SD_BUS_ERROR_ACCESS_DENIED, "polkit refused it");
	return 1;
}

static int on_gone(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	deny(userdata, SD_BUS_ERROR_NAME_HAS_NO_OWNER, "who asked has gone");
	return 0;
}

/* Without it nothing is lost but that polkit asks on for somebody who has gone. */
static int on_watched(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	return 1;
}

static int watch(struct polkit_query *query, const char *sender)
{
	char match[512];
	int n = snprintf(match, sizeof(match),
			 "type='signal',sender='org.freedesktop.DBus',"
			 "path='/org/freedesktop/DBus',interface='org.freedesktop.DBus',"
			 "member='NameOwnerChanged',arg0='%s',arg2=''",
			 sender);

	if (n >= (int)sizeof(match))
		return -ENAMETOOLONG;
	return sd_bus_add_match_async(query->conn, &query->gone, match, on_gone, on_watched, query);
}

static int append_question(const struct polkit_query *query, sd_bus_message *call,
			   sd_bus_message *m, const char *action)
{
	int interactive = sd_bus_message_get_allow_interactive_authorization(m);

	return sd_bus_message_append(call, "(sa{sv})sa{ss}us", "system-bus-name", 1, "name", "s",
				     sd_bus_message_get_sender(m), action, 0,
				     interactive > 0 ? ALLOW_INTERACTION : 0, query->name);
}

static int ask(struct polkit_query *query, sd_bus_message *m, const char *action)
{
	sd_bus_message *call = NULL;
	int r;

	r = sd_bus_message_new_method_call(query->conn, &call, POLKIT, "CheckAuthorization");
	if (r >= 0)
		r = append_question(query, call, m, action);
	if (r >= 0)
		r = sd_bus_call_async(query->conn, &query->call, call, on_answer, query,
				      DG_POLKIT_MSEC * UINT64_C(1000));
	sd_bus_message_unref(call);
	return r < 0 ? r : 0;
}

int polkit_ask(sd_bus_message *m, const char *action, polkit_func func, void *userdata,
	       struct polkit_query **ret)
{
	const char *sender = sd_bus_message_get_sender(m);
	struct polkit_query *query;
	uint64_t cookie = 0;
	int r;

	if (!sender || sd_bus_message_get_cookie(m, &cookie) < 0)
		return -EBADMSG;
	query = calloc(1, sizeof(*query));
	if (!query)
		return -ENOMEM;
	query->conn = sd_bus_ref(sd_bus_message_get_bus(m));
	query->func = func;
	query->userdata = userdata;
	snprintf(query->name, sizeof(query->name), "%s/%" PRIu64, sender, cookie);
	r = watch(query, sender);
	if (r >= 0)
		r = ask(query, m, action);
	if (r < 0) {
		polkit_cancel(query);
		return r;
	}
	*ret = query;
	return 0;
}
