/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A service manager's private socket, for one method: StopUnit.
 *
 * usage: fake-systemd SOCKET [silent|refuse]
 *
 * Prints the unit and the mode of each call; "ready" before the first one.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <systemd/sd-bus.h>
#include <unistd.h>

static const char *how = "";

static int on_stop(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	const char *unit, *mode;
	int r = sd_bus_message_read(m, "ss", &unit, &mode);

	if (r < 0)
		return r;
	printf("%s %s\n", unit, mode);
	fflush(stdout);
	if (strcmp(how, "silent") == 0)
		return 1;
	if (strcmp(how, "refuse") == 0)
		return sd_bus_error_setf(error, "org.freedesktop.systemd1.NoSuchUnit",
					 "Unit %s not loaded.", unit);
	return sd_bus_reply_method_return(m, "o", "/org/freedesktop/systemd1/job/1");
}

static const sd_bus_vtable vtable[] = {
	SD_BUS_VTABLE_START(0),
	SD_BUS_METHOD("StopUnit", "ss", "o", on_stop, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_VTABLE_END,
};

static void serve(int fd)
{
	sd_bus *bus;
	int r;

	r = sd_bus_new(&bus);
	if (r >= 0)
		r = sd_bus_set_fd(bus, fd, fd);
	if (r >= 0)
		r = sd_bus_set_server(bus, 1,
				      SD_ID128_MAKE(01, 02, 03, 04, 05, 06, 07, 01, 01, 02, 03, 04,
						    05, 06, 07, 01));
	if (r >= 0)
		r = sd_bus_start(bus);
	if (r >= 0)
		r = sd_bus_add_object_vtable(bus, NULL, "/org/freedesktop/systemd1",
					     "org.freedesktop.systemd1.Manager", vtable, NULL);
	while (r >= 0) {
		r = sd_bus_process(bus, NULL);
		if (r == 0)
			r = sd_bus_wait(bus, UINT64_MAX);
	}
	sd_bus_unref(bus);
}

int main(int argc, char *argv[])
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int listening;

	if (argc < 2 || strlen(argv[1]) >= sizeof(address.sun_path))
		return EXIT_FAILURE;
	if (argc > 2)
		how = argv[2];
	strcpy(address.sun_path, argv[1]);
	listening = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (listening < 0 || bind(listening, (struct sockaddr *)&address, sizeof(address)) < 0 ||
	    listen(listening, 8) < 0)
		return EXIT_FAILURE;
	puts("ready");
	fflush(stdout);
	for (;;) {
		int fd = accept4(listening, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

		if (fd < 0)
			return EXIT_FAILURE;
		serve(fd);
	}
}
