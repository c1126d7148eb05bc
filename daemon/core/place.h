/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What lies at a place of a disk, as the step `place` tells.
 *
 * The strings lie in the step's output and live as long as it does.
 */
#pragma once

#include "core/event.h"

/* dg_place_kind_name() is what the step, the ledger and the tool call it. */
enum dg_place_kind {
	DG_PLACE_UNKNOWN,  /* what: why */
	DG_PLACE_FILE,     /* data of a file */
	DG_PLACE_METADATA, /* of the file system; what: which */
	DG_PLACE_FREE,
	DG_PLACE_OUTSIDE, /* of any file system; what: why */
	_DG_PLACE_KIND_MAX,
};

const char *dg_place_kind_name(enum dg_place_kind kind); /* "unknown" outside the range */
int dg_place_kind_from_name(const char *name, enum dg_place_kind *ret); /* -EINVAL */

/*
 * An owner as FS_IOC_GETFSMAP of ext4 and XFS gives it (fmr_owner, fmr_flags),
 * see linux/fsmap.h, and fs/ext4/fsmap.h and fs/xfs/libxfs/xfs_fs.h in the kernel.
 */
struct dg_owner {
	enum dg_place_kind kind;
	const char *what; /* a literal; "" of a file, and of what is free */
	bool is_inode;    /* the owner is an inode, also of metadata */
};

struct dg_owner dg_owner_of(uint64_t owner, uint32_t flags);

/* A piece of a range that was asked for. One that several own has a piece for each. */
struct dg_place {
	size_t range;         /* which, in the order in which they were asked for */
	uint64_t offset, len; /* on the disk, bytes */
	enum dg_place_kind kind;
	const char *what;
	dg_dev_t fs_dev; /* st_dev of the file system; 0: none is known */
	uint64_t ino;    /* the file, also of its metadata; 0: none */
	uint64_t file_offset;
	bool told; /* it is the module's word, not the file system's */
	bool unwritten;
};

/* Each file is told once, however many pieces it has. */
struct dg_place_file {
	dg_dev_t fs_dev;
	uint64_t ino, generation, links;
	bool deleted;        /* no name leads to it; its paths were */
	bool elsewhere;      /* its paths are those of another mount namespace than pid 1's */
	const char **paths;  /* bytes */
	size_t n_paths;      /* there may be more */
	const char *no_path; /* if there is none, why: see daxguard-step(8) */
};

struct dg_place_list {
	struct dg_place *items;
	size_t n_items;
	struct dg_place_file *files;
	size_t n_files;
	bool complete; /* each range has its answer, as far as there is one */
	bool cut;      /* there are more pieces than one step tells */
};

/*
 * Records of an unknown form are passed over; what follows the last whole one, of
 * a step that was killed, is dropped. -ENOMEM.
 */
int dg_place_list_read(const char *output, size_t n_output, struct dg_place_list *ret);
/*
 * Neighbours of which the same is known become one; then they are in order of their
 * offsets, and where several own one the module's word comes first.
 */
void dg_place_list_merge(struct dg_place_list *list);
void dg_place_list_done(struct dg_place_list *list);

/* NULL: not told. */
const struct dg_place_file *dg_place_list_file(const struct dg_place_list *list, dg_dev_t fs_dev,
					       uint64_t ino);
