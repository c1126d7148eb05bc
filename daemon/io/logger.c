/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "io/logger.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <endian.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <syslog.h>
#include <unistd.h>

#include "names.h"

#define BATCH 64
/* Soon while the journal reads, seldom while it does not. */
#define RETRY_FIRST_US 10000ULL
#define RETRY_LAST_US 1000000ULL
#define KMSG_WINDOW_US 5000000ULL
#define IDENTIFIER "daxguardd"
#define UNIT_MAX 255 /* of a unit's name: systemd.unit(5) */

struct line {
	char *data; /* a datagram of the native protocol */
	size_t n;
};

struct logger {
	sd_event *event;
	sd_event_source *timer;
	struct sockaddr_un journal;
	int journal_fd, kmsg_fd;
	struct logger_limits limits;
	char *unit; /* or NULL */
	struct line *ring;
	size_t first, n_lines;
	uint64_t dropped, dropped_said, retry_us;
	bool holding;
	uint64_t kmsg_since_us;
	unsigned kmsg_lines;
};

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata);
static bool send_line(struct logger *logger, const struct line *line);

int logger_new(sd_event *event, const char *journal, const char *kmsg, const char *unit,
	       const struct logger_limits *limits, struct logger **ret)
{
	struct logger *logger = calloc(1, sizeof(*logger));
	struct line *ring = calloc(limits->ring_max, sizeof(*ring));
	char *name = unit ? strdup(unit) : NULL;
	int r;

	if (!logger || !ring || (unit && !name)) {
		free(logger);
		free(ring);
		free(name);
		return -ENOMEM;
	}
	logger->kmsg_fd = open(kmsg, O_WRONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	logger->journal_fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	logger->journal.sun_family = AF_UNIX;
	snprintf(logger->journal.sun_path, sizeof(logger->journal.sun_path), "%s", journal);
	logger->limits = *limits;
	logger->retry_us = RETRY_FIRST_US;
	logger->ring = ring;
	logger->unit = name;
	r = sd_event_add_time(event, &logger->timer, CLOCK_MONOTONIC, 0, 0, on_timer, logger);
	if (r >= 0)
		r = sd_event_source_set_enabled(logger->timer, SD_EVENT_OFF);
	if (r < 0) {
		logger_free(logger);
		return r;
	}
	/* After everything that matters. */
	sd_event_source_set_priority(logger->timer, SD_EVENT_PRIORITY_IDLE);
	logger->event = sd_event_ref(event);
	*ret = logger;
	return 0;
}

static void drop_first(struct logger *logger)
{
	free(logger->ring[logger->first].data);
	logger->first = (logger->first + 1) % logger->limits.ring_max;
	logger->n_lines--;
}

/*
 * The last chance of what was kept back: tried once, without waiting, also while
 * a hold is open, since that may outlive us.
 */
static void send_last(struct logger *logger)
{
	char text[96];
	int n;

	for (; logger->n_lines > 0; drop_first(logger))
		if (!send_line(logger, &logger->ring[logger->first]))
			logger->dropped++;
	if (logger->dropped == logger->dropped_said || logger->kmsg_fd < 0)
		return;
	n = snprintf(text, sizeof(text), "<%d>" IDENTIFIER ": %" PRIu64 " messages were dropped\n",
		     LOG_DAEMON | LOG_WARNING, logger->dropped - logger->dropped_said);
	(void)!write(logger->kmsg_fd, text, (size_t)n);
}

struct logger *logger_free(struct logger *logger)
{
	if (!logger)
		return NULL;
	send_last(logger);
	free(logger->ring);
	free(logger->unit);
	sd_event_source_disable_unref(logger->timer);
	sd_event_unref(logger->event);
	if (logger->journal_fd >= 0)
		close(logger->journal_fd);
	if (logger->kmsg_fd >= 0)
		close(logger->kmsg_fd);
	free(logger);
	return NULL;
}

/* A value with a newline in it needs the form with a length. */
static void put_field(FILE *to, const char *name, const char *value, size_t max)
{
	size_t n = strnlen(value, max);

	if (!memchr(value, '\n', n)) {
		fprintf(to, "%s=%.*s\n", name, (int)n, value);
	} else {
		uint64_t length = htole64(n);

		fprintf(to, "%s\n", name);
		fwrite(&length, sizeof(length), 1, to);
		fwrite(value, n, 1, to);
		fputc('\n', to);
	}
}

static int encode(const struct logger *logger, const struct logger_message *message,
		  struct line *ret)
{
	struct line line = {};
	FILE *to = open_memstream(&line.data, &line.n);
	bool failed;

	if (!to)
		return -ENOMEM;
	put_field(to, "MESSAGE", message->text, logger->limits.line_max);
	fprintf(to, "PRIORITY=%d\nSYSLOG_IDENTIFIER=" IDENTIFIER "\n", message->priority & 7);
	if (message->id)
		put_field(to, "MESSAGE_ID", message->id, 64);
	if (logger->unit)
		put_field(to, "OBJECT_SYSTEMD_UNIT", logger->unit, UNIT_MAX);
	for (size_t i = 0; i < message->n_fields; i++)
		if (message->fields[i].value)
			put_field(to, message->fields[i].name, message->fields[i].value,
				  logger->limits.line_max);
	failed = ferror(to);
	if (fclose(to) != 0 || failed) {
		free(line.data);
		return -ENOMEM;
	}
	*ret = line;
	return 0;
}

static void flush_soon(struct logger *logger, uint64_t in_us)
{
	if (logger->holding || (logger->n_lines == 0 && logger->dropped == logger->dropped_said))
		return;
	if (sd_event_source_set_time_relative(logger->timer, in_us) >= 0)
		sd_event_source_set_enabled(logger->timer, SD_EVENT_ONESHOT);
}

void logger_write(struct logger *logger, const struct logger_message *message)
{
	struct line line;

	if (logger->n_lines >= logger->limits.ring_max || encode(logger, message, &line) < 0) {
		logger->dropped++;
		return;
	}
	logger->ring[(logger->first + logger->n_lines++) % logger->limits.ring_max] = line;
	flush_soon(logger, 0);
}

/* Nobody reads the journal's socket: a system without it, or a test. */
static void to_stderr(const struct line *line)
{
	struct pollfd pollfd = {.fd = STDERR_FILENO, .events = POLLOUT};
	const char *text = memchr(line->data, '=', line->n);
	const char *newline = text ? strchr(text, '\n') : NULL;

	/* A terminal that was stopped, a pipe that is full: then not. The newline goes too. */
	if (!newline || poll(&pollfd, 1, 0) <= 0 || !(pollfd.revents & POLLOUT))
		return;
	if (write(STDERR_FILENO, text + 1, (size_t)(newline - text)) < 0)
		return;
}

/* False: not now. */
static bool send_line(struct logger *logger, const struct line *line)
{
	ssize_t n;

	n = sendto(logger->journal_fd, line->data, line->n, MSG_DONTWAIT | MSG_NOSIGNAL,
		   (const struct sockaddr *)&logger->journal, sizeof(logger->journal));
	if (n >= 0)
		return true;
	if (errno == EAGAIN || errno == ENOBUFS)
		return false;
	if (errno == ENOENT || errno == ECONNREFUSED)
		to_stderr(line);
	else
		logger->dropped++;
	return true;
}

static void say_dropped(struct logger *logger)
{
	char text[96];

	if (logger->dropped == logger->dropped_said || logger->n_lines > 0)
		return;
	snprintf(text, sizeof(text), "%" PRIu64 " messages were dropped",
		 logger->dropped - logger->dropped_said);
	logger->dropped_said = logger->dropped;
	logger_write(logger, &(struct logger_message){
				     .priority = LOG_WARNING,
				     .id = DG_MESSAGE_DROPPED,
				     .text = text,
			     });
}

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct logger *logger = userdata;

	for (unsigned i = 0; i < BATCH && logger->n_lines > 0 && !logger->holding; i++) {
		if (!send_line(logger, &logger->ring[logger->first])) {
			logger->retry_us = i > 0 ? RETRY_FIRST_US : logger->retry_us * 2;
			if (logger->retry_us > RETRY_LAST_US)
				logger->retry_us = RETRY_LAST_US;
			flush_soon(logger, logger->retry_us);
			return 0;
		}
		drop_first(logger);
	}
	if (!logger->holding)
		say_dropped(logger);
	flush_soon(logger, 0);
	return 0;
}

void logger_brief(struct logger *logger, const char *text)
{
	char line[256];
	uint64_t now_us;
	int n;

	if (!logger->holding || logger->kmsg_fd < 0)
		return;
	if (sd_event_now(logger->event, CLOCK_MONOTONIC, &now_us) < 0)
		return;
	if (now_us - logger->kmsg_since_us > KMSG_WINDOW_US) {
		logger->kmsg_since_us = now_us;
		logger->kmsg_lines = 0;
	}
	if (logger->kmsg_lines++ >= logger->limits.kmsg_burst)
		return;
	n = snprintf(line, sizeof(line), "<%d>" IDENTIFIER ": %.200s\n", LOG_DAEMON | LOG_INFO,
		     text);
	if (n > 0 && write(logger->kmsg_fd, line, (size_t)n) < 0)
		logger->dropped++;
}

void logger_hold(struct logger *logger, bool holding)
{
	logger->holding = holding;
	if (holding)
		sd_event_source_set_enabled(logger->timer, SD_EVENT_OFF);
	else
		flush_soon(logger, 0);
}

uint64_t logger_dropped(const struct logger *logger)
{
	return logger->dropped;
}
