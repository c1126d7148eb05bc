/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bus.h"

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
#include "names.h"

/* After everything that a hold waits for. */
#define PRIORITY (SD_EVENT_PRIORITY_NORMAL + 10)
/* Out of descriptors, accept() fails and the socket stays readable: do not spin. */
#define ACCEPT_INTERVAL_US (1000 * 1000)
#define ACCEPT_BURST 100

struct client {
	struct bus *bus;
	sd_bus *conn;
	struct client *next;
};

struct bus {
	struct manager *manager;
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
	struct bus *bus = client->bus;
	struct client **link = &bus->clients;

	while (*link != client)
		link = &(*link)->next;
	*link = client->next;
	bus->n_clients--;
	bus_api_forget(bus->api, client->conn);
	/* Not flushed: that would wait for who does not read. */
	sd_bus_close_unref(client->conn);
	free(client);
	return NULL;
}

static bool leaves_unread(struct client *client, uint64_t limit)
{
	uint64_t n;

	return sd_bus_get_n_queued_write(client->conn, &n) < 0 || n > limit;
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
	return 0;
}

static int client_start(struct client *client, int fd)
{
	struct bus *bus = client->bus;
	int r = sd_bus_set_fd(client->conn, fd, fd);

	if (r < 0) {
		close(fd);
		return r;
	}
	r = sd_bus_set_description(client->conn, "control");
	if (r >= 0)
		r = sd_bus_set_server(client->conn, true, bus->id);
	if (r >= 0)
		r = sd_bus_set_anonymous(client->conn, true);
	if (r >= 0)
		r = sd_bus_negotiate_fds(client->conn, false);
	/* Flushing at exit would wait for who does not read. */
	if (r >= 0)
		r = sd_bus_set_close_on_exit(client->conn, false);
	if (r >= 0)
		r = sd_bus_start(client->conn);
	if (r >= 0)
		r = sd_bus_add_filter(client->conn, NULL, on_message, client);
	if (r >= 0)
		r = bus_api_add(bus->api, client->conn);
	if (r >= 0)
		r = sd_bus_attach_event(client->conn, manager_event(bus->manager), PRIORITY);
	return r;
}

/* Takes fd. */
static int client_new(struct bus *bus, int fd)
{
	struct client *client = calloc(1, sizeof(*client));
	int r = -ENOMEM;

	if (client)
		r = sd_bus_new(&client->conn);
	if (r < 0) {
		free(client);
		close(fd);
		return r;
	}
	client->bus = bus;
	client->next = bus->clients;
	bus->clients = client;
	bus->n_clients++;

	r = client_start(client, fd);
	if (r < 0)
		client_free(client);
	return r;
}

/* Root, and whom the daemon runs as where a test runs it. */
static bool may_ask(int fd)
{
	socklen_t size = sizeof(struct ucred);
	struct ucred peer;

	return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 &&
	       (peer.uid == 0 || peer.uid == geteuid());
}

static int on_connect(sd_event_source *source, int listener, uint32_t revents, void *userdata)
{
	struct bus *bus = userdata;
	int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	int r;

	if (fd < 0)
		return 0; /* it hung up already, or there are no descriptors left */
	if (!may_ask(fd) || bus->n_clients >= DG_CONTROL_CLIENTS_MAX) {
		close(fd);
		return 0;
	}
	r = client_new(bus, fd);
	if (r < 0)
		manager_log(bus->manager, LOG_WARNING, "cannot serve a client: %s", strerror(-r));
	return 0;
}

/* Send to each client; who is behind is let go. */
static void broadcast(struct bus *bus, int (*send)(sd_bus *conn, const void *what),
		      const void *what)
{
	struct client *next;

	for (struct client *client = bus->clients; client; client = next) {
		next = client->next;
		/* Not yet authenticated ones queue it too: they asked before it happened. */
		if (send(client->conn, what) < 0 || leaves_unread(client, DG_CONTROL_QUEUE_MAX))
			client_free(client);
	}
}

struct news {
	const struct dg_story *story;
	const struct dg_story_holder *holder;
	const struct dg_story_action *action;
	enum dg_state old;
};

static int send_began(sd_bus *conn, const void *what)
{
	return bus_send_began(conn, ((const struct news *)what)->story);
}

static int send_changed(sd_bus *conn, const void *what)
{
	const struct news *news = what;

	return bus_send_changed(conn, news->story, news->old);
}

static int send_acted(sd_bus *conn, const void *what)
{
	const struct news *news = what;

	return bus_send_acted(conn, news->story, news->holder, news->action);
}

static int send_ended(sd_bus *conn, const void *what)
{
	return bus_send_ended(conn, ((const struct news *)what)->story);
}

static void on_began(void *userdata, const struct dg_story *story)
{
	broadcast(userdata, send_began, &(struct news){.story = story});
}

static void on_changed(void *userdata, const struct dg_story *story, enum dg_state old)
{
	broadcast(userdata, send_changed, &(struct news){.story = story, .old = old});
}

static void on_acted(void *userdata, const struct dg_story *story,
		     const struct dg_story_holder *holder, const struct dg_story_action *action)
{
	broadcast(userdata, send_acted,
		  &(struct news){.story = story, .holder = holder, .action = action});
}

static void on_ended(void *userdata, const struct dg_story *story)
{
	broadcast(userdata, send_ended, &(struct news){.story = story});
}

static const struct manager_observer observer = {
	.incident_began = on_began,
	.incident_changed = on_changed,
	.holder_acted = on_acted,
	.incident_ended = on_ended,
};

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

static int listen_on(struct bus *bus)
{
	const struct sockaddr *address = (const struct sockaddr *)&bus->address;
	mode_t mask;
	int r = clear_address(&bus->address);

	if (r < 0)
		return r;
	bus->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (bus->fd < 0)
		return -errno;
	mask = umask(0177); /* 0600 from its first moment on */
	r = bind(bus->fd, address, sizeof(bus->address)) < 0 ? -errno : 0;
	umask(mask);
	if (r >= 0 && listen(bus->fd, DG_CONTROL_CLIENTS_MAX) < 0)
		r = -errno;
	if (r >= 0)
		r = sd_event_add_io(manager_event(bus->manager), &bus->source, bus->fd, EPOLLIN,
				    on_connect, bus);
	if (r >= 0)
		r = sd_event_source_set_priority(bus->source, PRIORITY);
	if (r >= 0)
		r = sd_event_source_set_ratelimit(bus->source, ACCEPT_INTERVAL_US, ACCEPT_BURST);
	return r;
}

int bus_new(struct manager *m, struct bus **ret)
{
	struct bus *bus = calloc(1, sizeof(*bus));
	int n, r;

	if (!bus)
		return -ENOMEM;
	bus->manager = m;
	bus->fd = -1;
	bus->address.sun_family = AF_UNIX;
	n = snprintf(bus->address.sun_path, sizeof(bus->address.sun_path), "%s/control",
		     manager_paths(m)->run_dir);

	r = n >= (int)sizeof(bus->address.sun_path) ? -ENAMETOOLONG : 0;
	if (r >= 0)
		r = sd_id128_randomize(&bus->id);
	if (r >= 0)
		r = bus_api_new(m, &bus->api);
	if (r >= 0)
		r = listen_on(bus);
	if (r < 0) {
		bus_free(bus);
		return r;
	}
	manager_observe(m, &observer, bus);
	*ret = bus;
	return 0;
}

struct bus *bus_free(struct bus *bus)
{
	if (!bus)
		return NULL;
	manager_observe(bus->manager, NULL, NULL);
	for (struct client *client = bus->clients, *next; client; client = next) {
		next = client->next;
		client_free(client);
	}
	bus_api_free(bus->api);
	if (bus->source) { /* it listened: the file is ours */
		sd_event_source_disable_unref(bus->source);
		unlink(bus->address.sun_path);
	}
	if (bus->fd >= 0)
		close(bus->fd);
	free(bus);
	return NULL;
}
