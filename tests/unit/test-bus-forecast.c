/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Simulate and QueryPolicy, of a manager that is none. */
#include "bus-server.h"

#include <stdarg.h>
#include <systemd/sd-bus.h>

#include "ctl/json.h"
#include "names.h"

/* With options: "" for none, or Access=mapped as "mapped"; as a single string if one is true. */
static enum ctl_exit query(const char *device, uint32_t pid, const char *access, bool one,
			   json_object **ret)
{
	if (!*access)
		return client_ask(server_ctl(), ret, "QueryPolicy", "sua{sv}", device, pid, 0);
	if (one)
		return client_ask(server_ctl(), ret, "QueryPolicy", "sua{sv}", device, pid, 1,
				  "Access", "s", access);
	return client_ask(server_ctl(), ret, "QueryPolicy", "sua{sv}", device, pid, 1, "Access",
			  "as", 2, access, "cwd");
}

static void test_query_policy(void **state)
{
	json_object *answer, *rule;

	assert_int_equal(query("pmem0", 7, "", false, &answer), CTL_OK);
	assert_true(json_flag(answer, "Holds"));
	assert_json(json_get(answer, "Comm"), "[114,101,255,27]");
	assert_string_equal(json_str(answer, "Rule"), "built-in:mapped");
	assert_string_equal(json_str(answer, "RulePath"), "");
	assert_int_equal(json_num(answer, "GracePermille"), 1000);
	assert_json(json_get(answer, "Actions"),
		    "[{\"Action\":\"sigbus\",\"Outcome\":\"no-handler\",\"AtUsec\":0,"
		    "\"GraceMsec\":0},"
		    "{\"Action\":\"term\",\"Outcome\":\"\",\"AtUsec\":0,\"GraceMsec\":3000},"
		    "{\"Action\":\"kill\",\"Outcome\":\"\",\"AtUsec\":3000000,"
		    "\"GraceMsec\":1000}]");
	assert_string_equal(json_str(answer, "End"), "killed");
	assert_int_equal(json_count(answer, "Passed"), 1);
	rule = json_item(answer, "Passed", 0);
	assert_string_equal(json_str(rule, "Rule"), "built-in:protected");
	assert_string_equal(json_str(rule, "Verdict"), "not-protected");
	assert_string_equal(json_str(rule, "Key"), "");
	assert_int_equal(json_num(answer, "PassedMore"), 0);
	json_object_put(answer);

	assert_int_equal(query("pmem0", 8, "", false, &answer), CTL_OK);
	assert_string_equal(json_str(answer, "Rule"), "built-in:other");
	rule = json_item(answer, "Passed", 1);
	assert_string_equal(json_str(rule, "Rule"), "built-in:mapped");
	assert_string_equal(json_str(rule, "Verdict"), "differs");
	assert_string_equal(json_str(rule, "Key"), "Access");
	json_object_put(answer);
}

/* Of a process that holds nothing; its uses are imagined. */
static void test_query_nobody(void **state)
{
	static const struct {
		const char *access;
		bool one;
		const char *rule;
	} tests[] = {
		{"", false, "built-in:mapped"},      {"mapped", false, "built-in:mapped"},
		{"mapped", true, "built-in:mapped"}, {"open", false, "built-in:other"},
		{"root", true, "built-in:other"},
	};
	json_object *answer;

	for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++) {
		assert_int_equal(query("pmem0", 9, tests[i].access, tests[i].one, &answer), CTL_OK);
		assert_false(json_flag(answer, "Holds"));
		assert_string_equal(json_str(answer, "Rule"), tests[i].rule);
		assert_int_equal(json_num(answer, "Cwd"), *tests[i].access && !tests[i].one);
		json_object_put(answer);
	}
}

static void assert_refused(const char *method, const char *name, const char *message,
			   const char *types, ...)
{
	sd_bus_error error = SD_BUS_ERROR_NULL;
	sd_bus_message *m;
	sd_bus *bus;
	va_list ap;

	assert_int_equal(client_open(server_ctl(), &bus), CTL_OK);
	assert_return_code(sd_bus_message_new_method_call(bus, &m, NULL, DG_BUS_PATH,
							  DG_BUS_MANAGER_INTERFACE, method),
			   0);
	va_start(ap, types);
	assert_return_code(sd_bus_message_appendv(m, types, ap), 0);
	va_end(ap);
	assert_true(sd_bus_call(bus, m, 0, &error, NULL) < 0);
	assert_string_equal(error.name, name);
	assert_string_equal(error.message, message);
	sd_bus_error_free(&error);
	sd_bus_message_unref(m);
	sd_bus_close_unref(bus);
}

static void test_query_refused(void **state)
{
	static const char invalid[] = SD_BUS_ERROR_INVALID_ARGS, query[] = "QueryPolicy";

	assert_refused(query, DG_BUS_ERROR_NO_SUCH_DEVICE, "\"no\" is no device that is guarded",
		       "sua{sv}", "no", 7, 0);
	assert_refused(query, DG_BUS_ERROR_NO_SUCH_DEVICE, "\"259:1\" is no device that is guarded",
		       "sua{sv}", "259:1", 7, 0);
	assert_refused(query, DG_BUS_ERROR_NO_SUCH_PROCESS, "there is no process 99", "sua{sv}",
		       "pmem0", 99, 0);
	assert_refused(query, DG_BUS_ERROR_NO_SUCH_PROCESS, "there is no process 0", "sua{sv}",
		       "pmem0", 0, 0);
	assert_refused(query, DG_BUS_ERROR_NO_SUCH_PROCESS, "there is no process 4294967295",
		       "sua{sv}", "pmem0", UINT32_MAX, 0);
	assert_refused(query, invalid, "Access is mapped, open, cwd, root or exe", "sua{sv}",
		       "pmem0", 7, 1, "Access", "as", 2, "mapped", "kernel");
	assert_refused(query, invalid, "Access is of type as", "sua{sv}", "pmem0", 7, 1, "Access",
		       "u", 1);
	assert_refused(query, invalid, "there is an option that is not known", "sua{sv}", "pmem0",
		       7, 2, "Access", "as", 0, "Acess", "as", 0);
	assert_refused("Simulate", invalid, "there is an option that is not known", "sa{sv}",
		       "pmem0", 1, "Access", "s", "mapped");
	assert_refused("Simulate", DG_BUS_ERROR_NO_SUCH_DEVICE,
		       "\"no\" is no device that is guarded", "sa{sv}", "no", 0);
}

static void test_simulate(void **state)
{
	json_object *answer, *who;

	assert_int_equal(client_ask(server_ctl(), &answer, "Simulate", "sa{sv}", "/dev/pmem0", 0),
			 CTL_OK);
	assert_string_equal(json_str(answer, "Device"), "/dev/pmem0");
	assert_true(json_flag(answer, "Held"));
	assert_string_equal(json_str(answer, "Outcome"), "detached-pinned");
	assert_int_equal(json_num(answer, "HoldMsec"), 20000);
	assert_int_equal(json_num(answer, "DeadlineUsec"), 20000000);
	assert_string_equal(json_str(answer, "DeviceRule"), "built-in:device");
	assert_string_equal(json_str(answer, "OnBusy"), "detach");
	assert_json(json_get(json_item(answer, "Mounts", 0), "Path"), "[47,109,110,116,47,254]");
	assert_json(json_get(json_item(answer, "Mounts", 0), "Result"), "\"\"");
	assert_int_equal(json_count(answer, "Holders"), 2);
	who = json_item(answer, "Holders", 1);
	assert_int_equal(json_num(who, "Pid"), 8);
	assert_string_equal(json_str(who, "Rule"), "built-in:other");
	assert_string_equal(json_str(who, "End"), "left");
	assert_json(json_get(who, "Actions"), "[]");
	json_object_put(answer);
}

static enum ctl_exit simulate_removal(int force, json_object **ret)
{
	return client_ask(server_ctl(), ret, "Simulate", "sa{sv}", "pmem0", 2, "Source", "s",
			  "user", "Force", "b", force);
}

/* As daxguardctl remove --dry-run asks. */
static void test_simulate_by_user(void **state)
{
	json_object *answer;

	assert_int_equal(simulate_removal(false, &answer), CTL_OK);
	assert_string_equal(json_str(answer, "Source"), "user");
	assert_string_equal(json_str(answer, "State"), "stayed");
	assert_string_equal(json_str(answer, "Outcome"), "busy");
	assert_int_equal(json_num(answer, "DeadlineUsec"), 3600000000);
	json_object_put(answer);

	/* What the manager of these tests says of one that is forced. */
	assert_int_equal(simulate_removal(true, &answer), CTL_NOT_REMOVED);
	assert_int_equal(client_ask(server_ctl(), &answer, "Simulate", "sa{sv}", "pmem0", 1,
				    "Source", "s", "kernel"),
			 CTL_OK);
	assert_string_equal(json_str(answer, "Source"), "kernel");
	assert_string_equal(json_str(answer, "State"), "done");
	json_object_put(answer);
}

static void test_simulate_refused(void **state)
{
	static const char invalid[] = SD_BUS_ERROR_INVALID_ARGS, simulate[] = "Simulate";

	assert_refused(simulate, invalid, "Source is kernel or user", "sa{sv}", "pmem0", 1,
		       "Source", "s", "me");
	assert_refused(simulate, invalid, "Source is kernel or user", "sa{sv}", "pmem0", 1,
		       "Source", "b", 1);
	assert_refused(simulate, invalid, "Force is a boolean", "sa{sv}", "pmem0", 2, "Source", "s",
		       "user", "Force", "s", "yes");
	assert_refused(simulate, invalid, "only a removal by a user can be forced", "sa{sv}",
		       "pmem0", 1, "Force", "b", 1);
	assert_refused("QueryPolicy", invalid, "there is an option that is not known", "sua{sv}",
		       "pmem0", 7, 1, "Source", "s", "user");
	/* A disk that is not in the list has no driver that anybody could take away. */
	assert_refused(simulate, DG_BUS_ERROR_NO_SUCH_DEVICE,
		       "\"259:2\" is no device that is guarded", "sa{sv}", "259:2", 1, "Source",
		       "s", "user");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		SERVER_TEST(test_query_policy),     SERVER_TEST(test_query_nobody),
		SERVER_TEST(test_query_refused),    SERVER_TEST(test_simulate),
		SERVER_TEST(test_simulate_by_user), SERVER_TEST(test_simulate_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
