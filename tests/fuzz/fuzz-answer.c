/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What daxguardctl makes of messages, should something else listen on the socket. */
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ctl/print.h"
#include "ctl/json.h"
#include "core/utf8.h"
#include "fuzz.h"

#define TURNS_MAX 8192

static int (*const prints[])(FILE *, const struct table_style *, json_object *) = {
	print_status, print_devices, print_holders, print_incidents, print_story, print_signal,
};

static void show(json_object *value)
{
	const struct table_style style = {.width = 60, .legend = true};
	char *text = NULL;
	size_t n = 0;
	FILE *f = open_memstream(&text, &n);

	if (!f)
		abort();
	(void)json_print(f, CTL_JSON_SHORT, "Answer", value);
	for (size_t i = 0; i < sizeof(prints) / sizeof(*prints); i++)
		(void)prints[i](f, &style, value);
	fclose(f);
	for (size_t i = 0; i < n; i++)
		if ((unsigned char)text[i] < 0x20 && text[i] != '\n')
			abort();
	if (!dg_utf8_is_valid(text, n))
		abort();
	free(text);
}

static int on_message(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	json_object *value;

	while (json_read(m, &value) >= 0) {
		show(value);
		json_object_put(value);
	}
	return 1;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char welcome[] =
		"DATA\r\nOK 0123456789abcdef0123456789abcdef\r\nAGREE_UNIX_FD\r\n";
	sd_bus *conn;
	int fds[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) < 0)
		return 0;
	if (sd_bus_new(&conn) < 0 || sd_bus_set_fd(conn, fds[0], fds[0]) < 0 ||
	    sd_bus_start(conn) < 0 || sd_bus_add_filter(conn, NULL, on_message, NULL) < 0)
		abort();
	(void)!write(fds[1], welcome, sizeof(welcome) - 1);
	(void)!write(fds[1], data, size);
	shutdown(fds[1], SHUT_WR);
	for (unsigned i = 0; i < TURNS_MAX && sd_bus_process(conn, NULL) > 0; i++)
		;
	sd_bus_close_unref(conn);
	close(fds[1]);
	return 0;
}
