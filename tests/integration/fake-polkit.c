/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A polkit that is none: org.freedesktop.PolicyKit1 on the bus ADDRESS, for a
 * test that says what it answers, and sees what it was asked.
 *
 *	fake-polkit ADDRESS yes|no|challenge|never|nonsense
 *
 * Writes to standard output: "ready", "check ACTION SENDER FLAGS ID", "cancel ID".
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-bus.h>

static int reply_as(sd_bus_message *m, const char *mode)
{
	if (strcmp(mode, "never") == 0)
		return 1;
	if (strcmp(mode, "nonsense") == 0)
		return sd_bus_reply_method_return(m, "s", "what?");
	return sd_bus_reply_method_return(m, "(bba{ss})", strcmp(mode, "yes") == 0,
					  strcmp(mode, "challenge") == 0, 0);
}

static int check(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	const char *kind, *key, *sender, *action, *id;
	uint32_t flags;
	int r;

	r = sd_bus_message_read(m, "(sa{sv})", &kind, 1, &key, "s", &sender);
	if (r >= 0)
		r = sd_bus_message_read(m, "s", &action);
	if (r >= 0)
		r = sd_bus_message_skip(m, "a{ss}");
	if (r >= 0)
		r = sd_bus_message_read(m, "us", &flags, &id);
	if (r < 0 || strcmp(kind, "system-bus-name") != 0 || strcmp(key, "name") != 0)
		abort();
	printf("check %s %s %u %s\n", action, sender, flags, id);
	return reply_as(m, userdata);
}

static int cancel(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	const char *id;

	if (sd_bus_message_read(m, "s", &id) < 0)
		abort();
	printf("cancel %s\n", id);
	return sd_bus_reply_method_return(m, NULL);
}

static const sd_bus_vtable vtable[] = {
	SD_BUS_VTABLE_START(0),
	SD_BUS_METHOD("CheckAuthorization", "(sa{sv})sa{ss}us", "(bba{ss})", check,
		      SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD("CancelCheckAuthorization", "s", NULL, cancel, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_VTABLE_END,
};

int main(int argc, char *argv[])
{
	sd_bus *bus = NULL;
	int r = argc == 3 ? sd_bus_new(&bus) : -1;

	setlinebuf(stdout);
	if (r >= 0)
		r = sd_bus_set_address(bus, argv[1]);
	if (r >= 0)
		r = sd_bus_set_bus_client(bus, true);
	if (r >= 0)
		r = sd_bus_start(bus);
	if (r >= 0)
		r = sd_bus_add_object_vtable(bus, NULL, "/org/freedesktop/PolicyKit1/Authority",
					     "org.freedesktop.PolicyKit1.Authority", vtable,
					     argv[2]);
	if (r >= 0)
		r = sd_bus_request_name(bus, "org.freedesktop.PolicyKit1", 0);
	if (r >= 0)
		puts("ready");
	while (r >= 0) {
		r = sd_bus_process(bus, NULL);
		if (r == 0)
			r = sd_bus_wait(bus, UINT64_MAX);
	}
	return EXIT_FAILURE;
}
