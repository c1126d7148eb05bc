/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What klink.c (the link itself) and klink-command.c (what is said over it) share. */
#pragma once

#include "io/klink-decode.h"
#include "io/klink-socket.h"
#include "io/klink.h"

struct klink {
	sd_event *event;
	struct klink_ops ops;
	void *userdata;

	/*
	 * Questions, their answers, and COMPLETED; the registration is this
	 * socket's. The other one gets the multicasts, so that a storm of them
	 * cannot drop an answer.
	 */
	struct klink_socket command;
	struct klink_socket events;
	sd_event_source *command_source;
	sd_event_source *events_source;
	sd_event_source *deferred; /* on while something below is to be told */
	sd_event_source *again;    /* on while it is not known whether the module is there */

	uint16_t family; /* 0: the module is not there */
	char error[256];

	/* Arrived while an answer was awaited; told from the event loop. */
	struct klink_completed *completed;
	size_t n_completed;
	bool lost;
};

/* What becomes of the messages of an answer. decode() may be NULL: only the ack counts. */
struct klink_answer {
	struct klink *link;
	int (*decode)(void *to, const void *data, size_t len);
	void *to;
	size_t n_messages;
};
bool klink_is_there(struct klink *link); /* or says why not */
struct nl_msg *klink_command_new(struct klink *link, uint8_t command, int flags); /* or NULL */
/* Consumes msg; NULL is -ENOMEM, so that a chain of puts is checked once. */
int klink_ask(struct klink *link, struct nl_msg *msg, struct klink_answer *answer);
/* A command that is answered by a token now and by COMPLETED later; likewise. */
int klink_ask_token(struct klink *link, struct nl_msg *msg, uint32_t *ret_token);

/* Keep COMPLETED for the event loop. -ENOMEM also marks something as lost. */
int klink_queue_completed(struct klink *link, const struct nlmsghdr *header);
void klink_queue_lost(struct klink *link);
