/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The mappings of files in a process, by PROCMAP_QUERY (Linux 6.11) or from the text of maps. */
#pragma once

#include "core/event.h"

struct vma {
	uint64_t start, end, offset; /* offset: in the file */
	dg_dev_t dev;
	uint64_t ino;
	uint32_t flags; /* DG_HOLDER_SHARED, _WRITE, _EXEC */
};

/*
 * Calls func for each until it returns other than 0. Waits for the mmap lock
 * of the process, which may be long when it is stuck in a fault.
 */
int vmas_foreach(int proc_fd, const char *task, int (*func)(void *userdata, const struct vma *vma),
		 void *userdata);
