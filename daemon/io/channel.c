/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "io/channel.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

/* After everything that a hold waits for. */
#define PRIORITY (SD_EVENT_PRIORITY_NORMAL + 10)
/* Who says more waits until it is read. */
#define READ_INTERVAL_US (100 * 1000)
#define READ_BURST 10
/* Memory of the kernel's that one who does not read can have: some messages. */
#define UNREAD_MAX (8 * 1024)

struct channel {
	int fd;
	sd_event_source *source;
	struct channel_ops ops;
	void *userdata;
};

static int on_io(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
	struct channel *channel = userdata;
	char text[CHANNEL_MESSAGE_MAX];
	ssize_t n = recv(fd, text, sizeof(text), MSG_DONTWAIT | MSG_TRUNC);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	/* An empty message looks like the end, but nobody has hung up. */
	if (n < 0 || (n == 0 && (revents & (EPOLLHUP | EPOLLRDHUP))))
		channel->ops.closed(channel->userdata);
	else
		channel->ops.message(channel->userdata, (size_t)n <= sizeof(text) ? text : NULL,
				     (size_t)n);
	return 0;
}

static int listen_to(sd_event *event, struct channel *channel)
{
	int r = sd_event_add_io(event, &channel->source, channel->fd, EPOLLIN | EPOLLRDHUP, on_io,
				channel);

	if (r >= 0)
		r = sd_event_source_set_priority(channel->source, PRIORITY);
	if (r >= 0)
		r = sd_event_source_set_ratelimit(channel->source, READ_INTERVAL_US, READ_BURST);
	return r;
}

static int is_ours(int fd)
{
	int type, domain;
	socklen_t n = sizeof(type);

	if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &n) < 0)
		return -errno;
	n = sizeof(domain);
	if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &n) < 0)
		return -errno;
	return type == SOCK_SEQPACKET && domain == AF_UNIX ? 0 : -ENOTSOCK;
}

int channel_adopt(sd_event *event, int fd, const struct channel_ops *ops, void *userdata,
		  struct channel **ret)
{
	struct channel *channel;
	int r = is_ours(fd);

	if (r < 0)
		return r;
	channel = calloc(1, sizeof(*channel));
	if (!channel)
		return -ENOMEM;
	*channel = (struct channel){.fd = fd, .ops = *ops, .userdata = userdata};
	r = listen_to(event, channel);
	if (r < 0) {
		channel->fd = -1;
		channel_free(channel);
		return r;
	}
	*ret = channel;
	return 0;
}

int channel_new(sd_event *event, const struct channel_ops *ops, void *userdata,
		struct channel **ret, int *ret_peer)
{
	const int unread = UNREAD_MAX;
	int fds[2], r = 0;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) < 0)
		return -errno;
	/* The other end is made as a program expects it, which may wait for what comes. */
	if (fcntl(fds[0], F_SETFL, O_RDWR | O_NONBLOCK) < 0 ||
	    setsockopt(fds[0], SOL_SOCKET, SO_SNDBUF, &unread, sizeof(unread)) < 0)
		r = -errno;
	if (r >= 0)
		r = channel_adopt(event, fds[0], ops, userdata, ret);
	if (r < 0) {
		close(fds[0]);
		close(fds[1]);
		return r;
	}
	*ret_peer = fds[1];
	return 0;
}

struct channel *channel_free(struct channel *channel)
{
	if (!channel)
		return NULL;
	sd_event_source_disable_unref(channel->source);
	if (channel->fd >= 0)
		close(channel->fd);
	free(channel);
	return NULL;
}

struct channel *channel_hang_up(struct channel *channel)
{
	if (channel)
		(void)!shutdown(channel->fd, SHUT_RDWR);
	return channel_free(channel);
}

int channel_fd(const struct channel *channel)
{
	return channel->fd;
}

int channel_send(struct channel *channel, const char *text)
{
	if (send(channel->fd, text, strlen(text), MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
		return -errno;
	return 0;
}
