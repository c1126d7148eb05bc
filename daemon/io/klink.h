/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The link to the kernel module: its generic netlink family.
 *
 * Owns: the sockets, the registration, message coding. Must not own: anything
 * about incidents. Commands are synchronous: the module never blocks in one,
 * and the answer is in the socket when send returns. All return 0 or a
 * negative errno; the kernel's own text for the last refusal is in
 * klink_error(), valid until the next call.
 */
#pragma once

#include <systemd/sd-event.h>

#include "core/failure.h"

struct klink;

/* An announcement comes before all other work: who does not take it in time loses the hold. */
#define KLINK_PRIORITY_EVENTS (SD_EVENT_PRIORITY_NORMAL - 10)

struct klink_info {
	char version[DG_NAME_MAX];
	char boot_id[DG_BOOT_ID_LEN];
	uint32_t hold_ms, cap_ms, activation_ms;
};

/*
 * Callbacks, from the event loop, one a turn: what each starts takes its time.
 * Arguments are valid for the call only.
 */
struct klink_ops {
	void (*event)(void *userdata, const struct dg_request *request);
	void (*done)(void *userdata, const struct dg_done *done);
	/* error: positive errno or 0 */
	void (*completed)(void *userdata, uint32_t token, int error, bool truncated);
	/* a copy of what klink_get_failures() has */
	void (*failure)(void *userdata, const struct dg_failure_record *record);
	/* messages were lost (ENOBUFS): call klink_register(), klink_get_pending() and
	 * klink_get_failures() */
	void (*lost)(void *userdata);
	/* the module came (true: not registered yet) or went (false) */
	void (*module)(void *userdata, bool present);
};

/* -ENOMEM and socket errors. Without the module this still succeeds. */
int klink_new(sd_event *event, const struct klink_ops *ops, void *userdata, struct klink **ret);
struct klink *klink_free(struct klink *link); /* NULL is fine; returns NULL */

bool klink_module_present(struct klink *link);
const char *klink_error(struct klink *link);

/* -ENOENT: no module. -EBUSY: another daemon is registered. */
int klink_register(struct klink *link, struct klink_info *ret);

/* Calls func for each; it may keep nothing of request. */
int klink_get_pending(struct klink *link,
		      void (*func)(void *userdata, const struct dg_request *request),
		      void *userdata);
int klink_take(struct klink *link, uint64_t id);
int klink_ack(struct klink *link, uint64_t id, const uint8_t cookie[DG_COOKIE_LEN]);
int klink_release(struct klink *link, uint64_t id, const uint8_t cookie[DG_COOKIE_LEN]);

/* The deadline is to be ms from now, as far as the cap allows; get_pending tells it. */
int klink_extend(struct klink *link, uint64_t id, const uint8_t cookie[DG_COOKIE_LEN], uint32_t ms);

/* Queue a scan; completed() names the token when it is ready to be fetched. */
int klink_scan_request(struct klink *link, uint64_t id, uint32_t *ret_token);
int klink_scan_device(struct klink *link, dg_dev_t dev, uint32_t *ret_token);
int klink_get_holders(struct klink *link, uint32_t token, struct dg_usage_list *ret);
int klink_get_fs(struct klink *link, uint32_t token, struct dg_fs_list *ret);

int klink_sync(struct klink *link, uint64_t id, uint32_t *ret_token);
int klink_shutdown(struct klink *link, uint64_t id, uint32_t *ret_token);
int klink_sigbus(struct klink *link, uint64_t id, pid_t pid, uint64_t start_ns, uint64_t addr,
		 uint8_t lsb, int code);

/*
 * Memory failures. -EOPNOTSUPP: the module is an older one, and knows none. Func is called
 * for each record while the dump is read, and must say nothing to the kernel; after an
 * error some may be missing, after a dump that was begun again some come twice.
 */
int klink_get_failures(struct klink *link,
		       void (*func)(void *userdata, const struct dg_failure_record *record),
		       void *userdata);
int klink_forget(struct klink *link, uint64_t serial); /* all records up to it */
/* As klink_scan_device(), but of these physical pages alone. */
int klink_scan_range(struct klink *link, dg_dev_t dev, const struct dg_range *range,
		     uint32_t *ret_token);
int klink_sigbus_device(struct klink *link, dg_dev_t dev, struct dg_process process, uint64_t addr,
			uint8_t lsb, int code);
/* badblocks: the disk's list is to have it as well. */
int klink_unmap(struct klink *link, dg_dev_t dev, const struct dg_range *range, bool badblocks,
		uint32_t *ret_token);
int klink_check(struct klink *link, dg_dev_t dev, uint32_t *ret_token);
