/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Ends the processes that are on the medium now, in the service manager's eyes as well.
 *
 * A unit is asked to stop first: if its process died before, Restart= would start it
 * again beside its checkpoint. But what stops a unit sends SIGTERM and SIGCONT, and
 * whoever runs for another moment changes what was dumped. So its control group is
 * frozen meanwhile: SIGKILL is all that gets through.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "checkpoint/dump.h"
#include "names.h"

#define STOP_US 5000000U /* for the service manager to begin */
#define GONE_US 4000000U /* for who was killed to be gone; less than the unit has to end */
#define LOOK_MS 5

static bool set_frozen(const char *cgroup, bool frozen)
{
	char *path;
	int fd;
	bool done = false;

	if (!cgroup || !cgroup[0] || asprintf(&path, DG_CGROUP_DIR "%s/cgroup.freeze", cgroup) < 0)
		return false;
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd >= 0) {
		done = write(fd, frozen ? "1" : "0", 1) == 1;
		close(fd);
	}
	free(path);
	return done;
}

void dump_thaw(const char *cgroup)
{
	(void)set_frozen(cgroup, false);
}

/* From then on it does not come back by itself. */
bool dump_unit_is_stopping(struct service_manager *manager, const char *unit)
{
	char *state;
	bool stopping;

	if (service_manager_state(manager, unit, &state) < 0)
		return false;
	stopping = strcmp(state, "deactivating") == 0 || strcmp(state, "inactive") == 0 ||
		   strcmp(state, "failed") == 0 || !state[0];
	free(state);
	return stopping;
}

static int stop_unit(struct dump *dump)
{
	const char *unit = dump->request->unit;
	uint64_t deadline_us;
	char *error = NULL;
	int r;

	r = service_manager_stop(dump->manager, unit, &error);
	/* What has no answer in time may be done all the same. */
	if (r < 0 && !dump_unit_is_stopping(dump->manager, unit))
		(void)result_end(dump->result, "stop-failed", "%s: %s", unit,
				 error ?: strerror(-r));
	else
		r = 0;
	free(error);
	if (r < 0)
		return -ECANCELED;
	deadline_us = checkpoint_now_us() + STOP_US;
	while (!dump_unit_is_stopping(dump->manager, unit)) {
		if (checkpoint_now_us() > deadline_us)
			return result_end(dump->result, "stop-failed",
					  "%s is asked to stop, and does not begin to", unit);
		(void)poll(NULL, 0, LOOK_MS);
	}
	return 0;
}

void dump_wait_gone(const struct tree *tree, struct result *result)
{
	/* Who hangs in the kernel will not come back from there. */
	if (!tree_wait_gone(tree, checkpoint_now_us() + GONE_US))
		snprintf(result->text, sizeof(result->text),
			 "they are killed, and not all are gone yet");
}

int dump_end_tree(struct dump *dump)
{
	bool frozen = false;
	int r = 0;

	if (dump->ends_unit) {
		frozen = set_frozen(dump->cgroup, true);
		r = stop_unit(dump);
	}
	if (r >= 0) {
		/* Who is killed may not be gone when we are. */
		(void)dump_write_tree(dump, true);
		tree_kill(&dump->tree);
	}
	if (frozen)
		dump_thaw(dump->cgroup);
	if (r >= 0)
		dump_wait_gone(&dump->tree, dump->result);
	return r;
}
