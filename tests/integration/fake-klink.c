/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * io/klink.h without a kernel: the other side is a test, at the end of the
 * SOCK_SEQPACKET socket that DAXGUARD_FAKE_KLINK names. The messages are the
 * module's own, byte by byte, and go through the daemon's own decoder.
 *
 * To the test, one packet per command, as text:	"TAKE 7"
 * From the test, the first byte says what it is:
 *	R	the answer: i32 error, u32 length and text of the refusal, then
 *		u32 length and payload (genlmsghdr and attributes) of each message
 *	E	EVENT, DONE or COMPLETED: one payload
 *	L	messages were lost
 *	M	the module is there ('1') or not ('0'); also the greeting
 */
#include <errno.h>
#include <inttypes.h>
#include <linux/genetlink.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "fake-klink.h"
#include "io/klink-decode.h"
#include "uapi/daxguard.h"

#define PACKET_MAX (256U * 1024)

struct klink {
	struct klink_ops ops;
	void *userdata;
	int fd;
	bool present;
	char error[256];
	sd_event_source *source, *deferred;
	struct packet *queue; /* arrived while an answer was awaited */
	char *buffer;
};

static void deliver_message(struct klink *link, const void *data, size_t n)
{
	struct klink_completed completed;
	struct dg_failure_record failure;
	struct dg_request request;
	struct dg_done done;

	switch (((const struct genlmsghdr *)data)->cmd) {
	case DAXGUARD_CMD_EVENT:
		if (klink_decode_request(data, n, &request) < 0)
			break;
		link->ops.event(link->userdata, &request);
		dg_request_done(&request);
		return;
	case DAXGUARD_CMD_DONE:
		if (klink_decode_done(data, n, &done) < 0)
			break;
		link->ops.done(link->userdata, &done);
		return;
	case DAXGUARD_CMD_FAILURE:
		if (klink_decode_failure(data, n, &failure) < 0)
			break;
		link->ops.failure(link->userdata, &failure);
		dg_failure_record_done(&failure);
		return;
	case DAXGUARD_CMD_COMPLETED:
		if (klink_decode_completed(data, n, &completed) < 0)
			break;
		link->ops.completed(link->userdata, completed.token, completed.error,
				    completed.truncated);
		return;
	default:
		break;
	}
	fprintf(stderr, "fake-klink: a message that cannot be decoded\n");
	abort();
}

static void deliver(struct klink *link, const struct packet *packet)
{
	void *copy;

	switch (packet->data[0]) {
	case 'E':
		/* As aligned as the kernel's are. */
		copy = malloc(packet->n);
		if (!copy)
			abort();
		memcpy(copy, packet->data + 1, packet->n - 1);
		deliver_message(link, copy, packet->n - 1);
		free(copy);
		break;
	case 'L':
		link->ops.lost(link->userdata);
		break;
	case 'M':
		link->present = packet->data[1] == '1';
		link->ops.module(link->userdata, link->present);
		break;
	default:
		fprintf(stderr, "fake-klink: unexpected packet %c\n", packet->data[0]);
		abort();
	}
}

/* The next packet, or NULL: none, or the test has closed. */
static struct packet *receive(struct klink *link, int flags)
{
	struct packet *packet;
	ssize_t n;

	n = recv(link->fd, link->buffer, PACKET_MAX, flags);
	if (n <= 0)
		return NULL;
	packet = calloc(1, sizeof(*packet) + (size_t)n);
	if (!packet)
		abort();
	packet->n = (size_t)n;
	memcpy(packet->data, link->buffer, (size_t)n);
	return packet;
}

static void queue_packet(struct klink *link, struct packet *packet)
{
	struct packet **last = &link->queue;

	while (*last)
		last = &(*last)->next;
	*last = packet;
	sd_event_source_set_enabled(link->deferred, SD_EVENT_ONESHOT);
}

static int on_deferred(sd_event_source *source, void *userdata)
{
	struct klink *link = userdata;

	struct packet *packet = link->queue;

	if (!packet)
		return 0;
	link->queue = packet->next;
	deliver(link, packet);
	free(packet);
	if (link->queue)
		sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
	return 0;
}

static int on_readable(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
	struct klink *link = userdata;
	struct packet *packet = receive(link, MSG_DONTWAIT);

	if (packet)
		queue_packet(link, packet);
	else if (revents & (EPOLLHUP | EPOLLRDHUP))
		sd_event_source_set_enabled(source, SD_EVENT_OFF);
	return 0;
}

int fake_ask(struct klink *link, struct fake_answer *ret, const char *format, ...)
{
	struct fake_answer answer = {.offset = 9};
	uint32_t n_text;
	char line[512];
	va_list args;
	int error;

	link->error[0] = 0;
	if (!link->present) {
		snprintf(link->error, sizeof(link->error), "the daxguard module is not loaded");
		return -ENOENT;
	}
	va_start(args, format);
	vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	if (send(link->fd, line, strlen(line), MSG_NOSIGNAL) < 0)
		return -errno;
	while ((answer.packet = receive(link, 0)) && answer.packet->data[0] != 'R')
		queue_packet(link, answer.packet);
	if (!answer.packet)
		return -ETIMEDOUT;
	memcpy(&error, answer.packet->data + 1, sizeof(error));
	memcpy(&n_text, answer.packet->data + 5, sizeof(n_text));
	snprintf(link->error, sizeof(link->error), "%.*s", (int)n_text,
		 answer.packet->data + answer.offset);
	answer.offset += n_text;
	if (error < 0 || !ret) {
		free(answer.packet);
		return error;
	}
	*ret = answer;
	return 0;
}

void *fake_next_message(struct fake_answer *answer, size_t *ret_n)
{
	uint32_t n;
	void *copy;

	if (answer->offset >= answer->packet->n)
		return NULL;
	memcpy(&n, answer->packet->data + answer->offset, sizeof(n));
	copy = malloc(n);
	if (!copy)
		abort();
	memcpy(copy, answer->packet->data + answer->offset + sizeof(n), n);
	answer->offset += sizeof(n) + n;
	*ret_n = n;
	return copy;
}

int fake_only_message(struct fake_answer *answer, int (*decode)(const void *, size_t, uint32_t *),
		      uint32_t *ret)
{
	size_t n;
	void *message = fake_next_message(answer, &n);
	int r = message ? decode(message, n, ret) : -EBADMSG;

	free(message);
	free(answer->packet);
	return r;
}

int klink_new(sd_event *event, const struct klink_ops *ops, void *userdata, struct klink **ret)
{
	const struct timeval patience = {.tv_sec = 5};
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct klink *link = calloc(1, sizeof(*link));
	const char *path = getenv("DAXGUARD_FAKE_KLINK");
	struct packet *greeting;

	if (!link || !path || !(link->buffer = malloc(PACKET_MAX)))
		abort();
	link->ops = *ops;
	link->userdata = userdata;
	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	link->fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (link->fd < 0 || connect(link->fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
	    setsockopt(link->fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) < 0) {
		perror("fake-klink");
		abort();
	}
	greeting = receive(link, 0);
	if (!greeting || greeting->data[0] != 'M')
		abort();
	link->present = greeting->data[1] == '1';
	free(greeting);
	if (sd_event_add_defer(event, &link->deferred, on_deferred, link) < 0 ||
	    sd_event_source_set_enabled(link->deferred, SD_EVENT_OFF) < 0 ||
	    sd_event_add_io(event, &link->source, link->fd, EPOLLIN, on_readable, link) < 0 ||
	    sd_event_source_set_priority(link->deferred, KLINK_PRIORITY_EVENTS) < 0 ||
	    sd_event_source_set_priority(link->source, KLINK_PRIORITY_EVENTS) < 0)
		abort();
	*ret = link;
	return 0;
}

struct klink *klink_free(struct klink *link)
{
	if (!link)
		return NULL;
	while (link->queue) {
		struct packet *packet = link->queue;

		link->queue = packet->next;
		free(packet);
	}
	sd_event_source_disable_unref(link->source);
	sd_event_source_disable_unref(link->deferred);
	close(link->fd);
	free(link->buffer);
	free(link);
	return NULL;
}

bool klink_module_present(struct klink *link)
{
	return link->present;
}

const char *klink_error(struct klink *link)
{
	return link->error;
}

int klink_register(struct klink *link, struct klink_info *ret)
{
	struct fake_answer answer;
	void *message;
	size_t n;
	int r;

	r = fake_ask(link, &answer, "REGISTER");
	if (r < 0)
		return r;
	message = fake_next_message(&answer, &n);
	r = message ? klink_decode_info(message, n, ret) : -EBADMSG;
	free(message);
	free(answer.packet);
	return r;
}

int klink_get_pending(struct klink *link,
		      void (*func)(void *userdata, const struct dg_request *request),
		      void *userdata)
{
	struct fake_answer answer;
	void *message;
	size_t n;
	int r;

	r = fake_ask(link, &answer, "GET_PENDING");
	if (r < 0)
		return r;
	while (r == 0 && (message = fake_next_message(&answer, &n))) {
		struct dg_request request;

		r = klink_decode_request(message, n, &request);
		free(message);
		if (r < 0)
			break;
		func(userdata, &request);
		dg_request_done(&request);
	}
	free(answer.packet);
	return r;
}

int klink_take(struct klink *link, uint64_t id)
{
	return fake_ask(link, NULL, "TAKE %" PRIu64, id);
}

static const char *hex(const uint8_t cookie[DG_COOKIE_LEN])
{
	static char text[2 * DG_COOKIE_LEN + 1];

	for (int i = 0; i < DG_COOKIE_LEN; i++)
		sprintf(text + 2 * i, "%02x", cookie[i]);
	return text;
}

int klink_ack(struct klink *link, uint64_t id, const uint8_t cookie[DG_COOKIE_LEN])
{
	return fake_ask(link, NULL, "ACK %" PRIu64 " %s", id, hex(cookie));
}

int klink_release(struct klink *link, uint64_t id, const uint8_t cookie[DG_COOKIE_LEN])
{
	return fake_ask(link, NULL, "RELEASE %" PRIu64 " %s", id, hex(cookie));
}

int klink_extend(struct klink *link, uint64_t id, const uint8_t cookie[DG_COOKIE_LEN], uint32_t ms)
{
	return fake_ask(link, NULL, "EXTEND %" PRIu64 " %s %" PRIu32, id, hex(cookie), ms);
}

static int queued(struct klink *link, const char *command, uint64_t what, uint32_t *ret_token)
{
	struct fake_answer answer;
	int r;

	r = fake_ask(link, &answer, "%s %" PRIu64, command, what);
	return r < 0 ? r : fake_only_message(&answer, klink_decode_token, ret_token);
}

int klink_scan_request(struct klink *link, uint64_t id, uint32_t *ret_token)
{
	return queued(link, "SCAN", id, ret_token);
}

int klink_scan_device(struct klink *link, dg_dev_t dev, uint32_t *ret_token)
{
	return queued(link, "SCAN_DEVICE", dev, ret_token);
}

int klink_sync(struct klink *link, uint64_t id, uint32_t *ret_token)
{
	return queued(link, "SYNC", id, ret_token);
}

int klink_shutdown(struct klink *link, uint64_t id, uint32_t *ret_token)
{
	return queued(link, "SHUTDOWN", id, ret_token);
}

int klink_get_holders(struct klink *link, uint32_t token, struct dg_usage_list *ret)
{
	struct dg_usage_list list = {0};
	struct fake_answer answer;
	void *message;
	size_t n;
	int r;

	r = fake_ask(link, &answer, "GET_HOLDERS %" PRIu32, token);
	if (r < 0)
		return r;
	while (r == 0 && (message = fake_next_message(&answer, &n))) {
		list.items = reallocarray(list.items, list.n_items + 1, sizeof(*list.items));
		if (!list.items)
			abort();
		r = klink_decode_usage(message, n, &list.items[list.n_items++]);
		free(message);
	}
	free(answer.packet);
	if (r < 0) {
		dg_usage_list_done(&list);
		return r;
	}
	*ret = list;
	return 0;
}

int klink_get_fs(struct klink *link, uint32_t token, struct dg_fs_list *ret)
{
	struct dg_fs_list list = {0};
	struct fake_answer answer;
	void *message;
	size_t n;
	int r;

	r = fake_ask(link, &answer, "GET_FS %" PRIu32, token);
	if (r < 0)
		return r;
	while (r == 0 && (message = fake_next_message(&answer, &n))) {
		list.items = reallocarray(list.items, list.n_items + 1, sizeof(*list.items));
		if (!list.items)
			abort();
		r = klink_decode_fs(message, n, &list.items[list.n_items++]);
		free(message);
	}
	free(answer.packet);
	if (r < 0) {
		dg_fs_list_done(&list);
		return r;
	}
	*ret = list;
	return 0;
}

int klink_sigbus(struct klink *link, uint64_t id, pid_t pid, uint64_t start_ns, uint64_t addr,
		 uint8_t lsb, int code)
{
	return fake_ask(link, NULL, "SIGBUS %" PRIu64 " %d %" PRIu64 " %" PRIu64 " %u %d", id, pid,
			start_ns, addr, lsb, code);
}
