/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A manager's checkpoints: of the fake ones, also of the fuzzer's. */
#include <errno.h>
#include <stddef.h>

#include "manager.h"

/* Nothing is stored, and nobody is restored. */
int manager_list_checkpoints(struct manager *m, manager_checkpoints_func func, void *userdata,
			     struct manager_visit **ret)
{
	return -EBUSY;
}

int manager_forget_checkpoint(struct manager *m, const char *id, manager_checkpoints_func func,
			      void *userdata, struct manager_visit **ret)
{
	return -ENOENT;
}

int manager_prune_checkpoints(struct manager *m, manager_checkpoints_func func, void *userdata,
			      struct manager_visit **ret)
{
	return -EBUSY;
}

struct manager_visit *manager_visit_cancel(struct manager_visit *visit)
{
	return NULL;
}

int manager_restore(struct manager *m, const char *id, bool force, manager_restore_func func,
		    void *userdata, struct manager_restore **ret)
{
	return -ENOENT;
}

struct manager_restore *manager_restore_cancel(struct manager_restore *restore)
{
	return NULL;
}
