/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bus-call.h"

#include <errno.h>
#include <stdlib.h>

#include "bus-polkit.h"
#include "names.h"

struct call {
	struct bus_link *link;
	sd_bus_message *m; /* keeps the connection */
	call_func func;
	sd_bus_slot *stranger; /* the bus is asked who he is */
	uid_t uid;
	void (*cancel)(void *pending); /* NULL: waits for nothing */
	void *pending;
	struct call *next;
};

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
	return (struct viewer){.all = call->uid == 0, .uid = call->uid};
}

int call_may_wait(const struct call *call)
{
	size_t n_root = 0, n_users = 0, n_his = 0;

	for (const struct call *other = call->link->api->calls; other; other = other->next) {
		if (!other->cancel)
			continue;
		n_root += other->uid == 0;
		n_users += other->uid != 0;
		n_his += other->uid == call->uid;
	}
	if (call->uid == 0)
		return n_root < DG_CONTROL_CALLS_MAX ? 0 : -EBUSY;
	return n_users < DG_BUS_CALLS_MAX && n_his < DG_BUS_CALLS_USER_MAX ? 0 : -EBUSY;
}

int call_wait(struct call *call, void (*cancel)(void *pending), void *pending)
{
	call->cancel = cancel;
	call->pending = pending;
	return CALL_WAITS;
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
	if (r != CALL_WAITS)
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

	if (call->uid == 0)
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

static void on_caller(void *userdata, int r, uid_t uid)
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
	call->uid = uid;
	proceed(call);
}

/* 1: it is known. 0: it will be. */
static int find_caller(struct call *call)
{
	struct callers *callers = call->link->callers;
	size_t n_strangers = 0;

	if (!callers) {
		call->uid = 0;
		return 1;
	}
	for (const struct call *other = call->link->api->calls; other; other = other->next)
		n_strangers += other->stranger != NULL;
	if (n_strangers >= DG_BUS_STRANGERS_MAX)
		return -EBUSY;
	return callers_find(callers, sd_bus_message_get_sender(call->m), &call->uid, on_caller,
			    call, &call->stranger);
}

int call_start(struct bus_link *link, sd_bus_message *m, call_func func, sd_bus_error *error)
{
	struct call *call = calloc(1, sizeof(*call));
	int r;

	if (!call)
		return -ENOMEM;
	*call = (struct call){
		.link = link,
		.m = sd_bus_message_ref(m),
		.func = func,
		.uid = BUS_NOBODY,
		.next = link->api->calls,
	};
	link->api->calls = call;
	r = find_caller(call);
	if (r == 0)
		return 1;
	if (r == -EBUSY)
		sd_bus_error_set(error, DG_BUS_ERROR_BUSY, "too many ask at once");
	if (r > 0)
		r = func(call, error);
	if (r == CALL_WAITS)
		return 1;
	call_free(call);
	return r < 0 ? r : 1;
}
