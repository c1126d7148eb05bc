/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A writer of files that is killed, or fails, at one of its calls, and what a medium is
 * sure to have of them then. To be linked with --wrap for each call that changes something.
 */
#pragma once

#include <fcntl.h>
#include <stdbool.h>
#include <sys/stat.h>
#include <unistd.h>

#include "test.h"

#define CONTENT_MAX (64 * 1024)
#define INODES_MAX 8
#define KILLED 99

enum mode {
	KILL,          /* before the call */
	KILL_HALFWAY,  /* in the middle of a write */
	FAIL,          /* it fails, half done */
	FAIL_FOR_GOOD, /* … and so does what should take it back */
};

/* Of the child, for who looks at what it left. */
struct cut {
	enum mode mode;
	unsigned n_calls, cut_at; /* 0: never */
	uint64_t tried, announced;
	/* What a medium is sure to have. */
	struct {
		ino_t ino;
		off_t synced;
	} inodes[INODES_MAX];
	unsigned n_inodes;
	ino_t entry; /* of "ledger", after fsync() of the directory */
	size_t n_old;
	char old[CONTENT_MAX]; /* what the last rename took away */
	ino_t old_ino;
};
extern struct cut *shared; /* between the writer and who looks at what it left */
extern bool armed;         /* calls count */
