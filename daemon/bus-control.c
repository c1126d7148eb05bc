/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bus-control.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <syslog.h>
#include <systemd/sd-bus.h>
#include <systemd/sd-id128.h>
#include <unistd.h>

#include "bus-manager.h"
#include "bus-object.h"
#include "names.h"

/* After everything that a hold waits for. */
#define PRIORITY (SD_EVENT_PRIORITY_NORMAL + 10)
/* Out of descriptors, accept() fails and the socket stays readable: do not spin. */
#define ACCEPT_INTERVAL_US (1000 * 1000)
#define ACCEPT_BURST 100

struct client {
	struct bus_control *control;
	struct bus_link link;
	struct client *next;
};

struct bus_control {
	struct bus_api *api;
	struct sockaddr_un address;
	int fd;
	sd_event_source *source;
	sd_id128_t id;
	struct client *clients;
	size_t n_clients;
};

static struct client *client_free(struct client *client)
{
	struct bus_control *control = client->control;
	struct client **link = &control->clients;

	while (*link != client)
		link = &(*link)->next;
	*link = client->next;
	control->n_clients--;
	bus_link_drop_calls(&client->link);
	/* Not flushed: that would wait for who does not read. */
	sd_bus_close_unref(client->link.conn);
	free(client);
	return NULL;
}

static bool leaves_unread(struct client *client, uint64_t limit)
{
	uint64_t n;

	return sd_bus_get_n_queued_write(client->link.conn, &n) < 0 || n > limit;
}

/* Sees every message before the objects do. */
static int on_message(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	struct client *client = userdata;

	if (sd_bus_message_is_signal(m, "org.freedesktop.DBus.Local", "Disconnected") > 0 ||
	    leaves_unread(client, DG_CONTROL_REPLIES_MAX)) {
		client_free(client);
		return 1;
	}
	return bus_refuse(m, error);
}

static int client_start(struct client *client, int fd)
{
	struct bus_control *control = client->control;
	int r = sd_bus_set_fd(client->link.conn, fd, fd);

	if (r < 0) {
		close(fd);
		return r;
	}
	r = sd_bus_set_description(client->link.conn, "control");
	if (r >= 0)
		r = sd_bus_set_server(client->link.conn, true, control->id);
	if (r >= 0)
		r = sd_bus_set_anonymous(client->link.conn, true);
	if (r >= 0)
		r = sd_bus_negotiate_fds(client->link.conn, true);
	/* Flushing at exit would wait for who does not read. */
	if (r >= 0)
		r = sd_bus_set_close_on_exit(client->link.conn, false);
	if (r >= 0)
		r = sd_bus_start(client->link.conn);
	if (r >= 0)
		r = sd_bus_add_filter(client->link.conn, NULL, on_message, client);
	if (r >= 0)
		r = bus_manager_add(&client->link);
	if (r >= 0)
		r = bus_objects_add(&client->link);
	if (r >= 0)
		r = sd_bus_attach_event(client->link.conn, manager_event(control->api->manager),
					PRIORITY);
	return r;
}

/* Takes fd. */
static int client_new(struct bus_control *control, int fd, pid_t pid)
{
	struct client *client = calloc(1, sizeof(*client));
	int r = -ENOMEM;

	if (client)
		r = sd_bus_new(&client->link.conn);
	if (r < 0) {
		free(client);
		close(fd);
		return r;
	}
	client->control = control;
	client->link.api = control->api;
	client->link.peer_pid = pid;
	client->next = control->clients;
	control->clients = client;
	control->n_clients++;

	r = client_start(client, fd);
	if (r < 0)
		client_free(client);
	return r;
}

/* Root, and whom the daemon runs as where a test runs it. */
static bool may_ask(int fd, pid_t *ret_pid)
{
	socklen_t size = sizeof(struct ucred);
	struct ucred peer;

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0)
		return false;
	*ret_pid = peer.pid;
	return peer.uid == 0 || peer.uid == geteuid();
}

static int on_connect(sd_event_source *source, int listener, uint32_t revents, void *userdata)
{
	struct bus_control *control = userdata;
	int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	pid_t pid;
	int r;

	if (fd < 0)
		return 0; /* it hung up already, or there are no descriptors left */
	if (!may_ask(fd, &pid) || control->n_clients >= DG_CONTROL_CLIENTS_MAX) {
		close(fd);
		return 0;
	}
	r = client_new(control, fd, pid);
	if (r < 0)
		manager_log(control->api->manager, LOG_WARNING, "cannot serve a client: %s",
			    strerror(-r));
	return 0;
}

void bus_control_send(struct bus_control *control, bus_send_func send, const void *what)
{
	struct client *next;

	for (struct client *client = control->clients; client; client = next) {
		next = client->next;
		/* Not yet authenticated ones queue it too: they asked before it happened. */
		if (send(&client->link, what) < 0 || leaves_unread(client, DG_CONTROL_QUEUE_MAX))
			client_free(client);
	}
}

/*
 * The file of a daemon that died is in the way of bind(); one that somebody
 * listens on is not to be taken away. -EADDRINUSE.
 */
static int clear_address(const struct sockaddr_un *address)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), error = 0;

	if (fd < 0)
		return -errno;
	if (connect(fd, (const struct sockaddr *)address, sizeof(*address)) < 0)
		error = errno;
	close(fd);

	if (error == ENOENT)
		return 0;
	if (error != ECONNREFUSED) /* 0, or EAGAIN: its backlog is full */
		return error == 0 || error == EAGAIN ? -EADDRINUSE : -error;
	return unlink(address->sun_path) < 0 && errno != ENOENT ? -errno : 0;
}

static int listen_on(struct bus_control *control)
{
	const struct sockaddr *address = (const struct sockaddr *)&control->address;
	mode_t mask;
	int r = clear_address(&control->address);

	if (r < 0)
		return r;
	control->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (control->fd < 0)
		return -errno;
	mask = umask(0177); /* 0600 from its first moment on */
	r = bind(control->fd, address, sizeof(control->address)) < 0 ? -errno : 0;
	umask(mask);
	if (r >= 0 && listen(control->fd, DG_CONTROL_CLIENTS_MAX) < 0)
		r = -errno;
	if (r >= 0)
		r = sd_event_add_io(manager_event(control->api->manager), &control->source,
				    control->fd, EPOLLIN, on_connect, control);
	if (r >= 0)
		r = sd_event_source_set_priority(control->source, PRIORITY);
	if (r >= 0)
		r = sd_event_source_set_ratelimit(control->source, ACCEPT_INTERVAL_US,
						  ACCEPT_BURST);
	return r;
}

int bus_control_new(struct bus_api *api, struct bus_control **ret)
{
	struct bus_control *control = calloc(1, sizeof(*control));
	int n, r;

	if (!control)
		return -ENOMEM;
	control->api = api;
	control->fd = -1;
	control->address.sun_family = AF_UNIX;
	n = snprintf(control->address.sun_path, sizeof(control->address.sun_path), "%s/control",
		     manager_paths(api->manager)->run_dir);

	r = n >= (int)sizeof(control->address.sun_path) ? -ENAMETOOLONG : 0;
	if (r >= 0)
		r = sd_id128_randomize(&control->id);
	if (r >= 0)
		r = listen_on(control);
	if (r < 0) {
		bus_control_free(control);
		return r;
	}
	*ret = control;
	return 0;
}

struct bus_control *bus_control_free(struct bus_control *control)
{
	if (!control)
		return NULL;
	for (struct client *client = control->clients, *next; client; client = next) {
		next = client->next;
		client_free(client);
	}
	if (control->source) { /* it listened: the file is ours */
		sd_event_source_disable_unref(control->source);
		unlink(control->address.sun_path);
	}
	if (control->fd >= 0)
		close(control->fd);
	free(control);
	return NULL;
}
