/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* How long a method call lives: until it is answered, and no longer. */
#include "test.h"

#include <sys/socket.h>
#include <systemd/sd-bus.h>
#include <systemd/sd-id128.h>

#include "bus-call.h"

#define PATH "/test"
#define INTERFACE "org.daxguard1.Test"

static struct bus_api api;
static struct bus_link link_;
static struct call *waiting;
static sd_bus *client;

/* What sd_bus_send() says of it, 1, is what most methods return. */
static int now(struct call *call, sd_bus_error *error)
{
	return sd_bus_reply_method_return(call_message(call), NULL);
}

static int refused(struct call *call, sd_bus_error *error)
{
	return sd_bus_error_set(error, SD_BUS_ERROR_FAILED, "no");
}

static void cancel(void *pending)
{
	*(struct call **)pending = NULL;
}

static int later(struct call *call, sd_bus_error *error)
{
	waiting = call;
	return call_wait(call, cancel, &waiting);
}

#define HANDLER(func)                                                                              \
	static int method_##func(sd_bus_message *m, void *userdata, sd_bus_error *error)           \
	{                                                                                          \
		return call_start(userdata, m, func, error);                                       \
	}
HANDLER(now)
HANDLER(refused)
HANDLER(later)

static const sd_bus_vtable vtable[] = {
	SD_BUS_VTABLE_START(0),
	SD_BUS_METHOD("Now", NULL, NULL, method_now, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD("Refused", NULL, NULL, method_refused, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD("Later", NULL, NULL, method_later, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_VTABLE_END,
};

static int setup(void **state)
{
	sd_id128_t id;
	int fds[2];

	assert_return_code(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds),
			   errno);
	assert_return_code(sd_id128_randomize(&id), 0);
	link_ = (struct bus_link){.api = &api};
	assert_return_code(sd_bus_new(&link_.conn), 0);
	assert_return_code(sd_bus_set_fd(link_.conn, fds[0], fds[0]), 0);
	assert_return_code(sd_bus_set_server(link_.conn, true, id), 0);
	assert_return_code(sd_bus_set_anonymous(link_.conn, true), 0);
	assert_return_code(sd_bus_start(link_.conn), 0);
	assert_return_code(
		sd_bus_add_object_vtable(link_.conn, NULL, PATH, INTERFACE, vtable, &link_), 0);
	assert_return_code(sd_bus_new(&client), 0);
	assert_return_code(sd_bus_set_fd(client, fds[1], fds[1]), 0);
	assert_return_code(sd_bus_set_anonymous(client, true), 0);
	assert_return_code(sd_bus_start(client), 0);
	return 0;
}

static int teardown(void **state)
{
	bus_link_drop_calls(&link_);
	assert_null(api.calls);
	sd_bus_close_unref(link_.conn);
	sd_bus_close_unref(client);
	return 0;
}

static int on_answer(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	*(int *)userdata = sd_bus_message_is_method_error(m, NULL) ? -1 : 1;
	return 1;
}

/* Until there is nothing more to be done on either side. */
static void go_on(void)
{
	int r;

	do {
		r = sd_bus_process(client, NULL);
		assert_return_code(r, -r);
		if (r == 0) {
			r = sd_bus_process(link_.conn, NULL);
			assert_return_code(r, -r);
		}
	} while (r > 0);
}

static void ask(const char *method, int *answer)
{
	*answer = 0;
	assert_return_code(sd_bus_call_method_async(client, NULL, NULL, PATH, INTERFACE, method,
						    on_answer, answer, NULL),
			   0);
	go_on();
}

static void test_answered_at_once(void **state)
{
	int answer;

	ask("Now", &answer);
	assert_int_equal(answer, 1);
	assert_null(api.calls);
	ask("Refused", &answer);
	assert_int_equal(answer, -1);
	assert_null(api.calls);
}

static void test_answered_later(void **state)
{
	sd_bus_error error = SD_BUS_ERROR_NULL;
	int answer;

	ask("Later", &answer);
	assert_int_equal(answer, 0);
	assert_non_null(api.calls);
	call_finish(waiting, now(waiting, &error), &error);
	go_on();
	assert_int_equal(answer, 1);
	assert_null(api.calls);
}

static void test_dropped(void **state)
{
	int answer;

	ask("Later", &answer);
	bus_link_drop_calls(&link_);
	assert_null(waiting);
	assert_null(api.calls);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_answered_at_once, setup, teardown),
		cmocka_unit_test_setup_teardown(test_answered_later, setup, teardown),
		cmocka_unit_test_setup_teardown(test_dropped, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
