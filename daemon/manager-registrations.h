/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Programs that have asked to be told, for the manager-*.c files only.
 *
 *	manager-registrations.c  who they are, and their sockets
 *	manager-cooperation.c    when they are told, and what they say
 */
#pragma once

#include "core/registration.h"
#include "manager-internal.h"

/* manager-registrations.c */
void registrations_begin(struct manager *m); /* those of before, from the service manager */
void registrations_done(struct manager *m);  /* it keeps them */
const struct dg_registration *registration_what(const struct registration *registration);
int registration_say(struct registration *registration, const char *text); /* channel_send() */
/* Of this process, for this removal. NULL: there is no other. */
struct registration *registrations_next(const struct manager *m, const struct dg_request *request,
					struct dg_process process, struct registration *after);
void registrations_mark(const struct manager *m, const struct dg_request *request,
			struct dg_holder_list *holders);

/* manager-cooperation.c */
/*
 * Told now, and written down: "told", or why not. grace_ms: until the next rung. NULL: nobody
 * has registered.
 */
const char *cooperation_tell(struct incident *incident, size_t entry, uint32_t grace_ms);
void cooperation_begin(struct incident *incident, size_t entry); /* of a ladder */
void cooperation_joined(struct manager *m, const struct registration *registration);
/* text: NULL: it was too long */
void cooperation_said(struct manager *m, struct registration *registration, const char *text,
		      size_t n);
void cooperation_state(const struct manager *m, const struct registration *registration,
		       uint64_t *ret_incident, const char **ret_state);
