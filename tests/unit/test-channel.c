/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "test.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "io/channel.h"

static sd_event *event;
static struct channel *channel;
static int peer;
static char seen[512];

static void on_message(void *userdata, const char *text, size_t n)
{
	size_t at = strlen(seen);

	snprintf(seen + at, sizeof(seen) - at, "%zu:%.*s;", n, text ? (int)n : 4,
		 text ? text : "long");
}

static void on_closed(void *userdata)
{
	strcat(seen, "closed;");
	channel = channel_free(channel);
}

static const struct channel_ops ops = {.message = on_message, .closed = on_closed};

static int setup(void **state)
{
	seen[0] = '\0';
	assert_return_code(sd_event_new(&event), 0);
	assert_int_equal(channel_new(event, &ops, NULL, &channel, &peer), 0);
	return 0;
}

static int teardown(void **state)
{
	channel = channel_free(channel);
	if (peer >= 0)
		close(peer);
	sd_event_unref(event);
	return 0;
}

static void say(const char *text, size_t n)
{
	assert_int_equal(send(peer, text, n, MSG_NOSIGNAL), n);
}

/* Until there is nothing more to be heard; what is limited goes on by itself. */
static void hear(const char *expected)
{
	for (int i = 0; i < 100 && strcmp(seen, expected) != 0; i++)
		assert_return_code(sd_event_run(event, 100000), 0);
	assert_string_equal(seen, expected);
}

static void both_ways(void **state)
{
	char text[16] = "";

	assert_int_equal(fcntl(peer, F_GETFL) & O_NONBLOCK, 0);
	say("one", 3);
	say("", 0);
	say("two", 3);
	hear("3:one;0:;3:two;");
	assert_int_equal(channel_send(channel, "answer"), 0);
	assert_int_equal(recv(peer, text, sizeof(text), 0), 6);
	assert_string_equal(text, "answer");
}

static void too_long(void **state)
{
	char text[CHANNEL_MESSAGE_MAX + 1];

	memset(text, 'x', sizeof(text));
	say(text, sizeof(text));
	say("next", 4);
	hear("4097:long;4:next;");
}

/* What was said before is heard. */
static void hung_up(void **state)
{
	say("bye", 3);
	close(peer);
	peer = -1;
	hear("3:bye;closed;");
	assert_null(channel);
}

/* Also with something unread, which is an error of the socket's then. */
static void hung_up_on(void **state)
{
	assert_int_equal(channel_send(channel, "unread"), 0);
	close(peer);
	peer = -1;
	assert_true(channel_send(channel, "more") < 0);
	hear("closed;");
}

static void not_reading(void **state)
{
	int r = 0, n = 0;

	while ((r = channel_send(channel, "{\"Event\":\"pre-remove\"}")) == 0)
		n++;
	assert_int_equal(r, -EAGAIN);
	assert_in_range(n, 2, 100);
}

/* Who floods is read now and then, and others in between. */
static void a_flood(void **state)
{
	int n = 0;

	for (int i = 0; i < 40; i++)
		say("x", 1);
	while (sd_event_run(event, 0) > 0)
		n++;
	assert_in_range(n, 1, 39);
}

/* Descriptors of others are not ours to have. */
static void with_a_descriptor(void **state)
{
	char room[CMSG_SPACE(sizeof(int))] = {};
	struct iovec text = {"fd", 2};
	struct msghdr message = {.msg_iov = &text,
				 .msg_iovlen = 1,
				 .msg_control = room,
				 .msg_controllen = sizeof(room)};
	struct cmsghdr *header = CMSG_FIRSTHDR(&message);
	int before = dup(peer), after;

	close(before);
	*header = (struct cmsghdr){CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS};
	memcpy(CMSG_DATA(header), &peer, sizeof(int));
	assert_int_equal(sendmsg(peer, &message, 0), 2);
	hear("2:fd;");
	after = dup(peer);
	close(after);
	assert_int_equal(after, before);
}

/* The end that somebody keeps for the next daemon; and the end for all. */
static void handed_on(void **state)
{
	int fd = fcntl(channel_fd(channel), F_DUPFD_CLOEXEC, 3);
	char text[16] = "";

	channel = channel_free(channel);
	say("meanwhile", 9);
	assert_int_equal(channel_adopt(event, fd, &ops, NULL, &channel), 0);
	hear("9:meanwhile;");
	fd = fcntl(channel_fd(channel), F_DUPFD_CLOEXEC, 3);
	channel = channel_hang_up(channel);
	assert_int_equal(recv(peer, text, sizeof(text), 0), 0);
	close(fd);
	fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	assert_int_equal(channel_adopt(event, fd, &ops, NULL, &channel), -ENOTSOCK);
	close(fd);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(both_ways),   TEST(too_long), TEST(hung_up),           TEST(hung_up_on),
		TEST(not_reading), TEST(a_flood),  TEST(with_a_descriptor), TEST(handed_on),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
