/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/*
 * daxguard: the contract between daxguard.ko and the daemon that answers it.
 *
 * This is the only file that both sides include.
 *
 * A hold
 * ------
 * When a device that carries pmem or DAX memory is about to lose its driver
 * and somebody uses it, the module holds the teardown: the task that removes
 * the device sleeps in the module, an EVENT is multicast, a uevent is sent as
 * a doorbell, and the registered daemon is given a bounded time to take the
 * data and the processes off the device.
 *
 *	A hold that the module announces ends exactly once, with one of the
 *	results of enum daxguard_result, no later than its hard cap, and
 *	whatever ended it, the module revokes all DAX mappings before the
 *	teardown goes on.
 *
 * The life of a request, seen from the daemon:
 *
 *	REGISTER            once per socket; the one daemon of this machine
 *	GET_PENDING (dump)  what is held already; EVENTs are copies of it
 *	<- EVENT            repeated every second until somebody takes it
 *	TAKE                the daemon is at work; ends the activation wait
 *	SCAN ... COMPLETED  who uses the device; read with GET_HOLDERS, GET_FS
 *	SIGBUS, SYNC, SHUTDOWN, EXTEND   as needed
 *	ACK                 nothing lives there any more: go on
 *	  or RELEASE        somebody must stay: go on all the same
 *	<- DONE             how the hold ended and what the revoke found
 *
 * The multicast message may be lost (ENOBUFS); the dump of GET_PENDING is the
 * truth. A socket that is closed ends its registration; what it had taken
 * waits for another daemon to register and TAKE, takeover_ms of the module.
 *
 * A memory failure
 * ----------------
 * When the kernel handles a failed page of a guarded device, the module keeps
 * a record of it, multicasts a FAILURE and sends a uevent. Nothing is held and
 * nothing waits: the record is what is left of it.
 *
 *	A record is one physically contiguous range of one device, with one
 *	place: a run of one file, or none that the pages tell. A new page that
 *	continues both extends the record, which gets a new serial.
 *
 * A record stays until the registered daemon has put it into its ledger and
 * says so with FORGET, or until the module is unloaded. No range is lost in a
 * burst: beyond DAXGUARD_FAILURES_MAX records, and where pages fail faster than
 * they can be looked up, the nearest record is widened over the new page
 * (DAXGUARD_FAIL_WIDENED), so that good pages lie in it. FAILUREs are
 * multicast only for the first few of a burst (DAXGUARD_FAIL_MORE); the dump
 * of GET_FAILURES is the truth. uevents come at most once a second.
 *
 *	REGISTER
 *	GET_FAILURES (dump)     what is kept, in order of serial
 *	<- FAILURE              copies of it, as they come
 *	SCAN {DEV, START, LEN} ... COMPLETED, GET_HOLDERS   who maps these pages
 *	SIGBUS {DEV, ...}       for each that is not in TOLD
 *	UNMAP {DEV, START, LEN}  if wanted
 *	FORGET {FAILURE}        when all up to that serial is in the ledger
 *
 * What the pages tell is the file through a mapping of which they were touched.
 * File data that was only read and written, metadata and free space are all
 * DAXGUARD_FAIL_NO_FILE, and a block shared by several files is
 * DAXGUARD_FAIL_SHARED: ask the file system (FS_IOC_GETFSMAP) for these. A SCAN
 * of the range finds the mappers of all files that share it, but nobody who maps
 * what nobody has touched; of a whole device it finds these.
 *
 * The list of bad blocks of a disk (/sys/block/NAME/badblocks, which poll(2)
 * tells changes of) is nothing a module is told of. Whoever sees it change, or
 * a disk appear, sends CHECK, and the module turns what is listed into records
 * of DAXGUARD_SOURCE_BADBLOCKS.
 *
 * Failed pages of ordinary memory and hugetlb, and of devices that are not
 * guarded, are counted (in debugfs) and otherwise ignored. A failure of a device
 * that is being removed is DAXGUARD_FAIL_REMOVING, and changes nothing about the
 * removal; the record outlives the device, but with the device gone SCAN,
 * SIGBUS, UNMAP and CHECK say -ENODEV.
 *
 * Rules for every command
 * -----------------------
 * The sender needs CAP_SYS_ADMIN in the initial user namespace, and the
 * initial network namespace. Attributes are checked strictly: an unknown one
 * or one of a wrong type or length is refused. Every refusal carries a text
 * in NLMSGERR_ATTR_MSG, except that 6.1 gives a dump none. Common errors:
 *
 *	-EPERM   no CAP_SYS_ADMIN
 *	-EINVAL  an attribute is missing, unknown or malformed
 *	-ERANGE  an attribute's value or length is out of bounds
 *	-ENOENT  no such request: unknown id, ended, or a foreign cookie
 *	-EACCES  only the registered daemon may say this
 *
 * Units and encodings: times are milliseconds (u32) unless the name ends in
 * _NS; dev_t is u64 with the major number in the upper 32 bits and the minor
 * in the lower; pids are those of the initial pid namespace; a process is
 * named by pid *and* start time, which is nanoseconds since boot, suspend
 * included (what /proc/PID/stat shows in field 22, before it is cut to clock
 * ticks); addresses, offsets and lengths are bytes (u64). Integers are in
 * host byte order. Lists of one kind repeat the attribute.
 */
#ifndef _UAPI_LINUX_DAXGUARD_H
#define _UAPI_LINUX_DAXGUARD_H

#define DAXGUARD_GENL_NAME	"daxguard"
#define DAXGUARD_GENL_VERSION	1
#define DAXGUARD_MCGRP_EVENTS	"events"	/* needs CAP_SYS_ADMIN */
#define DAXGUARD_MISC_NAME	"daxguard"	/* uevents: SUBSYSTEM=misc */

#define DAXGUARD_COOKIE_LEN	16	/* random, per request */
#define DAXGUARD_UUID_LEN	16
#define DAXGUARD_TAKEOVER_MS	2000	/* default grace after a daemon's death */
#define DAXGUARD_NAME_MAX	64	/* longest device or disk name + NUL */
#define DAXGUARD_FAILURES_MAX	16384	/* records of failures that are kept */
#define DAXGUARD_TOLD_MAX	512	/* of these, TOLDs in each */
#define DAXGUARD_TOLD_SUM_MAX	(3 << 20) /* and in all of them: 96 MiB */

/*
 * enum daxguard_cmd - what a message is.
 *
 * @DAXGUARD_CMD_REGISTER: This socket is the daemon. No attributes. Replied
 *	to with VERSION, BOOT_ID, HOLD_MS, CAP_MS, ACTIVATION_MS. -EBUSY:
 *	another socket is registered. Repeating it from the same socket is
 *	harmless.
 * @DAXGUARD_CMD_TAKE: {ID} The daemon works on this request from now on.
 *	Starts the deadline. Idempotent.
 * @DAXGUARD_CMD_ACK: {ID, COOKIE} The device is free; go on. -EBUSY with a
 *	reason while the module still sees a file system on it that has not
 *	been unmounted, or a mapping of a device-dax; the hold stays. Idempotent:
 *	0 also for a request that an ACK has ended, as long as the teardown is
 *	under way.
 * @DAXGUARD_CMD_RELEASE: {ID, COOKIE} As ACK, without that check: the daemon
 *	has done what it may, somebody stays (policy says so, a system device,
 *	a mount that cannot be unmounted). The module syncs and shuts down
 *	what is still live.
 * @DAXGUARD_CMD_EXTEND: {ID, COOKIE, MS} The deadline becomes MS from now, at
 *	most what the cap leaves. Replied to with DEADLINE_MS, what is left.
 * @DAXGUARD_CMD_GET_PENDING: dump. One message (as EVENT) per request that
 *	DONE has not been sent for, in order of their ids; COOKIE included.
 * @DAXGUARD_CMD_SCAN: {ID, or DEV, or DEV, START, LEN} Look, in the module's
 *	own worker, at who uses the device; replied to with TOKEN at once,
 *	answered later by COMPLETED. Allowed without registration. One snapshot
 *	is kept per socket: the next SCAN replaces it, the socket's end frees
 *	it. A scan of a request that ends meanwhile stops with ERROR ENOENT.
 *	-EBUSY: one of this socket's is still being made, or DEV is being opened
 *	or closed at this moment: try again. -ENODEV: DEV is no device
 *	that daxguard guards (a disk or a device-dax). -ENOSPC: too many sockets keep one.
 *	With START and LEN, a physical range (widened to whole pages, cut to the
 *	device; -ERANGE if nothing is left): only mappings of these pages; ADDR,
 *	LEN and OFFSET are those of the part of a mapping that lies over them,
 *	one message for each such part. A private mapping with a copy of its own
 *	there is none, unless its process was busy with its mappings at that
 *	moment, or the range has more than 4096 pages; one that its process has
 *	not touched there is one. No superblocks are listed.
 * @DAXGUARD_CMD_GET_HOLDERS: dump. {TOKEN} One message per use (HOLDER_*).
 *	-EAGAIN: not ready. -ENOENT: no such snapshot of this socket.
 * @DAXGUARD_CMD_GET_FS: dump. {TOKEN} One message per superblock (FS_*).
 * @DAXGUARD_CMD_SYNC: {ID} Queue a sync of every live superblock on the
 *	device, also of those no path leads to. Replied to with TOKEN,
 *	answered by COMPLETED. -EINPROGRESS: one is under way.
 * @DAXGUARD_CMD_SHUTDOWN: {ID} Queue a sync and a shutdown of every live
 *	superblock on the device. As SYNC. ERROR in the answer is EOPNOTSUPP
 *	where a file system or this kernel (before 6.6) has no way to do it
 *	from inside: shut it down by ioctl, through a path.
 * @DAXGUARD_CMD_SIGBUS: {ID or DEV, PID, START_NS, ADDR, LSB, CODE} Send SIGBUS
 *	with si_code CODE (BUS_MCEERR_AO; BUS_MCEERR_AR would blame the
 *	receiver's current instruction), si_addr ADDR and si_addr_lsb LSB to
 *	one live thread: one that asked for it with PR_MCE_KILL, else one that
 *	does not block it, else the first. -EFAULT: ADDR is not in one of its
 *	mappings of a DAX file on the device. -EBUSY: it is changing its
 *	mappings at this moment, or is between vfork and exec, on its parent's
 *	memory, or (by DEV) has not taken its last SIGBUS, which would have this one
 *	dropped: try again. -ESRCH: it is gone, or PID is another process by now.
 * @DAXGUARD_CMD_EVENT: to the group. A device is about to be removed, and
 *	held. Also the form of GET_PENDING's messages.
 * @DAXGUARD_CMD_DONE: to the group. {ID, RESULT, REVOKE, counters, times}
 *	Sent when the revoke is over, before the teardown goes on.
 * @DAXGUARD_CMD_COMPLETED: to one socket. {TOKEN, ERROR, TRUNCATED} The SCAN,
 *	SYNC, SHUTDOWN, UNMAP or CHECK that TOKEN names is over.
 * @DAXGUARD_CMD_FAILURE: to the group. A record is new, or has grown.
 * @DAXGUARD_CMD_GET_FAILURES: dump. One message (as FAILURE) per record, in
 *	order of their serials. One that grows meanwhile may come twice, with
 *	two serials.
 * @DAXGUARD_CMD_FORGET: {FAILURE} Only from the registered daemon. Drop all
 *	records up to this serial. Idempotent; 0 also if there is none.
 * @DAXGUARD_CMD_UNMAP: {DEV, START, LEN, BADBLOCKS} Only from the registered daemon.
 *	Queue the unmapping of these pages from every process that maps them;
 *	private copies stay. Replied to with TOKEN, answered by COMPLETED. The
 *	next access faults, and maps the page again unless the disk lists it as
 *	bad: BADBLOCKS enters it there first, so that the access gets SIGBUS and
 *	a read EIO until the block is cleared; that needs a disk, ERROR
 *	EOPNOTSUPP otherwise, and room in its list, else ENOSPC. TRUNCATED: a
 *	lock was not had in time, and some mapping may be left. -EBUSY, -ENODEV,
 *	-ERANGE: as SCAN.
 * @DAXGUARD_CMD_CHECK: {DEV} Only from the registered daemon. Queue a look at
 *	the disk's list of bad blocks; what is in it becomes records, also what
 *	was forgotten before. Replied to with TOKEN, answered by COMPLETED after
 *	the last of them is kept. A device-dax has none, and is no error. -EBUSY,
 *	-ENODEV: as SCAN.
 */
enum daxguard_cmd {
	DAXGUARD_CMD_UNSPEC,
	DAXGUARD_CMD_REGISTER,
	DAXGUARD_CMD_TAKE,
	DAXGUARD_CMD_ACK,
	DAXGUARD_CMD_RELEASE,
	DAXGUARD_CMD_EXTEND,
	DAXGUARD_CMD_GET_PENDING,
	DAXGUARD_CMD_SCAN,
	DAXGUARD_CMD_GET_HOLDERS,
	DAXGUARD_CMD_GET_FS,
	DAXGUARD_CMD_SYNC,
	DAXGUARD_CMD_SHUTDOWN,
	DAXGUARD_CMD_SIGBUS,
	DAXGUARD_CMD_EVENT,
	DAXGUARD_CMD_DONE,
	DAXGUARD_CMD_COMPLETED,
	DAXGUARD_CMD_FAILURE,
	DAXGUARD_CMD_GET_FAILURES,
	DAXGUARD_CMD_FORGET,
	DAXGUARD_CMD_UNMAP,
	DAXGUARD_CMD_CHECK,
	__DAXGUARD_CMD_MAX,
};

#define DAXGUARD_CMD_MAX (__DAXGUARD_CMD_MAX - 1)

/* enum daxguard_state - where a request is (DAXGUARD_A_STATE, u8). */
enum daxguard_state {
	DAXGUARD_STATE_ANNOUNCED,	/* nobody has taken it */
	DAXGUARD_STATE_TAKEN,		/* a daemon works on it */
	DAXGUARD_STATE_ORPHANED,	/* its daemon died; the grace runs */
	DAXGUARD_STATE_REVOKING,	/* the hold has ended */
	DAXGUARD_STATE_CLOSING,		/* revoked; the teardown goes on */
};

/* enum daxguard_result - what ended a hold (DAXGUARD_A_RESULT, u8). */
enum daxguard_result {
	DAXGUARD_RESULT_NONE,		/* not ended */
	DAXGUARD_RESULT_ACKED,		/* ACK: the device is free */
	DAXGUARD_RESULT_RELEASED,	/* RELEASE: go on all the same */
	DAXGUARD_RESULT_TIMEOUT,	/* the deadline passed */
	DAXGUARD_RESULT_NO_DAEMON,	/* nobody took it, or took it over */
	DAXGUARD_RESULT_KILLED,		/* the removing task was killed */
	DAXGUARD_RESULT_STOPPING,	/* the machine goes down */
};

/* enum daxguard_revoke - what the revoke found (DAXGUARD_A_REVOKE, u8). */
enum daxguard_revoke {
	DAXGUARD_REVOKE_NONE,		/* not done yet */
	DAXGUARD_REVOKE_CLEAN,		/* no mapping, no entry is left */
	DAXGUARD_REVOKE_PINNED,		/* pages are pinned; see PAGES_PINNED */
	DAXGUARD_REVOKE_BUSY,		/* a lock could not be had in time */
};

/* enum daxguard_mode - how a target is used (DAXGUARD_A_MODE, u8). */
enum daxguard_mode {
	DAXGUARD_MODE_UNKNOWN,
	DAXGUARD_MODE_RAW,		/* block device without struct pages */
	DAXGUARD_MODE_SECTOR,		/* BTT */
	DAXGUARD_MODE_FSDAX,
	DAXGUARD_MODE_DEVDAX,		/* character device */
};

/* enum daxguard_use - how a process uses the device (HOLDER_USE, u8). */
enum daxguard_use {
	DAXGUARD_USE_MAPPED,
	DAXGUARD_USE_OPEN,
	DAXGUARD_USE_CWD,
	DAXGUARD_USE_ROOT,
	DAXGUARD_USE_EXE,
	DAXGUARD_USE_KERNEL,		/* no process: swap, an exiting mm */
};

/* enum daxguard_source - who knows of a failure (DAXGUARD_A_SOURCE, u8). */
enum daxguard_source {
	DAXGUARD_SOURCE_MEMORY_FAILURE,	/* the kernel handled a failed page */
	DAXGUARD_SOURCE_BADBLOCKS,	/* it is in the disk's list */
};

/* DAXGUARD_A_FAILURE_FLAGS, u32 */
#define DAXGUARD_FAIL_NO_FILE	(1U << 0)	/* of no file that the page names */
#define DAXGUARD_FAIL_SHARED	(1U << 1)	/* of several files; on 6.1 not always said */
#define DAXGUARD_FAIL_WIDENED	(1U << 2)	/* has good pages in it; no place */
#define DAXGUARD_FAIL_REMOVING	(1U << 3)	/* while the device was being removed */
#define DAXGUARD_FAIL_TOLD_MORE	(1U << 4)	/* not all that were told are listed */
#define DAXGUARD_FAIL_MORE	(1U << 5)	/* FAILURE: the dump has more than was sent */

/* DAXGUARD_A_FLAGS of a request, u32 */
#define DAXGUARD_F_SURPRISE	(1U << 0)	/* the bus says it was pulled: no sync */
#define DAXGUARD_F_TAKEN_OVER	(1U << 1)	/* a second daemon has it */

/* DAXGUARD_A_HOLDER_FLAGS, u32 */
#define DAXGUARD_H_SHARED	(1U << 0)	/* MAP_SHARED */
#define DAXGUARD_H_WRITE	(1U << 1)	/* may write through it */
#define DAXGUARD_H_EXEC		(1U << 2)
#define DAXGUARD_H_ZOMBIE_LEADER (1U << 3)	/* main thread gone; see TID */
#define DAXGUARD_H_STOPPED	(1U << 4)	/* SIGSTOP and the like */
#define DAXGUARD_H_TRACED	(1U << 5)
#define DAXGUARD_H_UNBINDER	(1U << 6)	/* the removing task itself */
#define DAXGUARD_H_BLOCKED	(1U << 7)	/* uninterruptible sleep */

/* DAXGUARD_A_FS_FLAGS, u32 */
#define DAXGUARD_FS_LIVE	(1U << 0)	/* not unmounted; may be shut down */
#define DAXGUARD_FS_MOUNTED	(1U << 1)	/* struct mounts exist for it */
#define DAXGUARD_FS_DYING	(1U << 2)	/* an umount is under way */
#define DAXGUARD_FS_FROZEN	(1U << 3)
#define DAXGUARD_FS_RDONLY	(1U << 4)
#define DAXGUARD_FS_DAX		(1U << 5)	/* has inodes with DAX entries */
#define DAXGUARD_FS_UNKNOWN	(1U << 6)	/* a claim; holder not known */

/*
 * enum daxguard_attr - the attributes; (type) in brackets.
 *
 * Of a request:
 * @DAXGUARD_A_ID: (u64) unique while the machine is up, and growing, also over
 *	reloads of the module; with BOOT_ID, unique ever. Never 0.
 * @DAXGUARD_A_BOOT_ID: (NUL string) /proc/sys/kernel/random/boot_id.
 * @DAXGUARD_A_COOKIE: (binary, 16) proves that the EVENT was read.
 * @DAXGUARD_A_DEVICE: (NUL string) name of the device that loses its driver.
 * @DAXGUARD_A_BUS, @DAXGUARD_A_DRIVER: (NUL string) its bus and driver.
 * @DAXGUARD_A_FLAGS: (u32) DAXGUARD_F_*.
 * @DAXGUARD_A_STATE, @DAXGUARD_A_RESULT, @DAXGUARD_A_REVOKE: (u8)
 * @DAXGUARD_A_DEADLINE_MS: (u32) what is left of the hold now.
 * @DAXGUARD_A_ELAPSED_MS: (u32) since the hold began.
 * @DAXGUARD_A_CAP_MS: (u32) hard cap of a hold, from its begin.
 * @DAXGUARD_A_HOLD_MS, @DAXGUARD_A_ACTIVATION_MS: (u32) module parameters.
 * @DAXGUARD_A_UNBINDER_PID, @DAXGUARD_A_UNBINDER_START_NS: (u32, u64) the
 *	removing task's process; pid 0 for a kernel thread.
 * @DAXGUARD_A_TARGET: (nest, repeated) one per disk or dax device that goes.
 *
 * Inside TARGET:
 * @DAXGUARD_A_NAME: (NUL string) pmem0, dax0.0.
 * @DAXGUARD_A_DEV: (u64) its dev_t.
 * @DAXGUARD_A_MODE: (u8) enum daxguard_mode.
 * @DAXGUARD_A_NS_DEVICE: (NUL string) the device it belongs to: pfn0.0.
 * @DAXGUARD_A_NS_UUID: (binary, 16) of its namespace (or pfn, btt, dax
 *	instance); absent where there is none.
 * @DAXGUARD_A_RANGE: (nest, repeated) {START, LEN} physical, of the data.
 * @DAXGUARD_A_STACK: (nest, repeated) {NAME, DEV} partitions, and dm or md
 *	devices built on it, the disk itself not included. Bottom up. Then the
 *	devices from which file systems are mounted that have only a part of
 *	themselves on one of these: a journal, a log, a real-time device.
 * @DAXGUARD_A_IN_USE: (flag) somebody claims it.
 *
 * Of DONE:
 * @DAXGUARD_A_INODES, @DAXGUARD_A_ENTRIES, @DAXGUARD_A_VMAS: (u64) inodes
 *	revoked, DAX entries dropped, mappings that were still there.
 * @DAXGUARD_A_PAGES_PINNED: (u64)
 * @DAXGUARD_A_SHUTDOWNS: (u32) superblocks the module itself shut down.
 * @DAXGUARD_A_HELD_US, @DAXGUARD_A_REVOKE_US: (u64, microseconds)
 *
 * Of SCAN, SYNC, SHUTDOWN, COMPLETED:
 * @DAXGUARD_A_TOKEN: (u32) @DAXGUARD_A_ERROR: (u32) a positive errno or 0.
 * @DAXGUARD_A_TRUNCATED: (flag) more uses than a snapshot holds, or a lock
 *	that could not be had in time: the list is not complete. In an EVENT:
 *	more targets than a message holds. What is not listed is revoked too.
 *
 * Of GET_HOLDERS:
 * @DAXGUARD_A_PID: (u32) the process (tgid); 0: the kernel.
 * @DAXGUARD_A_TID: (u32) a thread of it that is alive.
 * @DAXGUARD_A_START_NS: (u64) start of the thread group leader.
 * @DAXGUARD_A_COMM: (NUL string) @DAXGUARD_A_UID: (u32) effective, as the
 *	initial user namespace sees it.
 * @DAXGUARD_A_SIG_CAUGHT, @DAXGUARD_A_SIG_BLOCKED, @DAXGUARD_A_SIG_IGNORED:
 *	(u64) bit N-1 is signal N; BLOCKED: by every live thread.
 * @DAXGUARD_A_HOLDER_USE: (u8) @DAXGUARD_A_HOLDER_FLAGS: (u32)
 * @DAXGUARD_A_FS_DEV: (u64) superblock (or chardev) of the file.
 * @DAXGUARD_A_INO: (u64)
 * @DAXGUARD_A_ADDR, @DAXGUARD_A_LEN, @DAXGUARD_A_OFFSET: (u64) of a mapping:
 *	address and length in the process, offset in the file.
 * @DAXGUARD_A_COUNT: (u32) uses of this kind that this message stands for.
 * @DAXGUARD_A_SHARED_WITH: (u32) of a mapping: the process that was listed
 *	before with the same memory, see CLONE_VM in clone(2). Not there if
 *	there is none.
 *
 * Of GET_FS:
 * @DAXGUARD_A_FS_DEV: (u64) s_dev @DAXGUARD_A_FS_TYPE: (NUL string)
 * @DAXGUARD_A_DEV: (u64) the block device through which it was found.
 * @DAXGUARD_A_FS_FLAGS: (u32) @DAXGUARD_A_INODES, @DAXGUARD_A_ENTRIES: (u64)
 *	inodes with DAX entries, and how many entries.
 *
 * Of SIGBUS: PID, START_NS, ADDR,
 * @DAXGUARD_A_LSB: (u8) log2 of the extent, PAGE_SHIFT at least.
 * @DAXGUARD_A_CODE: (u32) BUS_MCEERR_AO.
 *
 * Of FAILURE, GET_FAILURES (NAME, DEV, MODE, NS_DEVICE, NS_UUID as in a TARGET):
 * @DAXGUARD_A_FAILURE: (u64) serial: growing while the machine is up, also over
 *	reloads of the module. Never 0.
 * @DAXGUARD_A_SOURCE: (u8) enum daxguard_source.
 * @DAXGUARD_A_MF_TYPE, @DAXGUARD_A_MF_RESULT: (NUL string) the kernel's own
 *	names: "dax page"; "Ignored", "Failed", "Delayed", "Recovered". Only of
 *	SOURCE_MEMORY_FAILURE.
 * @DAXGUARD_A_FAILURE_FLAGS: (u32) DAXGUARD_FAIL_*.
 * @DAXGUARD_A_RANGE: (nest, one) {START, LEN} physical; whole pages, except
 *	that SOURCE_BADBLOCKS counts sectors. START is absent of a
 *	disk without struct pages (raw, sector), which nobody maps.
 * @DAXGUARD_A_DISK_OFFSET: (u64) of START: bytes from the begin of the disk NAME
 *	(of the whole disk, where there are partitions), or of the device-dax.
 * @DAXGUARD_A_COUNT: (u32) events of the kernel that were merged.
 * @DAXGUARD_A_TIME_NS: (u64) when the last of them came, in nanoseconds since
 *	boot, suspend included.
 * @DAXGUARD_A_FS_DEV, @DAXGUARD_A_INO, @DAXGUARD_A_GENERATION, @DAXGUARD_A_OFFSET:
 *	(u64, u64, u32, u64) the file: its superblock, inode, i_generation, and
 *	where in the file START is. Absent with NO_FILE, SHARED and WIDENED, and
 *	of a device-dax, whose only file is itself.
 * @DAXGUARD_A_TOLD: (nest, repeated) {PID, START_NS, ADDR, LEN} The kernel itself
 *	has sent this process a SIGBUS with an address in ADDR, LEN for pages of
 *	this range, while it handled them (early kill, or the process that
 *	touched or injected it). Not one that was ignored, or that was lost since
 *	another SIGBUS was pending. It may be one that the thread which handles
 *	this page sent a little before, for another: it is for this page if the
 *	mapping of the page, as SCAN says, meets ADDR, LEN. DAXGUARD_TOLD_MAX at
 *	most, and DAXGUARD_TOLD_SUM_MAX, room for more included, in all records;
 *	with TOLD_MORE the kernel has told others of whom nothing is known, and
 *	who tells all that are not in TOLD tells them again.
 *
 * Of SCAN, UNMAP: START, LEN. Of UNMAP: @DAXGUARD_A_BADBLOCKS: (flag)
 *
 * Of EXTEND: @DAXGUARD_A_MS: (u32) at least 1.
 * Of REGISTER: @DAXGUARD_A_VERSION: (NUL string) the module's.
 */
enum daxguard_attr {
	DAXGUARD_A_UNSPEC,
	DAXGUARD_A_PAD,
	DAXGUARD_A_ID,
	DAXGUARD_A_BOOT_ID,
	DAXGUARD_A_COOKIE,
	DAXGUARD_A_DEVICE,
	DAXGUARD_A_BUS,
	DAXGUARD_A_DRIVER,
	DAXGUARD_A_FLAGS,
	DAXGUARD_A_STATE,
	DAXGUARD_A_RESULT,
	DAXGUARD_A_REVOKE,
	DAXGUARD_A_DEADLINE_MS,
	DAXGUARD_A_ELAPSED_MS,
	DAXGUARD_A_CAP_MS,
	DAXGUARD_A_HOLD_MS,
	DAXGUARD_A_ACTIVATION_MS,
	DAXGUARD_A_UNBINDER_PID,
	DAXGUARD_A_UNBINDER_START_NS,
	DAXGUARD_A_TARGET,
	DAXGUARD_A_NAME,
	DAXGUARD_A_DEV,
	DAXGUARD_A_MODE,
	DAXGUARD_A_NS_DEVICE,
	DAXGUARD_A_NS_UUID,
	DAXGUARD_A_RANGE,
	DAXGUARD_A_START,
	DAXGUARD_A_LEN,
	DAXGUARD_A_STACK,
	DAXGUARD_A_IN_USE,
	DAXGUARD_A_INODES,
	DAXGUARD_A_ENTRIES,
	DAXGUARD_A_VMAS,
	DAXGUARD_A_PAGES_PINNED,
	DAXGUARD_A_SHUTDOWNS,
	DAXGUARD_A_HELD_US,
	DAXGUARD_A_REVOKE_US,
	DAXGUARD_A_TOKEN,
	DAXGUARD_A_ERROR,
	DAXGUARD_A_TRUNCATED,
	DAXGUARD_A_PID,
	DAXGUARD_A_TID,
	DAXGUARD_A_START_NS,
	DAXGUARD_A_COMM,
	DAXGUARD_A_UID,
	DAXGUARD_A_SIG_CAUGHT,
	DAXGUARD_A_SIG_BLOCKED,
	DAXGUARD_A_SIG_IGNORED,
	DAXGUARD_A_HOLDER_USE,
	DAXGUARD_A_HOLDER_FLAGS,
	DAXGUARD_A_FS_DEV,
	DAXGUARD_A_FS_TYPE,
	DAXGUARD_A_FS_FLAGS,
	DAXGUARD_A_INO,
	DAXGUARD_A_ADDR,
	DAXGUARD_A_OFFSET,
	DAXGUARD_A_COUNT,
	DAXGUARD_A_LSB,
	DAXGUARD_A_CODE,
	DAXGUARD_A_MS,
	DAXGUARD_A_VERSION,
	DAXGUARD_A_SHARED_WITH,
	DAXGUARD_A_FAILURE,
	DAXGUARD_A_SOURCE,
	DAXGUARD_A_MF_TYPE,
	DAXGUARD_A_MF_RESULT,
	DAXGUARD_A_FAILURE_FLAGS,
	DAXGUARD_A_DISK_OFFSET,
	DAXGUARD_A_TIME_NS,
	DAXGUARD_A_GENERATION,
	DAXGUARD_A_TOLD,
	DAXGUARD_A_BADBLOCKS,
	__DAXGUARD_A_MAX,
};

#define DAXGUARD_A_MAX (__DAXGUARD_A_MAX - 1)

#endif /* _UAPI_LINUX_DAXGUARD_H */
