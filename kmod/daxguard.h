/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * daxguard.ko: what its files share.
 *
 * Locks, outermost first:
 *
 *	device_lock of the device that is removed (the driver core's; held all
 *	    through a hold)
 *	dg_lock              the list of requests, their states, the snapshots;
 *	                     held for short, never over anything that blocks
 *	dg_record_lock       the records of failures (record.c)
 *	dg_event_lock        raw: what the probes have seen (source-failure.c)
 *
 * A lock of somebody else's (s_umount, open_mutex, bd_holder_lock,
 * invalidate_lock) is only ever tried, up to lock_ms, so that one that is kept
 * for ever costs a removal lock_ms and the word BUSY, not the machine. What
 * the kernel itself takes inside a sync, a thaw or an unmap is its own.
 */
#ifndef _DAXGUARD_H
#define _DAXGUARD_H

#include <linux/blkdev.h>
#include <linux/dax.h>
#include <linux/device.h>
#include <linux/fs.h>
#include <linux/jiffies.h>
#include <linux/kref.h>
#include <linux/ktime.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/uuid.h>
#include <linux/wait.h>
#include <linux/workqueue.h>

#include "uapi/daxguard.h"

#define DG_VERSION "1"

struct netlink_callback;
struct sk_buff;

/* main.c: parameters (milliseconds) and what everybody needs */
extern unsigned int dg_hold_ms;
extern unsigned int dg_cap_ms;
extern unsigned int dg_activation_ms;
extern unsigned int dg_takeover_ms;
extern unsigned int dg_umount_ms;
extern unsigned int dg_lock_ms;
extern bool dg_pinned_wait;
extern struct mutex dg_lock;

/* Counters since the module was loaded; shown in debugfs. */
struct dg_counters {
	atomic64_t removals;	/* removals seen, held or not */
	atomic64_t held;
	atomic64_t not_held;	/* not in use */
	atomic64_t joined;	/* a second task met a held device */
	atomic64_t results[DAXGUARD_RESULT_STOPPING + 1];
	atomic64_t revokes[DAXGUARD_REVOKE_BUSY + 1];
	atomic64_t inodes;
	atomic64_t entries;
	atomic64_t shutdowns;
	atomic64_t signals;
	atomic64_t scans;
	atomic64_t refused;	/* commands refused */
	atomic64_t failures;	/* of pages of guarded devices */
	atomic64_t failures_other;	/* of other memory */
	atomic64_t failures_widened;
	atomic64_t unmaps;
};

extern struct dg_counters dg_counters;

/*
 * One block device on which a target's memory shows: the disk itself, its
 * partitions, and what dm and md built on them.
 */
struct dg_layer {
	struct block_device *bdev;	/* reference on bd_device */
	bool stacked;			/* dm, …: not the disk's own */
	bool carries;			/* partitions, or what is built directly on it */
};

#define DG_LAYERS_MAX 64

struct dg_layers {
	unsigned int nr;
	bool truncated;			/* too many, or a lock not had */
	bool md;			/* part of a md array, which is not a layer */
	struct dg_layer at[DG_LAYERS_MAX];
};

/*
 * A layer's name and number, as announced, or those of the device from which a
 * file system on it is mounted: what was there when the hold began.
 */
struct dg_stacked {
	char name[DISK_NAME_LEN + 8];
	dev_t dev;
};

/* A disk or a device-dax that goes away with the device. */
struct dg_target {
	struct list_head node;
	struct device *nd_dev;		/* reference */
	struct device *dev;		/* reference; the disk's or the character device's */
	struct gendisk *disk;		/* NULL: a character device */
	struct dax_device *dax;		/* reference; NULL: no DAX */
	struct module *owner;		/* reference on the driver, or NULL */
	unsigned long pfn;		/* first of the data */
	unsigned long nr_pfns;		/* 0: no struct pages, or a character device */
	u8 mode;			/* enum daxguard_mode */
	bool in_use;
	bool has_uuid;
	uuid_t uuid;
	struct dg_stacked *stack;	/* without the disk itself */
	unsigned int nr_stack;
};

struct dg_revoked {
	u64 inodes;
	u64 entries;
	u64 vmas;
	u64 pinned;
	u64 left;			/* pages still referred to, at the end */
	u32 shutdowns;
	bool busy;
};

/* A removal. Lives from UNBIND to UNBOUND of one device. */
struct dg_request {
	struct list_head node;		/* dg_lock */
	struct kref kref;
	u64 id;
	u8 cookie[DAXGUARD_COOKIE_LEN];
	struct device *dev;		/* the one that loses its driver */
	char device[DAXGUARD_NAME_MAX];
	char bus[DAXGUARD_NAME_MAX];
	char driver[DAXGUARD_NAME_MAX];
	u32 flags;			/* DAXGUARD_F_* */
	bool held;			/* announced; else only revoked */
	struct task_struct *task;	/* the removing task; never dereferenced */
	pid_t unbinder_pid;
	u64 unbinder_start_ns;
	struct list_head targets;	/* constant once the request is listed */

	/* dg_lock */
	u8 state;			/* enum daxguard_state */
	u8 result;			/* enum daxguard_result */
	u8 revoke;			/* enum daxguard_revoke */
	u32 port;			/* who took it; 0: nobody */
	ktime_t begin;
	ktime_t cap;			/* never later than this */
	ktime_t until;			/* the wait that runs now */
	ktime_t ended;
	bool syncing;			/* a SYNC or SHUTDOWN is queued */

	wait_queue_head_t wq;		/* end of the hold, and of the revoke */
	struct dg_revoked revoked;
	u64 revoke_us;
};

/* target.c */
int dg_targets_collect(struct device *dev, struct list_head *targets);
void dg_targets_free(struct list_head *targets);
/* Any guarded one, or NULL, or ERR_PTR: try again. Free with _free. */
struct dg_target *dg_target_by_dev(dev_t dev);
void dg_target_free(struct dg_target *target);
const char *dg_target_name(const struct dg_target *target);

/* The value of an attribute of its type whose show method takes no lock, in a zeroed page. */
bool dg_dev_attribute(struct device *dev, const char *name, char *page);

/* A physically contiguous part of a target, and where it begins on the target. */
struct dg_part {
	unsigned long pfn, nr;
	u64 offset;
};

/* The part in which @pfn is; false: in none. */
bool dg_target_part(const struct dg_target *target, unsigned long pfn, struct dg_part *ret);
/* Any guarded one with that page, or NULL, or ERR_PTR: try again. Free with _free. */
struct dg_target *dg_target_by_pfn(unsigned long pfn);

/* chardev.c: device-dax */
int dg_chardev_init(void);
bool dg_dev_is_dax(const struct device *dev);		/* on the bus of device-dax */
bool dg_dev_is_chardev(const struct device *dev);	/* and processes can map it */
struct dax_device *dg_chardev_dax(const struct device *dev);
struct address_space *dg_target_mapping(const struct dg_target *target);
unsigned long dg_chardev_first(struct device *dev);
bool dg_chardev_part(const struct dg_target *target, unsigned long pfn, struct dg_part *ret);

/* layer.c */
/* end: until when to try for locks, in jiffies */
void dg_layers_collect(struct dg_target *target, struct dg_layers *layers, unsigned long end);
int dg_target_name_stack(struct dg_target *target);
void dg_layers_put(struct dg_layers *layers);

/* claim.c: superblocks on a target */
enum dg_claim {
	DG_CLAIM_NONE,
	DG_CLAIM_FS,			/* a superblock's */
	DG_CLAIM_DYING,			/* an umount (or mount) is under way */
	DG_CLAIM_TYPE,			/* a file system's, of which no superblock is known */
	DG_CLAIM_KERNEL,		/* swap, and what else keeps its owner to itself */
	DG_CLAIM_OTHER,			/* an exclusive open, dm, … */
	DG_CLAIM_LOCKED,		/* could not be seen in time */
};

/* What claims a target, looked at without taking a reference. */
struct dg_claims {
	unsigned int fs, dying, type, kernel, stacked;
	bool dax_held;			/* the DAX device has a holder */
	bool mapped;			/* a device-dax is, by a process */
	bool unseen;			/* a lock could not be had */
};

#define DG_SUPERS_MAX DG_LAYERS_MAX

struct dg_super {
	struct super_block *sb;		/* active reference */
	dev_t dev;			/* through which it was found */
};

struct dg_supers {
	unsigned int nr;
	struct dg_claims claims;
	bool truncated;
	struct dg_super at[DG_SUPERS_MAX];
};

void dg_supers_collect(struct dg_target *target, struct dg_supers *supers, unsigned long end);
void dg_supers_put(struct dg_supers *supers);
bool dg_supers_has(const struct dg_supers *supers, const struct super_block *sb);
void dg_claims_look(struct dg_target *target, unsigned long end, const struct super_block *wanted,
		    struct dg_claims *ret, bool *found);
bool dg_target_in_use(struct dg_target *target);
bool dg_layer_mounted(const struct dg_layer *layer, unsigned long end, struct dg_stacked *ret);
int dg_super_sync(struct super_block *sb);
int dg_super_shutdown(struct super_block *sb, bool surprise);
void dg_super_thaw(struct super_block *sb);

/* inode.c: DAX inodes and the pages behind them */
struct dg_entries {
	u64 in_range;			/* entries whose pfn is the target's */
	u64 total;
	u64 busy;			/* pages of those that have references */
};

void dg_entries_count(struct address_space *mapping, const struct dg_target *target,
		      struct dg_entries *ret);
/* fn returns true to stop; the inode is referenced during the call */
typedef bool (*dg_inode_fn)(struct inode *inode, void *ctx);
/* -EAGAIN: some inodes were being freed and could not be looked at */
int dg_super_walk_inodes(struct super_block *sb, bool (*is_wanted)(struct inode *inode),
			 dg_inode_fn fn, void *ctx);
bool dg_inode_is_dax(struct inode *inode);
bool dg_inode_is_used(struct inode *inode);
struct dg_pages {
	u64 referred;			/* belong to a file */
	u64 pinned;			/* somebody holds a reference */
};

/* What a page says of itself, without any reference. */
enum dg_place_kind {
	DG_PLACE_NONE,			/* no file that was mapped */
	DG_PLACE_FILE,
	DG_PLACE_SHARED,		/* several files */
	DG_PLACE_DEVICE,		/* a device-dax, which is its own file */
	DG_PLACE_UNKNOWN,		/* not looked at, or not all the same */
};

struct dg_place {
	enum dg_place_kind kind;
	dev_t fs_dev;
	u64 ino;
	u32 generation;
	u64 offset;			/* in the file */
};

void dg_page_place(struct page *page, struct dg_place *ret);

/* Contiguous pages of a target, as a command names them. */
struct dg_range {
	unsigned long pfn, nr;		/* nr 0: no range, the whole target */
};

/* @nr pages of a file, from @index on, are in the range; true: stop */
typedef bool (*dg_run_fn)(struct inode *inode, pgoff_t index, unsigned long nr, void *ctx);
/* false: not all could be looked at. range.c */
bool dg_range_walk(struct dg_target *target, const struct dg_range *range, unsigned long end,
		   dg_run_fn fn, void *ctx);
int dg_range_cut(const struct dg_target *target, u64 start, u64 len, struct dg_range *ret);
int dg_range_unmap(struct dg_target *target, const struct dg_range *range, bool badblocks,
		   bool *truncated);
/* An inode of the target's page with an active reference on its superblock; inode.c */
struct inode *dg_page_inode(struct page *page, bool *referred);
void dg_put_inode_active(struct inode *inode);
/* Runs of entries that point into the range. */
bool dg_entries_walk(struct inode *inode, const struct dg_range *range, dg_run_fn fn, void *ctx);

/* every inode that a page of the target names; fn may be NULL */
void dg_target_walk_pages(const struct dg_target *target, dg_inode_fn fn, void *ctx,
				   struct dg_pages *ret);
bool dg_trylock_until(bool (*try)(void *lock), void *lock, unsigned long end);
unsigned long dg_locks_end(void);		/* lock_ms from now, in jiffies */
bool dg_trylock(bool (*try)(void *lock), void *lock);	/* until then */
bool dg_try_read(void *rwsem);
bool dg_try_write(void *rwsem);
bool dg_try_mutex(void *mutex);

/* snapshot.c */
#define DG_USAGES_MAX 65536

struct dg_usage {
	u32 pid, tid;
	u64 start_ns;
	char comm[16];
	u32 uid;
	u64 caught, blocked, ignored;
	u8 use;				/* enum daxguard_use */
	u32 flags;			/* DAXGUARD_H_* */
	dev_t fs_dev;
	u64 ino;
	u64 addr, len, offset;
	u32 count;
	u32 shared_with;		/* pid of who was found before with the same mm, or 0 */
};

struct dg_fs {
	dev_t fs_dev, dev;
	char type[32];
	u32 flags;
	u64 inodes, entries;
};

struct dg_snapshot {
	struct list_head node;		/* dg_lock */
	struct kref kref;
	u32 port;
	u32 token;
	bool ready;
	bool truncated;
	int error;
	unsigned long locks_end;	/* jiffies; of all locks of all its targets */
	struct dg_usage *usages;
	unsigned int nr_usages, max_usages;
	struct dg_fs *fs;
	unsigned int nr_fs, max_fs;
};

/* range: NULL, or of the target */
int dg_snapshot_queue(u32 port, struct dg_request *req, struct dg_target *target,
		      const struct dg_range *range, u32 *ret_token);
struct dg_snapshot *dg_snapshot_get(u32 port, u32 token);	/* or ERR_PTR */
void dg_snapshot_put(struct dg_snapshot *snap);
void dg_snapshot_drop_port(u32 port);
struct dg_usage *dg_snapshot_usage(struct dg_snapshot *snap);	/* zeroed; NULL: full */
struct dg_fs *dg_snapshot_fs(struct dg_snapshot *snap);
void dg_drop_super(struct super_block *sb);	/* the last reference: in the worker */
int dg_save_queue(u32 port, struct dg_request *req, bool shutdown, u32 *ret_token);
/* Takes over the target, also on failure. */
int dg_unmap_queue(u32 port, struct dg_target *target, const struct dg_range *range,
		   bool badblocks, u32 *ret_token);
int dg_check_queue(u32 port, struct dg_target *target, u32 *ret_token);
bool dg_worker_queue(struct work_struct *work);
int dg_worker_init(void);
void dg_worker_exit(void);

/* holders.c */
/* req: NULL, or whose end ends the scan; range: NULL, or only who maps that */
void dg_scan_target(struct dg_snapshot *snap, struct dg_target *target, struct dg_request *req,
		    const struct dg_range *range);
extern const struct task_struct *dg_telling;
/* Of a request or of a target. */
int dg_sigbus(struct dg_request *req, struct dg_target *target, pid_t pid, u64 start_ns,
	      unsigned long addr, u8 lsb, const char **why);

/* hold.c */
extern struct list_head dg_requests;	/* dg_lock */
void dg_hold_init(void);
void dg_removal(struct device *dev);
void dg_removed(struct device *dev);
struct dg_request *dg_request_get(u64 id);	/* referenced or NULL */
void dg_request_put(struct dg_request *req);
bool dg_request_end(struct dg_request *req, u8 result);	/* dg_lock; false: had ended */
int dg_request_take(struct dg_request *req, u32 port);	/* dg_lock */
void dg_request_extend(struct dg_request *req, u32 ms);	/* dg_lock */
u32 dg_request_left_ms(const struct dg_request *req);	/* dg_lock */
void dg_daemon_gone(u32 port);
bool dg_suspend_begin(void);	/* false: a hold is pending */
void dg_suspend_end(void);
void dg_requests_drain(void);
void dg_stop_all(void);

/* revoke.c */
void dg_revoke(struct dg_request *req);
void dg_revoke_again(struct dg_target *target, u32 flags);
const char *dg_request_live_fs(struct dg_request *req);

/* genl.c */
int dg_genl_init(void);
void dg_genl_exit(void);
void dg_genl_event(struct dg_request *req);
struct sk_buff *dg_genl_done_alloc(void);	/* or NULL */
void dg_genl_done(struct dg_request *req, struct sk_buff *msg);	/* dg_lock; takes over msg */
void dg_genl_completed(u32 port, u32 token, int error, bool truncated);
struct dg_failure;
int dg_genl_failure(const struct dg_failure *failure, bool more);	/* 0, or no memory */
u32 dg_registered_port(void);		/* dg_lock; 0: nobody */
void dg_unregister_port(u32 port);	/* dg_lock */

/* uevent.c */
int dg_uevent_init(void);
void dg_uevent_exit(void);
void dg_uevent(const struct dg_request *req, const char *event);
void dg_uevent_failure(u64 serial, const char *device);
extern char dg_boot_id[37];

/* status.c */
void dg_status_init(void);
void dg_status_exit(void);
const char *dg_state_name(u8 state);
const char *dg_result_name(u8 result);

/* source-remove.c */
int dg_source_remove_init(void);
void dg_source_remove_exit(void);
struct device *dg_chardev_find(dev_t devt);	/* referenced or NULL */
/* Each device of both buses, until @fn returns not 0. */
int dg_devices_each(int (*fn)(struct device *dev, void *data), void *data);

#endif
