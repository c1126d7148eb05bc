/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the kernel side says, as plain values.
 *
 * The core knows no netlink: the adapter (io/klink) turns messages into these
 * and back. All memory belongs to the containing object and is released by
 * the matching _done(); strings are never NULL after a successful decode,
 * empty where the kernel said nothing. Times are milliseconds unless named
 * otherwise; a dev_t is dg_dev_t: major in the upper 32 bits, minor in the
 * lower; pids are those of the initial pid namespace.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

typedef uint64_t dg_dev_t;
#define DG_DEV(major, minor) (((uint64_t)(major) << 32) | (uint32_t)(minor))
#define DG_DEV_MAJOR(dev) ((uint32_t)((dev) >> 32))
#define DG_DEV_MINOR(dev) ((uint32_t)(dev))

#define DG_NAME_MAX 64
#define DG_COOKIE_LEN 16
#define DG_UUID_LEN 16
#define DG_COMM_LEN 16
#define DG_BOOT_ID_LEN 37 /* a UUID as text, and its NUL */

/* How a hold ended; dg_result_name() is the stable name used everywhere. */
enum dg_result {
	DG_RESULT_NONE,
	DG_RESULT_ACKED,
	DG_RESULT_RELEASED,
	DG_RESULT_TIMEOUT,
	DG_RESULT_NO_DAEMON,
	DG_RESULT_KILLED,
	DG_RESULT_STOPPING,
	_DG_RESULT_MAX,
};

enum dg_revoke {
	DG_REVOKE_NONE,
	DG_REVOKE_CLEAN,
	DG_REVOKE_PINNED,
	DG_REVOKE_BUSY,
	_DG_REVOKE_MAX,
};

enum dg_mode {
	DG_MODE_UNKNOWN,
	DG_MODE_RAW,
	DG_MODE_SECTOR,
	DG_MODE_FSDAX,
	DG_MODE_DEVDAX,
	_DG_MODE_MAX,
};

/* State of a request as the module sees it. */
enum dg_kstate {
	DG_KSTATE_ANNOUNCED,
	DG_KSTATE_TAKEN,
	DG_KSTATE_ORPHANED,
	DG_KSTATE_REVOKING,
	DG_KSTATE_CLOSING,
	_DG_KSTATE_MAX,
};

enum dg_use {
	DG_USE_MAPPED,
	DG_USE_OPEN,
	DG_USE_CWD,
	DG_USE_ROOT,
	DG_USE_EXE,
	DG_USE_KERNEL,
	_DG_USE_MAX,
};

/* Names: lower case, as documented in daxguardctl(1); "unknown" outside the range. */
const char *dg_result_name(enum dg_result result);
const char *dg_revoke_name(enum dg_revoke revoke);
const char *dg_mode_name(enum dg_mode mode);
const char *dg_kstate_name(enum dg_kstate state);
const char *dg_use_name(enum dg_use use);

struct dg_range {
	uint64_t start, len; /* physical, bytes */
};

/* A partition of a target, or a dm or md device stacked on it. */
struct dg_layer {
	char name[DG_NAME_MAX];
	dg_dev_t dev;
};

/* One disk or dax device that goes away. */
struct dg_target {
	char name[DG_NAME_MAX];      /* pmem0 */
	char ns_device[DG_NAME_MAX]; /* pfn0.0 */
	dg_dev_t dev;
	enum dg_mode mode;
	bool in_use;
	bool has_uuid;
	uint8_t uuid[DG_UUID_LEN];
	struct dg_range *ranges;
	size_t n_ranges;
	struct dg_layer *layers; /* bottom up, the disk itself not included */
	size_t n_layers;
};

/* In lower case, with hyphens. */
void dg_uuid_text(const uint8_t uuid[static DG_UUID_LEN], char ret[static DG_BOOT_ID_LEN]);

/* A removal that the kernel holds for us. */
struct dg_request {
	uint64_t id;
	char boot_id[DG_BOOT_ID_LEN];
	uint8_t cookie[DG_COOKIE_LEN];
	char device[DG_NAME_MAX]; /* the device that loses its driver */
	char bus[DG_NAME_MAX];
	char driver[DG_NAME_MAX];
	bool surprise;   /* hardware is already gone: do not sync */
	bool taken_over; /* an earlier daemon had it */
	bool by_user; /* asked for in user space: nobody holds it, and it is unbound at the end */
	bool forced;  /* … also if it carries the system (but "/"), or somebody stays */
	enum dg_kstate state;
	uint32_t deadline_ms; /* left at the time of decoding */
	uint32_t elapsed_ms;  /* since the hold began */
	uint32_t cap_ms;      /* hard cap, from its begin */
	pid_t unbinder_pid;   /* 0: a kernel thread */
	uint64_t unbinder_start_ns;
	struct dg_target *targets;
	size_t n_targets;
};

/* How a hold ended, and what the revoke found. */
struct dg_done {
	uint64_t id;
	enum dg_result result;
	enum dg_revoke revoke;
	uint64_t inodes, entries, vmas, pages_pinned;
	uint32_t shutdowns;
	uint64_t held_us, revoke_us;
};

enum {
	DG_HOLDER_SHARED = 1 << 0,
	DG_HOLDER_WRITE = 1 << 1,
	DG_HOLDER_EXEC = 1 << 2,
	DG_HOLDER_ZOMBIE_LEADER = 1 << 3,
	DG_HOLDER_STOPPED = 1 << 4,
	DG_HOLDER_TRACED = 1 << 5,
	DG_HOLDER_UNBINDER = 1 << 6,
	DG_HOLDER_BLOCKED = 1 << 7, /* uninterruptible sleep */
};

/* One use of the device by one process, as a scan reports it. */
struct dg_usage {
	pid_t pid;         /* 0: the kernel itself */
	pid_t tid;         /* a live thread */
	pid_t shared_with; /* of a mapping: who has the same memory; 0: nobody listed before */
	uint64_t start_ns;
	char comm[DG_COMM_LEN];
	uid_t uid;
	uint64_t sig_caught, sig_blocked, sig_ignored; /* bit N-1: signal N */
	enum dg_use use;
	uint32_t flags; /* DG_HOLDER_* */
	dg_dev_t fs_dev;
	uint64_t ino;
	uint64_t addr, len, offset; /* of a mapping; else 0 */
	uint32_t count;
};

struct dg_usage_list {
	struct dg_usage *items;
	size_t n_items;
	bool truncated; /* the kernel could not list all */
};

enum {
	DG_FS_LIVE = 1 << 0,
	DG_FS_MOUNTED = 1 << 1,
	DG_FS_DYING = 1 << 2,
	DG_FS_FROZEN = 1 << 3,
	DG_FS_RDONLY = 1 << 4,
	DG_FS_DAX = 1 << 5,
	DG_FS_UNKNOWN = 1 << 6,
};

/* A superblock on the device. */
struct dg_fs {
	dg_dev_t fs_dev;    /* s_dev, as in mountinfo */
	dg_dev_t block_dev; /* through which it was found */
	char type[DG_NAME_MAX];
	uint32_t flags; /* DG_FS_* */
	uint64_t inodes, entries;
};

struct dg_fs_list {
	struct dg_fs *items;
	size_t n_items;
	bool truncated;
};

void dg_request_done(struct dg_request *request);
int dg_request_copy(const struct dg_request *from, struct dg_request *ret); /* -ENOMEM */
void dg_usage_list_done(struct dg_usage_list *list);
void dg_fs_list_done(struct dg_fs_list *list);
