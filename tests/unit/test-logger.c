/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The logger against a journald that is slow, absent, or waits for us. */
#include "test.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <syslog.h>
#include <unistd.h>

#include "io/logger.h"
#include "names.h"

static char dir[64], journal[96], kmsg[96];
static sd_event *event;
static struct logger *logger;
static int journal_fd;

static int setup(void **state)
{
	const struct logger_limits limits = {8, 64, 3};
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	strcpy(dir, "/tmp/daxguard-logger-XXXXXX");
	if (!mkdtemp(dir))
		return -1;
	snprintf(journal, sizeof(journal), "%s/journal", dir);
	snprintf(kmsg, sizeof(kmsg), "%s/kmsg", dir);
	close(open(kmsg, O_CREAT | O_WRONLY, 0600));
	strcpy(address.sun_path, journal);
	journal_fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);
	if (bind(journal_fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		return -1;
	sd_event_new(&event);
	return logger_new(event, journal, kmsg, "guard.service", &limits, &logger);
}

static int teardown(void **state)
{
	logger = logger_free(logger);
	event = sd_event_unref(event);
	close(journal_fd);
	unlink(journal);
	unlink(kmsg);
	return rmdir(dir);
}

static void turn(uint64_t us)
{
	while (sd_event_run(event, us) > 0)
		;
}

static ssize_t receive(char *text, size_t size)
{
	ssize_t n = recv(journal_fd, text, size - 1, 0);

	if (n >= 0)
		text[n] = '\0';
	return n;
}

static void say(const char *text)
{
	const struct logger_field fields[] = {{"DAXGUARD_PID", "12"}, {"DAXGUARD_RULE", NULL}};

	logger_write(logger, &(struct logger_message){
				     .priority = LOG_NOTICE,
				     .id = "0123",
				     .text = text,
				     .fields = fields,
				     .n_fields = 2,
			     });
}

static void the_journal_gets_fields(void **state)
{
	char text[1024];

	say("hello");
	assert_int_equal(receive(text, sizeof(text)), -1);
	turn(0);
	assert_true(receive(text, sizeof(text)) > 0);
	assert_string_equal(text, "MESSAGE=hello\nPRIORITY=5\nSYSLOG_IDENTIFIER=daxguardd\n"
				  "MESSAGE_ID=0123\nOBJECT_SYSTEMD_UNIT=guard.service\n"
				  "DAXGUARD_PID=12\n");
}

static void a_newline_needs_a_length(void **state)
{
	static const char start[] = "MESSAGE\n\3\0\0\0\0\0\0\0a\nb\nPRIORITY=5\n";
	char text[1024];

	say("a\nb");
	turn(0);
	assert_true(receive(text, sizeof(text)) > 0);
	assert_memory_equal(text, start, sizeof(start) - 1);
}

static void nothing_while_a_hold_is_open(void **state)
{
	char text[1024];

	logger_hold(logger, true);
	say("later");
	turn(1000);
	assert_int_equal(receive(text, sizeof(text)), -1);
	logger_hold(logger, false);
	turn(0);
	assert_true(receive(text, sizeof(text)) > 0);
}

/* A message that waits already, too. */
static void a_hold_that_begins_before_the_flush(void **state)
{
	char text[1024];

	say("later");
	logger_hold(logger, true);
	turn(1000);
	assert_int_equal(receive(text, sizeof(text)), -1);
}

static void what_is_dropped_is_counted_and_said(void **state)
{
	char text[1024];
	unsigned n = 0;

	logger_hold(logger, true);
	for (unsigned i = 0; i < 11; i++)
		say("x");
	assert_int_equal(logger_dropped(logger), 3);
	logger_hold(logger, false);
	turn(0);
	while (receive(text, sizeof(text)) > 0)
		n++;
	assert_int_equal(n, 9);
	assert_non_null(strstr(text, "MESSAGE=3 messages were dropped\n"));
	assert_non_null(strstr(text, "MESSAGE_ID=" DG_MESSAGE_DROPPED "\n"));
	assert_int_equal(logger_dropped(logger), 3);
}

/* A daemon that is stopped in a hold, or while the journal does not read. */
static void the_end_waits_for_nobody(void **state)
{
	const struct logger_limits limits = {8, 64, 3};
	char text[1024] = "";
	unsigned n = 0;
	int fd;

	logger_hold(logger, true);
	for (unsigned i = 0; i < 11; i++)
		say("x");
	logger = logger_free(logger);
	while (receive(text, sizeof(text)) > 0)
		n++;
	assert_int_equal(n, 8);
	fd = open(kmsg, O_RDONLY);
	n = (unsigned)read(fd, text, sizeof(text) - 1);
	close(fd);
	text[n] = '\0';
	assert_string_equal(text, "<28>daxguardd: 3 messages were dropped\n");
	assert_int_equal(logger_new(event, journal, kmsg, NULL, &limits, &logger), 0);
}

static void last_line_is_cut(void **state)
{
	char text[1024], longest[200];

	memset(longest, 'x', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	say(longest);
	turn(0);
	assert_true(receive(text, sizeof(text)) > 0);
	assert_int_equal(strcspn(text, "\n"), strlen("MESSAGE=") + 64);
}

static void a_slow_journal_is_not_waited_for(void **state)
{
	char text[1024];
	int size = 1, n = 0;

	/* Fill the queue of the receiver until it takes no more. */
	setsockopt(journal_fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	for (unsigned i = 0; i < 1000; i++) {
		say("x");
		turn(0);
		if (logger_dropped(logger) > 0)
			break;
	}
	assert_true(logger_dropped(logger) > 0);
	while (receive(text, sizeof(text)) > 0)
		n++;
	assert_true(n > 0);
	turn(1200000);
	assert_true(receive(text, sizeof(text)) > 0);
}

static void the_kernels_log_is_spared(void **state)
{
	char text[1024] = "";
	int fd;

	logger_brief(logger, "not held");
	logger_hold(logger, true);
	turn(0);
	for (unsigned i = 0; i < 5; i++)
		logger_brief(logger, "held");
	fd = open(kmsg, O_RDONLY);
	assert_true(read(fd, text, sizeof(text) - 1) > 0);
	close(fd);
	assert_string_equal(text, "<30>daxguardd: held\n<30>daxguardd: held\n"
				  "<30>daxguardd: held\n");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(the_journal_gets_fields),
		TEST(a_newline_needs_a_length),
		TEST(nothing_while_a_hold_is_open),
		TEST(a_hold_that_begins_before_the_flush),
		TEST(what_is_dropped_is_counted_and_said),
		TEST(the_end_waits_for_nobody),
		TEST(last_line_is_cut),
		TEST(a_slow_journal_is_not_waited_for),
		TEST(the_kernels_log_is_spared),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
