/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "ctl/json.h"

/* A bus that is never connected: messages need one to belong to. */
static sd_bus *make_bus(void)
{
	sd_bus *bus;
	int fd[2];

	assert_return_code(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd), errno);
	assert_return_code(sd_bus_new(&bus), 0);
	assert_return_code(sd_bus_set_fd(bus, fd[0], fd[0]), 0);
	assert_return_code(sd_bus_start(bus), 0);
	close(fd[1]);
	return bus;
}

static void check(const char *expected, const char *types, ...)
{
	sd_bus *bus = make_bus();
	sd_bus_message *m;
	json_object *value;
	va_list ap;

	assert_return_code(sd_bus_message_new_signal(bus, &m, "/a", "a.b", "C"), 0);
	va_start(ap, types);
	assert_return_code(sd_bus_message_appendv(m, types, ap), 0);
	va_end(ap);
	assert_return_code(sd_bus_message_seal(m, 1, 0), 0);

	assert_return_code(json_read(m, &value), 0);
	assert_string_equal(json_object_to_json_string_ext(
				    value, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE),
			    expected);
	json_object_put(value);
	assert_int_equal(json_read(m, &value), -ENXIO);

	sd_bus_message_unref(m);
	sd_bus_close_unref(bus);
}

static void test_read(void **state)
{
	check("true", "b", 1);
	check("18446744073709551615", "t", UINT64_MAX);
	check("4294967295", "u", UINT32_MAX);
	check("-5", "i", -5);
	check("\"pfn0.0\"", "s", "pfn0.0");
	check("[]", "as", 0);
	check("[\"a\",\"b\"]", "as", 2, "a", "b");
	check("[1,\"x\"]", "(us)", 1, "x");
	check("{}", "a{sv}", 0);
	check("{\"Id\":3,\"Path\":\"/m\",\"L\":[{\"A\":false}]}", "a{sv}", 3, "Id", "t",
	      (uint64_t)3, "Path", "ay", 2, '/', 'm', "L", "aa{sv}", 1, 1, "A", "b", 0);
}

static void test_names(void **state)
{
	check("\"/mnt\"", "ay", 4, '/', 'm', 'n', 't');
	check("\"\"", "ay", 0);
	check("[47,255]", "ay", 2, '/', 0xff); /* no UTF-8: bytes */
	check("[97,0]", "ay", 2, 'a', 0);
}

static void test_getters(void **state)
{
	json_object *o = json_tokener_parse(
		"{\"S\":\"x\",\"N\":7,\"B\":true,\"L\":[1,2],\"P\":[47,255,10]}");
	char *text;

	assert_string_equal(json_str(o, "S"), "x");
	assert_string_equal(json_str(o, "N"), "");
	assert_string_equal(json_str(o, "absent"), "");
	assert_int_equal(json_num(o, "N"), 7);
	assert_int_equal(json_num(o, "S"), 0);
	assert_true(json_flag(o, "B"));
	assert_false(json_flag(o, "absent"));
	assert_int_equal(json_count(o, "L"), 2);
	assert_int_equal(json_count(o, "S"), 0);
	assert_null(json_item(o, "S", 0));
	assert_null(json_item(o, "L", 5));
	assert_null(json_get(NULL, "S"));

	text = json_text(o, "P");
	assert_string_equal(text, "/\\xff\\n");
	free(text);
	text = json_text(o, "absent");
	assert_string_equal(text, "");
	free(text);
	json_object_put(o);
}

static void test_print(void **state)
{
	json_object *o = json_tokener_parse("[{\"Name\":\"/dev/pmem0\"}]");
	char *text = NULL;
	size_t n = 0;
	FILE *f = open_memstream(&text, &n);

	assert_int_equal(json_print(f, CTL_JSON_SHORT, "Devices", o), 0);
	fclose(f);
	assert_string_equal(text, "{\"Schema\":1,\"Devices\":[{\"Name\":\"/dev/pmem0\"}]}\n");
	free(text);
	json_object_put(o);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_read),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_getters),
		cmocka_unit_test(test_print),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
