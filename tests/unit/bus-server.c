/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bus-server.h"

#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bus.h"
#include "fake-manager.h"

char server_dir[] = "/tmp/test-bus-XXXXXX";
char server_path[sizeof(server_dir) + sizeof("/control")];
pid_t server;

static int serve(void)
{
	struct manager m = {.paths = {.run_dir = server_dir}};
	struct bus *bus;
	sigset_t mask;
	int r;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	sigemptyset(&mask);
	sigaddset(&mask, SIGTERM);
	sigprocmask(SIG_BLOCK, &mask, NULL);
	r = sd_event_new(&m.event);
	if (r >= 0)
		r = sd_event_add_signal(m.event, NULL, SIGTERM, NULL, NULL);
	if (r >= 0)
		r = bus_new(&m, &bus);
	if (r < 0)
		return -r;
	r = sd_event_loop(m.event);
	bus_free(bus);
	sd_event_unref(m.event);
	return r < 0 ? -r : 0;
}

int server_connect(void)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_return_code(fd, errno);
	memcpy(address.sun_path, server_path, strlen(server_path) + 1);
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) >= 0)
		return fd;
	close(fd);
	return -1;
}

void server_start(void)
{
	int fd;

	fflush(NULL);
	server = fork();
	if (server == 0)
		_exit(serve());
	for (int i = 0; (fd = server_connect()) < 0; i++) {
		assert_int_not_equal(i, 3000);
		usleep(10000);
	}
	close(fd);
}

int server_setup(void **state)
{
	strcpy(server_dir + strlen(server_dir) - 6, "XXXXXX");
	assert_non_null(mkdtemp(server_dir));
	snprintf(server_path, sizeof(server_path), "%s/control", server_dir);
	server_start();
	return 0;
}

int server_teardown(void **state)
{
	int status;

	kill(server, SIGTERM);
	assert_int_equal(waitpid(server, &status, 0), server);
	assert_int_equal(status, 0);
	assert_int_equal(access(server_path, F_OK), -1); /* it cleaned up */
	assert_return_code(rmdir(server_dir), errno);
	return 0;
}

const struct ctl *server_ctl(void)
{
	static struct ctl c;

	c.socket = server_path;
	return &c;
}

void assert_json(json_object *value, const char *expected)
{
	assert_string_equal(json_object_to_json_string_ext(
				    value, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE),
			    expected);
}
