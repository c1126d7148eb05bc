/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The journal, and why not while somebody waits for us.
 *
 * Owns: a ring of messages that were not written yet, the sockets to journald
 * and /dev/kmsg. Must not own: what a message says.
 *
 * journald may itself wait for a device that is held. So between
 * logger_hold(true) and (false) nothing is written but short lines to the
 * kernel's own log, which waits for nobody; and after it nothing that could
 * block: the socket is non-blocking, and what does not fit is tried again
 * later. That is why this speaks journald's native protocol
 * (https://systemd.io/JOURNAL_NATIVE_PROTOCOL) by itself: sd_journal_sendv()
 * waits for a full queue to be read.
 *
 * journald learns a sender's unit from /proc when it reads the message. What is
 * said last, often all that was held back, may be read after we are gone: so each
 * message names our unit itself, in the field that journalctl -u looks at too
 * (OBJECT_SYSTEMD_UNIT=, systemd.journal-fields(7)).
 */
#pragma once

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <systemd/sd-event.h>

struct logger;

struct logger_field {
	const char *name, *value; /* value NULL: not there */
};

struct logger_message {
	int priority;     /* LOG_* of syslog(3) */
	const char *id;   /* MESSAGE_ID, or NULL */
	const char *text; /* cut to DG_LOG_LINE_MAX */
	const struct logger_field *fields;
	size_t n_fields;
};

struct logger_limits {
	size_t ring_max, line_max;
	unsigned kmsg_burst; /* lines in 5 s */
};

/*
 * journal: path of its socket; kmsg: of the kernel's log. Neither need be there.
 * unit: the one we run in, or NULL. -ENOMEM.
 */
int logger_new(sd_event *event, const char *journal, const char *kmsg, const char *unit,
	       const struct logger_limits *limits, struct logger **ret);
/* What can be written at once is, even in a hold; how much was lost the kernel's log is told. */
struct logger *logger_free(struct logger *logger);

/* Never fails, never waits: what cannot be kept is counted. */
void logger_write(struct logger *logger, const struct logger_message *message);

/* One short line for the kernel's log, only while holding. */
void logger_brief(struct logger *logger, const char *text);

void logger_hold(struct logger *logger, bool holding);

/* Messages that were lost since the start. */
uint64_t logger_dropped(const struct logger *logger);
