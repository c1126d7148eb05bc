/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bus-call.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bus-polkit.h"
#include "names.h"

struct call {
	struct bus_link *link;
	sd_bus_message *m; /* or a copy; keeps the connection */
	call_func func;
	sd_bus_slot *stranger; /* the bus is asked who he is */
	struct caller caller;
	void (*cancel)(void *pending); /* NULL: waits for nothing */
	void *pending;
	struct call *next;
};

/* How many values and characters its arguments are: -E2BIG beyond *left. */
static int measure(sd_bus_message *m, size_t *left)
{
	const char *contents;
	char type;
	int r;

	while ((r = sd_bus_message_peek_type(m, &type, &contents)) > 0) {
		union {
			uint64_t number;
			const char *text;
		} value;
		size_t n = 1;

		if (contents || type == 'v') {
			r = sd_bus_message_enter_container(m, type, contents);
			if (r >= 0)
				r = measure(m, left);
			if (r >= 0)
				r = sd_bus_message_exit_container(m);
		} else {
			r = sd_bus_message_read_basic(m, type, &value);
			if (r >= 0 && strchr("sog", type))
				n += strlen(value.text);
		}
		if (r < 0)
			return r;
		if (n > *left)
			return -E2BIG;
		*left -= n;
	}
	return r;
}

/*
 * What is needed of it to answer. Messages on the bus may have 32 MB, and some
 * of that where nobody looks (header fields that are not defined); many of
 * them, waiting, would be more memory than there is, all of it locked.
 */
static int copy_message(sd_bus *conn, sd_bus_message *m, sd_bus_message **ret)
{
	size_t left = DG_BUS_ARGUMENTS_MAX;
	sd_bus_message *copy = NULL;
	uint64_t cookie;
	int r = measure(m, &left);

	if (r >= 0)
		r = sd_bus_message_rewind(m, true);
	if (r >= 0)
		r = sd_bus_message_get_cookie(m, &cookie);
	if (r >= 0)
		r = sd_bus_message_new_method_call(conn, &copy, NULL, sd_bus_message_get_path(m),
						   sd_bus_message_get_interface(m),
						   sd_bus_message_get_member(m));
	if (r >= 0)
		r = sd_bus_message_set_sender(copy, sd_bus_message_get_sender(m));
	if (r >= 0)
		r = sd_bus_message_set_expect_reply(copy, sd_bus_message_get_expect_reply(m));
	if (r >= 0)
		r = sd_bus_message_set_allow_interactive_authorization(
			copy, sd_bus_message_get_allow_interactive_authorization(m));
	if (r >= 0)
		r = sd_bus_message_copy(copy, m, true);
	if (r >= 0)
		r = sd_bus_message_seal(copy, cookie, 0);
	if (r < 0) {
		sd_bus_message_unref(copy);
		return r;
	}
	*ret = copy;
	return 0;
}

static void call_free(struct call *call)
{
	struct call **at = &call->link->api->calls;

	while (*at != call)
		at = &(*at)->next;
	*at = call->next;
	sd_bus_slot_unref(call->stranger);
	if (call->cancel)
		call->cancel(call->pending);
	sd_bus_message_unref(call->m);
	free(call);
}

void bus_link_drop_calls(struct bus_link *link)
{
	struct call *next;

	for (struct call *call = link->api->calls; call; call = next) {
		next = call->next;
		if (call->link == link)
			call_free(call);
	}
}

int bus_refuse(sd_bus_message *m, sd_bus_error *error)
{
	/* It reads /etc/machine-id, which may lie on what is held. */
	if (sd_bus_message_is_method_call(m, "org.freedesktop.DBus.Peer", "GetMachineId") > 0)
		return sd_bus_error_set(error, SD_BUS_ERROR_NOT_SUPPORTED, "ask somebody else");
	return 0;
}

sd_bus_message *call_message(const struct call *call)
{
	return call->m;
}

struct manager *call_manager(const struct call *call)
{
	return call->link->api->manager;
}

struct viewer call_viewer(const struct call *call)
{
	return (struct viewer){.all = call->caller.uid == 0, .uid = call->caller.uid};
}

pid_t call_pid(const struct call *call)
{
	return call->caller.pid;
}

int call_may_wait(const struct call *call)
{
	size_t n_root = 0, n_users = 0, n_his = 0;

	for (const struct call *other = call->link->api->calls; other; other = other->next) {
		if (!other->cancel)
			continue;
		n_root += other->caller.uid == 0;
		n_users += other->caller.uid != 0;
		n_his += other->caller.uid == call->caller.uid;
	}
	if (call->caller.uid == 0)
		return n_root < DG_CONTROL_CALLS_MAX ? 0 : -EBUSY;
	return n_users < DG_BUS_CALLS_MAX && n_his < DG_BUS_CALLS_USER_MAX ? 0 : -EBUSY;
}

int call_wait(struct call *call, void (*cancel)(void *pending), void *pending)
{
	call->cancel = cancel;
	call->pending = pending;
	return 0;
}

void call_finish(struct call *call, int r, sd_bus_error *error)
{
	call->cancel = NULL;
	call->pending = NULL;
	if (sd_bus_error_is_set(error))
		(void)!sd_bus_reply_method_error(call->m, error);
	else if (r < 0)
		(void)!sd_bus_reply_method_errno(call->m, r, NULL);
	call_free(call);
}

/* Go on with what was waited for: it may be all, or there is more to wait for. */
static void proceed(struct call *call)
{
	sd_bus_error error = SD_BUS_ERROR_NULL;
	int r;

	call->cancel = NULL;
	call->pending = NULL;
	(void)!sd_bus_message_rewind(call->m, true);
	r = call->func(call, &error);
	if (!call->cancel)
		call_finish(call, r, &error);
	sd_bus_error_free(&error);
}

static void on_authorized(void *userdata, const sd_bus_error *refusal)
{
	struct call *call = userdata;
	sd_bus_error error = SD_BUS_ERROR_NULL;

	if (!refusal) {
		proceed(call);
		return;
	}
	(void)!sd_bus_error_copy(&error, refusal);
	call_finish(call, -EACCES, &error);
	sd_bus_error_free(&error);
}

static void cancel_polkit(void *pending)
{
	polkit_cancel(pending);
}

int call_authorize(struct call *call, const char *action, call_func func, sd_bus_error *error)
{
	struct polkit_query *query;
	int r;

	if (call->caller.uid == 0)
		return func(call, error);
	r = call_may_wait(call);
	if (r < 0)
		return sd_bus_error_set(error, DG_BUS_ERROR_BUSY, "too many ask at once");
	r = polkit_ask(call->m, action, on_authorized, call, &query);
	if (r < 0)
		return r;
	call->func = func;
	return call_wait(call, cancel_polkit, query);
}

static void on_caller(void *userdata, int r, struct caller caller)
{
	sd_bus_error error = SD_BUS_ERROR_NULL;
	struct call *call = userdata;

	call->stranger = sd_bus_slot_unref(call->stranger);
	if (r < 0) {
		sd_bus_error_set(&error, DG_BUS_ERROR_FAILED, "the bus does not say who asks");
		call_finish(call, r, &error);
		sd_bus_error_free(&error);
		return;
	}
	call->caller = caller;
	proceed(call);
}

/* 1: it is known. 0: it will be. */
static int find_caller(struct call *call)
{
	struct callers *callers = call->link->callers;
	size_t n_strangers = 0;

	if (!callers) {
		call->caller = (struct caller){.uid = 0, .pid = call->link->peer_pid};
		return 1;
	}
	for (const struct call *other = call->link->api->calls; other; other = other->next)
		n_strangers += other->stranger != NULL;
	if (n_strangers >= DG_BUS_STRANGERS_MAX)
		return -EBUSY;
	return callers_find(callers, sd_bus_message_get_sender(call->m), &call->caller, on_caller,
			    call, &call->stranger);
}

static int call_new(struct bus_link *link, sd_bus_message *m, call_func func, struct call **ret)
{
	struct call *call = calloc(1, sizeof(*call));
	int r = 0;

	if (!call)
		return -ENOMEM;
	if (link->callers)
		r = copy_message(link->conn, m, &call->m);
	else
		call->m = sd_bus_message_ref(m);
	if (r < 0) {
		free(call);
		return r;
	}
	call->link = link;
	call->func = func;
	call->caller.uid = BUS_NOBODY;
	call->next = link->api->calls;
	link->api->calls = call;
	*ret = call;
	return 0;
}

void bus_make_printable(char *text)
{
	for (; *text; text++)
		if (*text < ' ' || *text > '~')
			*text = '?';
}

int bus_read_options(sd_bus_message *m, bus_option_func func, void *userdata, sd_bus_error *error)
{
	const char *key;
	int r = sd_bus_message_enter_container(m, 'a', "{sv}");

	while (r >= 0 && (r = sd_bus_message_enter_container(m, 'e', "sv")) > 0) {
		r = sd_bus_message_read_basic(m, 's', &key);
		if (r >= 0)
			r = func(m, key, userdata, error);
		if (r >= 0)
			r = sd_bus_message_exit_container(m);
	}
	return r < 0 ? r : sd_bus_message_exit_container(m);
}

int call_start(struct bus_link *link, sd_bus_message *m, call_func func, sd_bus_error *error)
{
	struct call *call;
	int r = call_new(link, m, func, &call);

	if (r == -E2BIG)
		return sd_bus_error_set(error, SD_BUS_ERROR_LIMITS_EXCEEDED,
					"more arguments than anybody needs");
	if (r < 0)
		return r;
	r = find_caller(call);
	if (r == 0)
		return 1;
	if (r == -EBUSY)
		sd_bus_error_set(error, DG_BUS_ERROR_BUSY, "too many ask at once");
	if (r > 0)
		r = func(call, error);
	if (call->cancel)
		return 1;
	call_free(call);
	return r < 0 ? r : 1;
}
