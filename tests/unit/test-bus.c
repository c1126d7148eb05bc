/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The control socket, with a manager that is none. The server runs in a child,
 * so that clients may block as real ones do.
 */
#include "test.h"

#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <systemd/sd-bus.h>
#include <unistd.h>

#include "bus.h"
#include "ctl/client.h"
#include "ctl/json.h"
#include "bus-server.h"
#include "fake-manager.h"
#include "names.h"

static json_object *ask(const char *method, const char *types, ...)
{
	json_object *value = NULL;
	va_list ap;

	va_start(ap, types);
	if (*types == 's')
		assert_int_equal(client_ask(server_ctl(), &value, method, "s", va_arg(ap, char *)),
				 CTL_OK);
	else if (*types == 't')
		assert_int_equal(
			client_ask(server_ctl(), &value, method, "t", va_arg(ap, uint64_t)),
			CTL_OK);
	else
		assert_int_equal(client_ask(server_ctl(), &value, method, ""), CTL_OK);
	va_end(ap);
	return value;
}

static void test_mode(void **state)
{
	struct stat st;

	assert_return_code(stat(server_path, &st), errno);
	assert_int_equal(st.st_mode & 07777, 0600);
}

static void test_status(void **state)
{
	json_object *status = ask("GetStatus", "");

	assert_string_equal(json_str(status, "Version"), DAXGUARD_VERSION);
	assert_false(json_flag(status, "ModuleLoaded"));
	assert_true(json_flag(status, "ConfigBuiltin"));
	assert_int_equal(json_num(status, "KeptIncidents"), 2);
	assert_json(json_get(status, "ConfigErrors"), "[\"/etc/x:1:2: no\"]");
	assert_json(json_get(status, "ConfigFiles"), "[]");
	assert_json(json_get(status, "Protected"),
		    "[{\"Pid\":1,\"Name\":\"systemd\",\"Why\":\"init\"}]");
	assert_json(json_get(status, "Pinned"), "[{\"Incident\":4,\"Device\":\"pmem0\",\"Pid\":7,"
						"\"Comm\":[97,255],\"Path\":\"\"}]");
	json_object_put(status);
}

static void test_devices(void **state)
{
	json_object *devices = ask("ListDevices", ""), *first = json_at(devices, 0);

	assert_int_equal(json_length(devices), 1);
	assert_string_equal(json_str(first, "Name"), "pmem0");
	assert_string_equal(json_str(first, "DevNum"), "259:0");
	assert_int_equal(json_num(first, "Incident"), 4);
	assert_json(json_get(first, "Mounts"),
		    "[{\"Path\":[47,109,110,116,47,254],\"Type\":\"ext4\",\"DevNum\":\"259:0\"}]");
	json_object_put(devices);
}

static void test_incidents(void **state)
{
	json_object *list = ask("ListIncidents", ""), *story = ask("GetIncident", "t", UINT64_C(4));
	json_object *none, *who = json_item(story, "Holders", 0);

	assert_int_equal(json_length(list), 2);
	assert_int_equal(json_num(json_at(list, 0), "Id"), 3);
	assert_string_equal(json_str(json_at(list, 0), "State"), "done");
	assert_string_equal(json_str(story, "State"), "acting");
	assert_json(json_get(who, "Comm"), "[114,101,255]");
	assert_json(json_get(who, "Actions"),
		    "[{\"Action\":\"term\",\"Outcome\":\"sent\",\"AtUsec\":500,\"GraceMsec\":0}]");
	assert_string_equal(json_str(who, "Rule"), "1.policy");
	assert_json(json_get(who, "RulePath"),
		    "[47,101,116,99,47,254,47,49,46,112,111,108,105,99,121]");
	assert_int_equal(json_num(who, "RuleLine"), 5);
	json_object_put(list);
	json_object_put(story);
	assert_int_equal(client_ask(server_ctl(), &none, "GetIncident", "t", UINT64_C(99)),
			 CTL_NOT_FOUND);
}

static void test_holders(void **state)
{
	static const char *const names[] = {"pmem0",        "/dev/pmem0", "pfn0.0",
					    "namespace0.0", "abcd-ef",    "259:0"};
	static const char *const wrong[] = {"", "pmem", "259", "259:0x", "259:1", "/dev/", "1:2:3"};
	json_object *answer, *mapping;

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		answer = ask("ListHolders", "s", names[i]);
		mapping = json_item(json_item(answer, "Holders", 0), "Mappings", 0);
		assert_string_equal(json_str(answer, "Device"), names[i]);
		assert_true(json_flag(answer, "Truncated"));
		assert_int_equal(json_num(mapping, "Length"), 8192);
		assert_json(json_get(mapping, "Flags"), "[\"write\"]");
		assert_json(json_get(json_item(answer, "FileSystems", 0), "Flags"),
			    "[\"live\",\"dax\"]");
		json_object_put(answer);
	}
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		assert_int_equal(client_ask(server_ctl(), &answer, "ListHolders", "s", wrong[i]),
				 CTL_NOT_FOUND);
	assert_int_equal(client_ask(server_ctl(), &answer, "NoSuchMethod", ""), CTL_FAILURE);
}

static json_object *failures(const char *device, int history)
{
	json_object *value = NULL;

	assert_int_equal(client_ask(server_ctl(), &value, "ListFailures", "a{sv}", 2, "Device", "s",
				    device, "History", "b", history),
			 CTL_OK);
	return value;
}

static void test_failures(void **state)
{
	static const char *const names[] = {"pmem0", "namespace0.0", "ABCD-ef", "259:0"};
	json_object *list, *first;

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		list = failures(names[i], true);
		assert_int_equal(json_length(list), 1);
		json_object_put(list);
	}
	assert_int_equal(client_ask(server_ctl(), &list, "ListFailures", "a{sv}", 0), CTL_OK);
	first = json_at(list, 0);
	assert_int_equal(json_length(list), 1);
	assert_json(first, "{\"Namespace\":\"abcd-ef\",\"Device\":\"pmem0\",\"Offset\":1048576,"
			   "\"Length\":4096,\"Sources\":[\"memory-failure\"],\"Type\":\"dax page\","
			   "\"Result\":\"Recovered\",\"Content\":\"file\",\"FirstSeenUsec\":2,"
			   "\"LastSeenUsec\":3,\"Times\":2,\"Told\":1,\"State\":\"active\","
			   "\"RepairedUsec\":0,\"Coarse\":false,\"Written\":false,"
			   "\"Path\":[47,109,110,116,47,254],\"FileDevNum\":\"259:0\",\"Inode\":12,"
			   "\"FileOffset\":8192}");
	json_object_put(list);
	/* A device that is not there any more, by its name in the ledger. */
	list = failures("PMEM7", true);
	assert_string_equal(json_str(json_at(list, 0), "State"), "repaired");
	assert_string_equal(json_str(json_at(list, 0), "Device"), "");
	json_object_put(list);
	list = failures("pmem7", false);
	assert_int_equal(json_length(list), 0);
	json_object_put(list);
	assert_int_equal(
		client_ask(server_ctl(), &list, "ListFailures", "a{sv}", 1, "Device", "s", "pmem8"),
		CTL_NOT_FOUND);
	assert_int_equal(
		client_ask(server_ctl(), &list, "ListFailures", "a{sv}", 1, "Skip", "u", 1),
		CTL_OK);
	assert_int_equal(json_length(list), 0);
	json_object_put(list);
	assert_int_equal(
		client_ask(server_ctl(), &list, "ListFailures", "a{sv}", 1, "Depth", "u", 1),
		CTL_FAILURE);
	assert_int_equal(
		client_ask(server_ctl(), &list, "ListFailures", "a{sv}", 1, "Skip", "s", "1"),
		CTL_FAILURE);
}

/* What a refused file has in it need not be fit for a D-Bus string. */
static void test_reload(void **state)
{
	sd_bus_error error = SD_BUS_ERROR_NULL;
	sd_bus *bus;

	assert_int_equal(client_open(server_ctl(), &bus), CTL_OK);
	assert_true(sd_bus_call_method(bus, NULL, DG_BUS_PATH, DG_BUS_MANAGER_INTERFACE, "Reload",
				       &error, NULL, "") < 0);
	assert_string_equal(error.name, DG_BUS_ERROR_CONFIG);
	assert_string_equal(error.message, "/etc/x:1:2: ?\n/etc/y: no");
	sd_bus_error_free(&error);
	sd_bus_close_unref(bus);
}

/* The answer bears a descriptor, and it is the peer that registers. */
static void test_register(void **state)
{
	sd_bus_error error = SD_BUS_ERROR_NULL;
	sd_bus_message *m;
	char said[8] = "";
	uint64_t id;
	sd_bus *bus;
	int fd;

	assert_int_equal(client_open(server_ctl(), &bus), CTL_OK);
	assert_return_code(sd_bus_call_method(bus, NULL, DG_BUS_PATH, DG_BUS_MANAGER_INTERFACE,
					      "Register", NULL, &m, "sa{sv}", "pmem0", 1, "Name",
					      "s", "db"),
			   0);
	assert_return_code(sd_bus_message_read(m, "ht", &fd, &id), 0);
	assert_int_equal(id, 5);
	assert_int_equal(recv(fd, said, sizeof(said), 0), 2);
	assert_string_equal(said, "db");
	assert_int_equal(recv(fd, said, sizeof(said), 0), 0); /* nobody else has kept our end */
	sd_bus_message_unref(m);
	assert_true(sd_bus_call_method(bus, NULL, DG_BUS_PATH, DG_BUS_MANAGER_INTERFACE, "Register",
				       &error, NULL, "sa{sv}", "pmem0", 1, "Name", "s",
				       "many") < 0);
	assert_string_equal(error.name, DG_BUS_ERROR_LIMIT_EXCEEDED);
	sd_bus_error_free(&error);
	assert_true(sd_bus_call_method(bus, NULL, DG_BUS_PATH, DG_BUS_MANAGER_INTERFACE, "Register",
				       &error, NULL, "sa{sv}", "pmem9", 0) < 0);
	assert_string_equal(error.name, DG_BUS_ERROR_NO_SUCH_DEVICE);
	sd_bus_error_free(&error);
	assert_true(sd_bus_call_method(bus, NULL, DG_BUS_PATH, DG_BUS_MANAGER_INTERFACE, "Register",
				       &error, NULL, "sa{sv}", "pmem0", 1, "Nam", "s", "db") < 0);
	assert_string_equal(error.name, SD_BUS_ERROR_INVALID_ARGS);
	sd_bus_error_free(&error);
	sd_bus_close_unref(bus);
}

static void test_registrations(void **state)
{
	json_object *list;

	assert_int_equal(client_ask(server_ctl(), &list, "ListRegistrations", "a{sv}", 0), CTL_OK);
	assert_json(list, "[{\"Id\":5,\"Device\":\"pmem0\",\"Name\":\"db\",\"Pid\":7,"
			  "\"StartNsec\":1,\"Uid\":1000,\"SinceUsec\":2,\"Kept\":true,"
			  "\"Incident\":4,\"State\":\"told\"}]");
	json_object_put(list);
}

/* A property is the entry of that name in the dictionary, and nothing else of it. */
static void test_properties(void **state)
{
	static const char object[] = DG_BUS_DEVICE_PATH "/pmem0",
			  interface[] = DG_BUS_DEVICE_INTERFACE;
	sd_bus_error error = SD_BUS_ERROR_NULL;
	sd_bus_message *m;
	json_object *value;
	uint64_t size;
	sd_bus *bus;

	assert_int_equal(client_open(server_ctl(), &bus), CTL_OK);
	assert_return_code(
		sd_bus_get_property_trivial(bus, NULL, object, interface, "Size", NULL, 't', &size),
		0);
	assert_int_equal(size, 1 << 20);
	assert_return_code(
		sd_bus_get_property(bus, NULL, object, interface, "Mounts", NULL, &m, "aa{sv}"), 0);
	assert_int_equal(json_read(m, &value), 0);
	assert_json(value,
		    "[{\"Path\":[47,109,110,116,47,254],\"Type\":\"ext4\",\"DevNum\":\"259:0\"}]");
	json_object_put(value);
	sd_bus_message_unref(m);
	assert_true(sd_bus_get_property_trivial(bus, NULL, DG_BUS_DEVICE_PATH "/pmem1", interface,
						"Size", &error, 't', &size) < 0);
	assert_string_equal(error.name, SD_BUS_ERROR_UNKNOWN_OBJECT);
	sd_bus_error_free(&error);
	sd_bus_close_unref(bus);
}

static char seen[512];
static int on_signal(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	json_object *id, *details;

	assert_int_equal(json_read(m, &id), 0);
	assert_int_equal(json_read(m, &details), 0);
	snprintf(seen + strlen(seen), sizeof(seen) - strlen(seen), "%s %s %s%s%s\n",
		 sd_bus_message_get_member(m), json_object_get_string(id),
		 json_str(details, "OldState"), json_str(details, "Action"),
		 json_str(details, "Outcome"));
	json_object_put(id);
	json_object_put(details);
	return 0;
}

static void test_signals(void **state)
{
	json_object *answer;
	sd_bus *bus;
	int r;

	assert_int_equal(client_open(server_ctl(), &bus), CTL_OK);
	assert_return_code(sd_bus_match_signal(bus, NULL, NULL, DG_BUS_PATH,
					       DG_BUS_MANAGER_INTERFACE, NULL, on_signal, NULL),
			   0);
	assert_int_equal(client_call(bus, &answer, "GetStatus", ""), CTL_OK);
	json_object_put(answer);

	json_object_put(ask("ListHolders", "s", "pmem0")); /* by another client */
	do {
		r = sd_bus_process(bus, NULL);
		assert_return_code(r, -r);
		if (r == 0 && sd_bus_wait(bus, 5000000) <= 0)
			break;
	} while (!strstr(seen, "IncidentEnded"));
	assert_string_equal(seen, "IncidentBegan 4 \n"
				  "StateChanged 4 scanning\n"
				  "HolderActed 4 termsent\n"
				  "IncidentEnded 3 unmounted\n");
	sd_bus_close_unref(bus);
}

/* Who asks and does not read is hung up on, and nobody else notices. */
static void test_slow_client(void **state)
{
	sd_bus_message *call;
	uint64_t cookie;
	sd_bus *bus;
	int r = 0;

	assert_int_equal(client_open(server_ctl(), &bus), CTL_OK);
	for (int i = 0; i < 100000 && r >= 0; i++) {
		r = sd_bus_message_new_method_call(bus, &call, NULL, DG_BUS_PATH,
						   DG_BUS_MANAGER_INTERFACE, "ListIncidents");
		if (r >= 0)
			r = sd_bus_send(bus, call, &cookie); /* asks for a reply */
		if (r >= 0)
			r = sd_bus_flush(bus);
		sd_bus_message_unref(call);
	}
	assert_true(r == -ECONNRESET || r == -EPIPE || r == -ENOTCONN);
	json_object_put(ask("GetStatus", ""));
	sd_bus_close_unref(bus);
}

/* A caller that goes while its answer is on the way takes nothing with it. */
static void test_gone_caller(void **state)
{
	static const char *const devices[] = {"259:2", "259:0"};

	for (size_t i = 0; i < 2 * DG_CONTROL_CALLS_MAX; i++) {
		sd_bus_message *call;
		json_object *answer;
		uint64_t cookie;
		sd_bus *bus;

		assert_int_equal(client_open(server_ctl(), &bus), CTL_OK);
		assert_return_code(sd_bus_message_new_method_call(bus, &call, NULL, DG_BUS_PATH,
								  DG_BUS_MANAGER_INTERFACE,
								  "ListHolders"),
				   0);
		assert_return_code(sd_bus_message_append(call, "s", devices[i % 2]), 0);
		assert_return_code(sd_bus_send(bus, call, &cookie), 0);
		sd_bus_message_unref(call);
		/* so that it has been read before we go */
		assert_int_equal(client_call(bus, &answer, "GetStatus", ""), CTL_OK);
		json_object_put(answer);
		sd_bus_close_unref(bus);
	}
	json_object_put(ask("ListHolders", "s", "pmem0"));
}

static void test_too_many(void **state)
{
	sd_bus *buses[DG_CONTROL_CLIENTS_MAX];
	json_object *answer;

	for (size_t i = 0; i < DG_CONTROL_CLIENTS_MAX; i++) {
		assert_int_equal(client_open(server_ctl(), &buses[i]), CTL_OK);
		assert_int_equal(client_call(buses[i], &answer, "GetStatus", ""), CTL_OK);
		json_object_put(answer);
	}
	assert_int_not_equal(client_ask(server_ctl(), &answer, "GetStatus", ""), CTL_OK);
	for (size_t i = 0; i < DG_CONTROL_CLIENTS_MAX; i++)
		sd_bus_close_unref(buses[i]);
}

/* Somebody who says nothing, or nonsense, or leaves at once. */
static void test_rude_clients(void **state)
{
#define WORDS(literal)                                                                             \
	{                                                                                          \
		literal, sizeof(literal) - 1                                                       \
	}
	static const struct {
		const char *text;
		size_t n;
	} words[] = {
		WORDS(""),
		WORDS("\0"),
		WORDS("GET / HTTP/1.0\r\n\r\n"),
		WORDS("\0AUTH ANONYMOUS\r\nBEGIN\r\nnonsense nonsense nonsense"),
	};

	for (size_t i = 0; i < 4 * DG_CONTROL_CLIENTS_MAX; i++) {
		int fd = server_connect();

		assert_true(fd >= 0);
		send(fd, words[i % 4].text, words[i % 4].n, MSG_NOSIGNAL);
		close(fd);
	}
	for (int i = 0; i < 500; i++) { /* until the server has seen them all go */
		json_object *answer;

		if (client_ask(server_ctl(), &answer, "GetStatus", "") == CTL_OK) {
			json_object_put(answer);
			return;
		}
		usleep(10000);
	}
	fail();
}

static void test_second(void **state)
{
	struct manager m = {.paths = {.run_dir = server_dir}};
	struct bus *bus = NULL;

	assert_return_code(sd_event_new(&m.event), 0);
	assert_int_equal(bus_new(&m, &bus), -EADDRINUSE);
	assert_null(bus);
	sd_event_unref(m.event);
	json_object_put(ask("GetStatus", "")); /* the first one is still there */
}

/* What a daemon that died left behind is replaced. */
static void test_stale_socket(void **state)
{
	int status;

	kill(server, SIGKILL);
	assert_int_equal(waitpid(server, &status, 0), server);
	assert_return_code(access(server_path, F_OK), errno);
	server_start();
	json_object_put(ask("GetStatus", ""));
}

static void test_not_running(void **state)
{
	struct ctl nobody = {.socket = "/nonexistent/socket"};
	json_object *answer;

	assert_int_equal(client_ask(&nobody, &answer, "GetStatus", ""), CTL_NOT_RUNNING);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		SERVER_TEST(test_mode),          SERVER_TEST(test_status),
		SERVER_TEST(test_devices),       SERVER_TEST(test_incidents),
		SERVER_TEST(test_holders),       SERVER_TEST(test_failures),
		SERVER_TEST(test_reload),        SERVER_TEST(test_register),
		SERVER_TEST(test_registrations), SERVER_TEST(test_properties),
		SERVER_TEST(test_signals),       SERVER_TEST(test_slow_client),
		SERVER_TEST(test_gone_caller),   SERVER_TEST(test_too_many),
		SERVER_TEST(test_rude_clients),  SERVER_TEST(test_second),
		SERVER_TEST(test_stale_socket),  cmocka_unit_test(test_not_running),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
