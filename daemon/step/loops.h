/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Loop devices that have a file on one of the devices, or one of them, for their
 * disk. Only those are asked whose file has its name there, in the mount
 * namespace that we are in: others may have theirs where nobody answers.
 */
#pragma once

#include "step/step.h"

struct loop {
	const char *name; /* "loop0" */
	const char *file; /* as the kernel shows it */
	int fd;           /* of the loop device */
	bool leaving;     /* it goes when its last user does */
};

/* Calls func for each until it returns other than 0. */
int loops_foreach(struct step *step,
		  int (*func)(struct step *step, const struct loop *loop, void *userdata),
		  void *userdata);

/*
 * Give them back, now or when the last one closes it: what it has for a disk
 * is about to go. True if one was not on its way already; ret_leaving says whether
 * one is, and waits for who has it open.
 */
bool loops_clear(struct step *step, bool *ret_leaving);
