/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Every file system on the devices, each once, through a path in whatever namespace has one. */
#pragma once

#include "step/mount-table.h"
#include "step/namespaces.h"
#include "step/step.h"

/*
 * Calls func with an open root of a mount of each; fd is closed afterwards.
 * For one that no path leads to, fd is the negative errno of the last try.
 * Returns the first negative value that func returns, or its own.
 */
int superblocks_visit(struct step *step,
		      int (*func)(struct step *step, const struct mount *mount, int fd,
				  void *userdata),
		      void *userdata);

/* The same, without what is made of files on them (step/nested.h). */
int superblocks_visit_own(struct step *step,
			  int (*func)(struct step *step, const struct mount *mount, int fd,
				      void *userdata),
			  void *userdata);

/* The record of one; left counts those that could not be dealt with. */
int superblock_report(struct step *step, const struct mount *mount, int result, int *left);
