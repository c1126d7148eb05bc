/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A program that has asked to be told before a device goes away.
 *
 * As text it is the name under which the service manager keeps its socket for the next
 * daemon, so both are there or neither: "reg," and a record (core/record.h) with commas
 * between its fields. systemd takes printable ASCII without colons, 255 of it.
 */
#pragma once

#include "core/holder.h"

#define DG_REGISTRATION_NAME_MAX 33  /* and its NUL */
#define DG_REGISTRATION_TEXT_MAX 256 /* likewise */
#define DG_REGISTRATION_PREFIX "reg,"

struct dg_registration {
	uint64_t id;
	struct dg_process process;
	uid_t uid;         /* who asked */
	uint64_t since_us; /* real time */
	char device[DG_NAME_MAX];
	char uuid[DG_BOOT_ID_LEN];           /* of its namespace; "" for none */
	char name[DG_REGISTRATION_NAME_MAX]; /* what it calls itself; "" for none */
};

/* Letters, digits and . _ @ + -, 32 at most. */
bool dg_registration_name_is_valid(const char *name);

/* -EINVAL: there is something in it that cannot be said there. -E2BIG. -ENOMEM. */
int dg_registration_write(const struct dg_registration *registration,
			  char ret[static DG_REGISTRATION_TEXT_MAX]);
int dg_registration_read(const char *text, struct dg_registration *ret); /* -EINVAL */

/* The removal takes its device away. */
bool dg_registration_concerns(const struct dg_registration *registration,
			      const struct dg_request *request);
