/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A program that maps a file on persistent memory, and gives it back when it is asked to.
 *
 *	cc -o cooperate cooperate.c $(pkg-config --cflags --libs libsystemd json-c)
 *	./cooperate pmem0 /mnt/pmem/file
 *
 * See docs/cooperation.md. A library's code may be copied from here: what is not about the
 * socket is only there to have something to give back.
 */
#include <errno.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <systemd/sd-bus.h>
#include <unistd.h>

#define LENGTH 4096

/* The socket, which is the registration: it lasts until that is closed. A negative errno. */
static int register_for(const char *device)
{
	sd_bus_error error = SD_BUS_ERROR_NULL;
	sd_bus_message *reply = NULL;
	sd_bus *bus = NULL;
	int r, fd = -1;

	r = sd_bus_open_system(&bus);
	if (r >= 0)
		r = sd_bus_call_method(bus, "org.daxguard1", "/org/daxguard1",
				       "org.daxguard1.Manager", "Register", &error, &reply,
				       "sa{sv}", device, 1, "Name", "s", "cooperate");
	if (r >= 0)
		r = sd_bus_message_read(reply, "ht", &fd, NULL);
	/* That one goes with the message. */
	if (r >= 0)
		fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	if (r >= 0 && fd < 0)
		r = -errno;
	if (r < 0)
		fprintf(stderr, "cannot register: %s\n",
			error.message ? error.message : strerror(-r));
	sd_bus_error_free(&error);
	sd_bus_message_unref(reply);
	sd_bus_flush_close_unref(bus);
	return r < 0 ? r : fd;
}

static char *map(const char *path)
{
	int fd = open(path, O_RDWR | O_CLOEXEC);
	void *memory = MAP_FAILED;

	if (fd >= 0)
		memory = mmap(NULL, LENGTH, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (memory == MAP_FAILED)
		fprintf(stderr, "%s: %s\n", path, strerror(errno));
	if (fd >= 0)
		close(fd);
	return memory == MAP_FAILED ? NULL : memory;
}

/* What is not known is passed over: there may be other events one day. */
static bool is_pre_remove(const char *text)
{
	json_object *message = json_tokener_parse(text), *event = NULL;
	bool is;

	json_object_object_get_ex(message, "Event", &event);
	is = event && strcmp(json_object_get_string(event), "pre-remove") == 0;
	json_object_put(message);
	return is;
}

/* Sync what matters, and map it no more. That is all that is asked for. */
static void give_back(int fd, char *memory)
{
	static const char done[] = "{\"Done\":true}";

	msync(memory, LENGTH, MS_SYNC);
	munmap(memory, LENGTH);
	/* Saves the daemon from finding out at its next look. */
	(void)!send(fd, done, sizeof(done) - 1, MSG_NOSIGNAL);
}

int main(int argc, char *argv[])
{
	char text[4096 + 1];
	char *memory;
	ssize_t n;
	int fd;

	if (argc != 3) {
		fprintf(stderr, "usage: cooperate DEVICE FILE\n");
		return 2;
	}
	/* First, so that there is no moment in which it is mapped and nobody knows. */
	fd = register_for(argv[1]);
	if (fd < 0)
		return 1;
	memory = map(argv[2]);
	if (!memory)
		return 1;
	memory[0] = 1;
	puts("ready");
	fflush(stdout);

	/* A real program has fd in its event loop. 0: the daemon has gone for good. */
	while ((n = recv(fd, text, sizeof(text) - 1, 0)) > 0) {
		text[n] = '\0';
		puts(text);
		fflush(stdout);
		if (!memory || !is_pre_remove(text))
			continue;
		give_back(fd, memory);
		memory = NULL;
	}
	close(fd);
	return 0;
}
