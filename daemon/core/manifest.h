/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What is known of a checkpoint: whose it is, and what it needs to come back.
 *
 * A file of records (core/record.h) beside CRIU's images. Its last record is a
 * checksum of all before, so that half of it is none.
 *
 *	VERSION=1 ID INCIDENT BOOT_ID TIME_USEC PID START_NS COMM UID [UNIT] CGROUP SCOPE
 *	RULE RESTORE BYTES DUMP_USEC CRIU SHELL_JOB [JOURNAL]
 *	PROCESS PPID START_NS COMM STOPPED	each of the tree, its root first
 *	MOUNT TYPE DEVICE NS_UUID FS_DEV	each file system of theirs on the device
 *	FILE INO SIZE MTIME_NS FS_DEV [SYNC]	each file there that they mapped or had open
 *	END=ok CRC				of all bytes before this record, in hex
 *
 * Keys that are not known are passed over.
 */
#pragma once

#include <stdbool.h>

#include "core/event.h"
#include "core/record.h"
#include "core/rule.h"

/* Of a checkpoint, everywhere: "0b1cf8cc-17-4711". */
struct dg_checkpoint_id {
	char boot[9];      /* the first 8 digits of the boot's ID */
	uint64_t incident; /* its number */
	pid_t pid;         /* of whom it was asked for: the root of the tree, or below it */
};
#define DG_CHECKPOINT_ID_MAX 48      /* with its NUL */
#define DG_CHECKPOINT_TREE_MAX 1024U /* processes of one, see checkpoint/tree.h */

/* -EINVAL: another form, also of the same numbers (leading zeroes). */
int dg_checkpoint_id_parse(const char *text, struct dg_checkpoint_id *ret);
void dg_checkpoint_id_format(const struct dg_checkpoint_id *id,
			     char text[static DG_CHECKPOINT_ID_MAX]);

struct dg_manifest_process {
	pid_t pid;
	pid_t ppid;
	uint64_t start_ns;
	const char *comm;
	bool stopped; /* by a signal, before all this */
};

struct dg_manifest_mount {
	const char *path;
	const char *type;
	const char *device;  /* the kernel's name of the device, then */
	const char *ns_uuid; /* "": it has none */
	dg_dev_t fs_dev;     /* st_dev, then */
};

struct dg_manifest_file {
	const char *path;
	uint64_t ino;
	uint64_t size;
	uint64_t mtime_ns;
	dg_dev_t fs_dev;
	bool sync; /* they write to it through MAP_SYNC: it was a DAX */
};

struct dg_manifest {
	const char *id;
	const char *boot_id;
	const char *comm;
	const char *unit; /* NULL: it was of none */
	const char *cgroup;
	const char *rule;
	const char *criu; /* version */
	uint64_t incident;
	uint64_t time_us; /* CLOCK_REALTIME */
	uint64_t start_ns;
	uint64_t bytes;   /* of the images */
	uint64_t journal; /* inode that the stream to journald had; 0: none */
	uint64_t dump_us;
	pid_t pid;
	uint32_t uid;
	enum dg_scope scope;
	bool restore;   /* when the device returns */
	bool shell_job; /* of a session that is somebody else's */
	struct dg_manifest_process *processes;
	size_t n_processes;
	struct dg_manifest_mount *mounts;
	size_t n_mounts;
	struct dg_manifest_file *files;
	size_t n_files;
	char *text; /* what was read: the strings lie in it */
};

/*
 * -EBADMSG: not whole, or not as it was written. -EPROTONOSUPPORT: whole, of another
 * version. -ENOMEM. dg_manifest_done() frees what reading has made; who fills in one
 * to write it frees his own.
 */
int dg_manifest_read(const char *text, size_t n, struct dg_manifest *ret);
void dg_manifest_done(struct dg_manifest *manifest);

/* All of it, into an empty writer. -EINVAL: lacks what each has. */
int dg_manifest_write(const struct dg_manifest *manifest, struct dg_record_writer *writer);

/* What a record about the checkpoint as a whole, a process, a mount, a file says; also of requests.
 */
void dg_manifest_write_head(const struct dg_manifest *manifest, struct dg_record_writer *writer);
void dg_manifest_write_mount(const struct dg_manifest_mount *mount,
			     struct dg_record_writer *writer);
/* -EBADMSG: it says no MOUNT, or a part of it is missing. */
int dg_manifest_read_mount(const char *record, size_t n, struct dg_manifest_mount *ret);
