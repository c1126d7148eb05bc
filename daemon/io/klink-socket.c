/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <netlink/attr.h>
#include <netlink/errno.h>
#include <netlink/netlink.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "io/klink-socket.h"

/*
 * The largest datagram of the kernel is 32 KiB in a dump; a single message
 * may be longer than that only by its module's doing.
 */
#define BUFFER_SIZE (128U * 1024)
#define SOCKET_BUFFER (4 * 1024 * 1024)

static int set_option(int fd, int level, int option, int value)
{
	return setsockopt(fd, level, option, &value, sizeof(value)) < 0 ? -errno : 0;
}

int klink_socket_open(struct klink_socket *socket)
{
	struct klink_socket opened = KLINK_SOCKET_INIT;
	int fd, r;

	opened.buffer = malloc(BUFFER_SIZE);
	opened.nl = nl_socket_alloc();
	if (!opened.buffer || !opened.nl) {
		r = -ENOMEM;
		goto fail;
	}
	r = nl_connect(opened.nl, NETLINK_GENERIC);
	if (r < 0) {
		r = r == -NLE_NOMEM ? -ENOMEM : -EPROTONOSUPPORT;
		goto fail;
	}
	fd = nl_socket_get_fd(opened.nl);
	/*
	 * A copy of the socket in a child would keep the registration alive
	 * after our death. libnl asks for close-on-exec; be sure of it.
	 */
	if (fcntl(fd, F_SETFD, FD_CLOEXEC) < 0 || fcntl(fd, F_SETFL, O_NONBLOCK) < 0) {
		r = -errno;
		goto fail;
	}
	/* Without privileges the usual size has to do: ENOBUFS is handled. */
	if (set_option(fd, SOL_SOCKET, SO_RCVBUFFORCE, SOCKET_BUFFER) < 0)
		(void)set_option(fd, SOL_SOCKET, SO_RCVBUF, SOCKET_BUFFER);
	r = set_option(fd, SOL_NETLINK, NETLINK_EXT_ACK, 1);
	if (r < 0)
		goto fail;
	r = set_option(fd, SOL_NETLINK, NETLINK_CAP_ACK, 1);
	if (r < 0)
		goto fail;
	*socket = opened;
	return 0;
fail:
	klink_socket_close(&opened);
	return r;
}

void klink_socket_close(struct klink_socket *socket)
{
	if (socket->nl)
		nl_socket_free(socket->nl);
	free(socket->buffer);
	*socket = KLINK_SOCKET_INIT;
}

int klink_socket_fd(const struct klink_socket *socket)
{
	return nl_socket_get_fd(socket->nl);
}

int klink_socket_join(struct klink_socket *socket, uint32_t group)
{
	return set_option(klink_socket_fd(socket), SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, (int)group);
}

/* recvmsg() of our own: nl_recv() cannot tell ENOBUFS from ENOMEM, nor say who sent. */
ssize_t klink_socket_receive(struct klink_socket *socket)
{
	for (;;) {
		struct sockaddr_nl sender = {0};
		struct iovec iov = {.iov_base = socket->buffer, .iov_len = BUFFER_SIZE};
		struct msghdr msg = {
			.msg_name = &sender,
			.msg_namelen = sizeof(sender),
			.msg_iov = &iov,
			.msg_iovlen = 1,
		};
		ssize_t n = recvmsg(klink_socket_fd(socket), &msg, MSG_DONTWAIT);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (msg.msg_namelen != sizeof(sender) || sender.nl_pid != 0)
			continue;
		if (msg.msg_flags & MSG_TRUNC)
			return -ENOBUFS;
		return n;
	}
}

void klink_socket_walk(struct klink_socket *socket, size_t len,
		       void (*func)(void *userdata, const struct nlmsghdr *header), void *userdata)
{
	struct nlmsghdr *header = (struct nlmsghdr *)socket->buffer;

	for (int rem = (int)len; rem > 0 && nlmsg_ok(header, rem);
	     header = nlmsg_next(header, &rem))
		func(userdata, header);
}

struct question {
	struct klink_socket *socket;
	int (*reply)(void *userdata, const struct nlmsghdr *header, bool answer);
	void *userdata;
	char *error;
	size_t n_error;
	uint32_t seq, port;
	bool answered;
	bool interrupted;
	int result;
};

/* NLMSGERR_ATTR_MSG among the attributes from offset on. */
static void keep_text(struct question *question, const struct nlmsghdr *header, size_t offset)
{
	const char *payload = nlmsg_data(header);
	size_t len = (size_t)nlmsg_datalen(header);
	const struct nlattr *attr;

	if (!(header->nlmsg_flags & NLM_F_ACK_TLVS) || offset >= len)
		return;
	attr = nla_find((const struct nlattr *)(payload + offset), (int)(len - offset),
			NLMSGERR_ATTR_MSG);
	if (attr)
		snprintf(question->error, question->n_error, "%.*s", nla_len(attr),
			 (const char *)nla_data(attr));
}

/* The end of an answer: an ack or refusal, or the end of a dump. */
static void finish(struct question *question, const struct nlmsghdr *header)
{
	size_t len = (size_t)nlmsg_datalen(header), offset = sizeof(int);
	int error = 0;

	if (header->nlmsg_type == NLMSG_ERROR) {
		const struct nlmsgerr *refusal = nlmsg_data(header);

		if (len < sizeof(*refusal)) {
			question->result = -EBADMSG;
			question->answered = true;
			return;
		}
		offset = sizeof(*refusal);
		if (!(header->nlmsg_flags & NLM_F_CAPPED) &&
		    refusal->msg.nlmsg_len > sizeof(refusal->msg))
			offset += NLMSG_ALIGN(refusal->msg.nlmsg_len) - sizeof(refusal->msg);
	}
	if (len >= sizeof(error))
		memcpy(&error, nlmsg_data(header), sizeof(error));
	if (error < 0) {
		question->result = error;
		keep_text(question, header, offset);
	}
	question->answered = true;
}

static void take_message(void *userdata, const struct nlmsghdr *header)
{
	struct question *question = userdata;
	bool answer = header->nlmsg_seq == question->seq && header->nlmsg_pid == question->port;
	int r;

	if (header->nlmsg_type == NLMSG_ERROR || header->nlmsg_type == NLMSG_DONE) {
		if (answer && !question->answered)
			finish(question, header);
		return;
	}
	if (header->nlmsg_type < NLMSG_MIN_TYPE)
		return;
	if (answer && header->nlmsg_flags & NLM_F_DUMP_INTR)
		question->interrupted = true;
	r = question->reply(question->userdata, header, answer && !question->answered);
	if (r < 0 && question->result == 0)
		question->result = r;
}

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* 0: something may be there by now. */
static int wait_readable(struct klink_socket *socket, int64_t deadline)
{
	struct pollfd poll_fd = {.fd = klink_socket_fd(socket), .events = POLLIN};
	int64_t left = deadline - now_ms();
	int r;

	if (left <= 0)
		return -ETIMEDOUT;
	if (left > KLINK_REPLY_TIMEOUT_MS)
		left = KLINK_REPLY_TIMEOUT_MS;
	r = poll(&poll_fd, 1, (int)left);
	if (r < 0)
		return errno == EINTR ? 0 : -errno;
	return r == 0 ? -ETIMEDOUT : 0;
}

static int read_answer(struct question *question)
{
	int64_t deadline = now_ms() + KLINK_DUMP_TIMEOUT_MS;
	int r;

	while (!question->answered) {
		ssize_t n = klink_socket_receive(question->socket);

		if (n == -EAGAIN) {
			r = wait_readable(question->socket, deadline);
			if (r < 0)
				return r;
			continue;
		}
		if (n < 0)
			return (int)n;
		klink_socket_walk(question->socket, (size_t)n, take_message, question);
	}
	if (question->result == 0 && question->interrupted)
		return -EAGAIN;
	return question->result;
}

int klink_socket_ask(struct klink_socket *socket, struct nl_msg *msg,
		     int (*reply)(void *userdata, const struct nlmsghdr *header, bool answer),
		     void *userdata, char *error, size_t n_error)
{
	const struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
	struct nlmsghdr *header = nlmsg_hdr(msg);
	struct question question = {
		.socket = socket,
		.reply = reply,
		.userdata = userdata,
		.error = error,
		.n_error = n_error,
		.port = nl_socket_get_local_port(socket->nl),
	};

	error[0] = 0;
	/* Port, sequence number, NLM_F_REQUEST | NLM_F_ACK. */
	nl_complete_msg(socket->nl, msg);
	/* A dump ends by itself; an ack besides would be a second end. */
	if (header->nlmsg_flags & NLM_F_DUMP)
		header->nlmsg_flags &= (uint16_t)~NLM_F_ACK;
	question.seq = header->nlmsg_seq;
	if (sendto(klink_socket_fd(socket), header, header->nlmsg_len, 0,
		   (const struct sockaddr *)&kernel, sizeof(kernel)) < 0)
		return -errno;
	return read_answer(&question);
}
