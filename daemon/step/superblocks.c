/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "step/covered.h"
#include "step/mount-point.h"
#include "step/nested.h"
#include "step/superblocks.h"

/* One that was seen and not reached yet. */
struct pending {
	struct mount mount; /* a copy of its first mount, strings included */
	int error;
	bool done;
};

struct visit {
	struct step *step;
	int (*func)(struct step *step, const struct mount *mount, int fd, void *userdata);
	void *userdata;
	struct pending *items;
	size_t n_items;
	int result;
};

static struct pending *pending_get(struct visit *visit, const struct mount *mount)
{
	struct pending *grown;

	for (size_t i = 0; i < visit->n_items; i++)
		if (visit->items[i].mount.dev == mount->dev)
			return &visit->items[i];
	grown = reallocarray(visit->items, visit->n_items + 1, sizeof(*grown));
	if (!grown)
		return NULL;
	visit->items = grown;
	grown += visit->n_items;
	*grown = (struct pending){.mount = {.id = mount->id, .dev = mount->dev}};
	grown->mount.path = strdup(mount->path);
	grown->mount.type = strdup(mount->type);
	if (!grown->mount.path || !grown->mount.type) {
		free(grown->mount.path);
		free(grown->mount.type);
		return NULL;
	}
	visit->n_items++;
	return grown;
}

/* entered: 0, or why we are not in the mount's namespace. */
static int visit_mount(struct visit *visit, const struct mount *mount, int entered)
{
	struct pending *pending = pending_get(visit, mount);
	int fd, r;

	if (!pending)
		return -ENOMEM;
	if (pending->done)
		return 0;
	fd = entered < 0 ? entered : mount_point_open(visit->step->proc_fd, mount);
	if (fd == -ESTALE && mount->covered)
		fd = covered_open(visit->step->proc_fd, mount);
	if (fd < 0) {
		pending->error = fd;
		return 0;
	}
	pending->done = true;
	r = visit->func(visit->step, mount, fd, visit->userdata);
	close(fd);
	return r;
}

/* Worth a visit: something there is on our devices, or the view from outside is partial. */
static bool may_have(struct step *step, const struct mount_namespace *space)
{
	struct mount_table table;
	bool found = false;
	int r;

	if (!space->whole)
		return true;
	r = mount_namespace_table(step->proc_fd, space, &table);
	if (r < 0)
		return r != -E2BIG;
	for (size_t i = 0; i < table.n_items && !found; i++)
		found = step_has_dev(step, table.items[i].dev);
	mount_table_done(&table);
	return found;
}

static int visit_namespace(struct visit *visit, const struct mount_namespace *space)
{
	int proc_fd = visit->step->proc_fd, entered, r;
	struct mount_table table;

	if (!may_have(visit->step, space))
		return 0;
	entered = mount_namespace_enter(proc_fd, space);
	if (entered == -ESRCH)
		return 0;
	r = entered < 0 ? mount_namespace_table(proc_fd, space, &table)
			: mount_namespace_own_table(proc_fd, space, &table);
	if (r < 0)
		return entered < 0 || r == -E2BIG ? 0 : r;
	/* Those first that show all of it: names are looked for in them. */
	for (int whole = 1; whole >= 0; whole--)
		for (size_t i = 0; i < table.n_items && r == 0 && mount_namespace_has_time(space);
		     i++)
			if (step_has_dev(visit->step, table.items[i].dev) &&
			    (strcmp(table.items[i].root, "/") == 0) == whole)
				r = visit_mount(visit, &table.items[i], entered);
	mount_table_done(&table);
	return r;
}

/* Those of the step's devices, all at once. */
static int visit_all(struct visit *visit)
{
	struct step *step = visit->step;
	struct mount_namespaces namespaces;
	int r;

	r = mount_namespaces_read(step->proc_fd, &namespaces);
	if (r < 0)
		return r;
	for (size_t i = 0; i < namespaces.n_items && r == 0; i++)
		if (mount_namespace_has_time(&namespaces.items[i]))
			r = visit_namespace(visit, &namespaces.items[i]);
	mount_namespaces_done(&namespaces);
	for (size_t i = 0; i < visit->n_items; i++) {
		struct pending *pending = &visit->items[i];

		if (!pending->done && r == 0)
			r = visit->func(step, &pending->mount, pending->error, visit->userdata);
		free(pending->mount.path);
		free(pending->mount.type);
	}
	free(visit->items);
	return r;
}

int superblocks_visit_own(struct step *step,
			  int (*func)(struct step *step, const struct mount *mount, int fd,
				      void *userdata),
			  void *userdata)
{
	struct visit visit = {.step = step, .func = func, .userdata = userdata};

	return visit_all(&visit);
}

int superblocks_visit(struct step *step,
		      int (*func)(struct step *step, const struct mount *mount, int fd,
				  void *userdata),
		      void *userdata)
{
	dg_dev_t *all;
	size_t n_own = step->n_devs, n_all;
	int r;

	r = nested_add_loops(step);
	if (r < 0)
		return r;
	all = step->devs;
	n_all = step->n_devs;
	/* What a nested one writes must be there when its bearer is synced: from the inside out. */
	for (size_t i = n_all; r == 0 && i > n_own; i--) {
		struct visit visit = {.step = step, .func = func, .userdata = userdata};

		step->devs = &all[i - 1];
		step->n_devs = 1;
		r = visit_all(&visit);
	}
	step->devs = all;
	step->n_devs = n_own;
	if (r == 0)
		r = superblocks_visit_own(step, func, userdata);
	step->n_devs = n_all;
	return r;
}

int superblock_report(struct step *step, const struct mount *mount, int result, int *left)
{
	if (result < 0)
		++*left;
	dg_record_field_dev(&step->writer, "DEV", mount->dev);
	dg_record_field(&step->writer, "TYPE", mount->type);
	dg_record_field(&step->writer, "PATH", mount->path);
	dg_record_field(&step->writer, "RESULT", step_result(result));
	return step_emit(step);
}
