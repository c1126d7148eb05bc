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

/* Keep COMPLETED for the event loop. -ENOMEM also marks something as lost. */
int klink_queue_completed(struct klink *link, const struct nlmsghdr *header);
void klink_queue_lost(struct klink *link);
