/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What rules ask about: the device that goes away or has failed pages, and a process
 * that uses it.
 *
 * Three things are told apart. An attribute may have values; it may be known
 * to have none (a process that is in no container, a device-dax that carries
 * no file system); and it may be unknown, since nobody could say. What is
 * unknown matches nothing, also not under `!`.
 *
 * Texts are bytes, and need not be UTF-8. Nothing here is owned.
 */
#pragma once

#include "core/action.h"

enum dg_rule_event {
	DG_RULE_EVENT_PRE_REMOVE,
	DG_RULE_EVENT_MEMORY_FAILURE,
	_DG_RULE_EVENT_MAX,
};
const char *dg_rule_event_name(enum dg_rule_event event); /* "unknown" outside the range */

/* Several values; none of them if there are none and they are complete. */
struct dg_strings {
	const char *const *items;
	size_t n_items;
	bool complete; /* false: there may be others, or it is unknown */
};

/* One for a disk or dax device; the same for all who use it. */
struct dg_device_facts {
	enum dg_rule_event event;
	/*
	 * All its names: of the disk, of the devices on the nd bus and of the
	 * region (without /dev/), of what is stacked on it; the UUID of its
	 * namespace in lower case; its links in /dev/disk/by-path, without
	 * that directory.
	 */
	struct dg_strings names;
	struct dg_strings drivers;
	struct dg_strings file_systems; /* types: ext4, xfs */
	struct dg_strings mount_points;
};

/* Strings: NULL is unknown, "" is known to have none. */
struct dg_process_facts {
	enum dg_exempt exempt; /* else than DG_EXEMPT_NONE: built-in:protected alone matches */
	uint32_t uses;         /* bit per enum dg_use */
	bool has_uid;
	uid_t uid;         /* effective */
	const gid_t *gids; /* effective and supplementary */
	size_t n_gids;
	bool gids_complete;
	const char *executable; /* as /proc/PID/exe says, " (deleted)" and all */
	const char *command;    /* as /proc/PID/comm, at most 15 bytes */
	const char *unit;       /* of the system */
	const char *user_unit;  /* of the user's own manager */
	const char *cgroup;     /* as /proc/PID/cgroup: "/system.slice/a.service" */
	const char *container;  /* its name */
};

/* Bit per enum dg_use. */
uint32_t dg_uses_of(const struct dg_holder *holder);

/* What a scan, and a look, know of it; the rest is unknown. Refers to the holder. */
void dg_facts_of_holder(const struct dg_holder *holder, struct dg_process_facts *ret);
