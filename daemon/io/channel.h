/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A socket to a program that may be anybody's: messages with borders (SOCK_SEQPACKET),
 * never waited for, and read no faster than a few at a time.
 *
 * Owns: its end of the pair, and its place in the event loop. What is said there is
 * its owner's affair. Descriptors that come with a message are dropped by the kernel.
 */
#pragma once

#include <stddef.h>
#include <systemd/sd-event.h>

struct channel;

#define CHANNEL_MESSAGE_MAX 4096

/* Each may free the channel. text is not ended by NUL; NULL: it was longer than that. */
struct channel_ops {
	void (*message)(void *userdata, const char *text, size_t n);
	void (*closed)(void *userdata);
};

/* A new pair; *ret_peer is the other end, the caller's to close. Errors of socketpair(2). */
int channel_new(sd_event *event, const struct channel_ops *ops, void *userdata,
		struct channel **ret, int *ret_peer);
/* An end that an earlier daemon had; it is taken if that went well. -ENOTSOCK, -ENOMEM. */
int channel_adopt(sd_event *event, int fd, const struct channel_ops *ops, void *userdata,
		  struct channel **ret);
/* Whoever else has our end, as the service manager, keeps it. NULL is fine; returns NULL. */
struct channel *channel_free(struct channel *channel);
struct channel *channel_hang_up(struct channel *channel); /* likewise, but it is the end for all */

int channel_fd(const struct channel *channel);

/* -EAGAIN: it leaves too much unread. -EPIPE, -ECONNRESET: it has hung up. */
int channel_send(struct channel *channel, const char *text);
