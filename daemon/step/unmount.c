/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <time.h>

#include "step/covered.h"
#include "step/foreign.h"
#include "step/kernel-users.h"
#include "step/loops.h"
#include "step/mount-point.h"
#include "step/namespaces.h"
#include "step/nested.h"
#include "step/step.h"

/*
 * Passes over all namespaces, as long as one leaves something and gets somewhere.
 * What is mounted again faster than this does not stay away for long either.
 */
#define PASSES_MAX 8
/*
 * A loop device that is about to go waits for whoever has it open, such as a probe
 * of udev's: no longer than that lasts.
 */
#define LEAVING_NS 50000000
#define LEAVING_MAX 20

/* In the pass that looked there last. */
struct left {
	size_t n; /* mounts of the devices */
	struct dg_record_writer failures;
};

struct unmount {
	struct step *step;
	int flags;    /* 0 or MNT_DETACH */
	size_t n_own; /* of the step's devices; the others are made of their files */
	bool progress;
	bool nested;              /* what is made of their files is in use */
	bool leaving;             /* a loop device is about to go */
	struct left own, foreign; /* namespaces */
};

static struct left *left_in(struct unmount *unmount, const struct mount_namespace *space)
{
	return space->foreign ? &unmount->foreign : &unmount->own;
}

/*
 * On one of the devices, or below such a mount; but not what only covers its
 * root, nor what is below the root of a namespace: that one stays, and so a
 * container keeps its /proc and its volumes.
 */
static bool is_wanted(const struct unmount *unmount, const struct mount *mount)
{
	const struct mount *child = mount;

	if (step_has_dev(unmount->step, mount->dev))
		return true;
	/* A lazy unmount takes with it what is below. */
	if (unmount->flags & MNT_DETACH)
		return false;
	for (unsigned i = 0; i < mount->depth && child->parent; i++, child = child->parent)
		if (child->parent->parent && step_has_dev(unmount->step, child->parent->dev) &&
		    strcmp(child->path, child->parent->path) != 0)
			return true;
	return false;
}

static bool is_own(const struct unmount *unmount, const struct mount *mount)
{
	for (size_t i = 0; i < unmount->n_own; i++)
		if (unmount->step->devs[i] == mount->dev)
			return true;
	return false;
}

static int compare_depth(const void *a, const void *b)
{
	const struct mount *left = *(const struct mount *const *)a;
	const struct mount *right = *(const struct mount *const *)b;

	/* Deepest first; of those at one depth the last that was mounted. */
	if (left->depth != right->depth)
		return left->depth < right->depth ? 1 : -1;
	return left->id < right->id ? 1 : left->id > right->id ? -1 : 0;
}

static void report(struct dg_record_writer *writer, const struct mount *mount,
		   const struct mount_namespace *space, const char *result)
{
	dg_record_field_dev(writer, "DEV", mount->dev);
	dg_record_field(writer, "TYPE", mount->type);
	dg_record_field(writer, "PATH", mount->path);
	dg_record_field_u64(writer, "NS", space->inode);
	dg_record_field_u64(writer, "PID", (uint64_t)space->pid);
	dg_record_field_u64(writer, "HOST", space->host);
	dg_record_field_u64(writer, "LOCKED", strcmp(result, "locked") == 0);
	dg_record_field(writer, "RESULT", result);
}

/* Of the keys and the short values. */
#define RECORD_SIZE 256

static bool may_tell(const struct mount *mount, const struct mount_namespace *space)
{
	return !space->foreign || foreign_may_tell(RECORD_SIZE + strlen(mount->path));
}

/* The mount of this id is still there, whatever its path leads to. */
static bool still_mounted(int proc_fd, int id)
{
	struct mount_table table;
	bool found;

	if (mount_table_read(proc_fd, "thread-self", &table) < 0)
		return true;
	found = mount_table_find(&table, id);
	mount_table_done(&table);
	return found;
}

static const char *name_failure(struct unmount *unmount, const struct mount *mount, int r)
{
	switch (r) {
	case -EBUSY:
		return "busy";
	case -EINVAL:
	case -ETIMEDOUT: /* by its own user, who lets us wait on the way there */
		return "locked";
	case -ESTALE:
	case -ENOENT:
	case -ENOTDIR:
		/* Gone meanwhile (propagation does that), or out of sight. */
		return still_mounted(unmount->step->proc_fd, mount->id) ? "overmounted" : "gone";
	default:
		return step_result(r);
	}
}

/* Something of the devices is mounted below it. */
static bool bears_devs(const struct unmount *unmount, const struct mount_table *table,
		       const struct mount *mount)
{
	for (size_t i = 0; i < table->n_items; i++) {
		const struct mount *up = table->items[i].parent;

		if (!step_has_dev(unmount->step, table->items[i].dev))
			continue;
		for (unsigned n = 0; n < table->n_items && up && up != mount; n++)
			up = up->parent;
		if (up == mount)
			return true;
	}
	return false;
}

struct attempt {
	int proc_fd;
	const struct mount *mount;
	int flags;
};

static int unmount_now(void *userdata)
{
	const struct attempt *attempt = userdata;
	int r;

	r = mount_point_unmount(attempt->mount, attempt->flags);
	if (r == -ESTALE && attempt->mount->covered)
		r = covered_unmount(attempt->proc_fd, attempt->mount, attempt->flags);
	return r;
}

static int try_unmount(struct unmount *unmount, const struct mount_table *table,
		       const struct mount *mount, const struct mount_namespace *space,
		       const char **ret_result)
{
	struct attempt attempt = {unmount->step->proc_fd, mount, unmount->flags};
	int r;

	*ret_result = "ok";
	r = space->foreign ? foreign_call(unmount_now, &attempt) : unmount_now(&attempt);
	if (r != -EBUSY || step_has_dev(unmount->step, mount->dev) ||
	    bears_devs(unmount, table, mount))
		return r;
	/* It only stands on one of ours: whoever uses it keeps it, but not its place. */
	*ret_result = "detached";
	attempt.flags = MNT_DETACH;
	return space->foreign ? foreign_call(unmount_now, &attempt) : unmount_now(&attempt);
}

static int try_mount(struct unmount *unmount, const struct mount_table *table,
		     const struct mount *mount, const struct mount_namespace *space)
{
	struct left *left = left_in(unmount, space);
	const char *failure, *result;
	int r;

	r = try_unmount(unmount, table, mount, space, &result);
	if (r == 0) {
		unmount->progress = true;
		if (!may_tell(mount, space))
			return 0;
		report(&unmount->step->writer, mount, space, result);
		return step_emit(unmount->step);
	}
	failure = name_failure(unmount, mount, r);
	if (strcmp(failure, "gone") == 0) {
		unmount->progress = true;
		return 0;
	}
	if (step_has_dev(unmount->step, mount->dev))
		left->n++;
	if (!may_tell(mount, space))
		return 0;
	report(&left->failures, mount, space, failure);
	return dg_record_end(&left->failures);
}

/* Not tried: what is made of it is still there, and would be without a path to its bearer. */
static int keep_mount(struct unmount *unmount, const struct mount *mount,
		      const struct mount_namespace *space)
{
	struct left *left = left_in(unmount, space);

	left->n++;
	report(&left->failures, mount, space, "busy");
	return dg_record_end(&left->failures);
}

/* What is made of their files, and what is mounted below, then the devices' own. */
static int unmount_wanted(struct unmount *unmount, const struct mount_table *table,
			  const struct mount_namespace *space, const struct mount **wanted,
			  size_t n)
{
	const struct left *left = left_in(unmount, space);
	size_t n_before = left->n;
	bool keep;
	int r = 0;

	for (size_t i = 0; i < n && r == 0 && mount_namespace_has_time(space); i++)
		if (!is_own(unmount, wanted[i]))
			r = try_mount(unmount, table, wanted[i], space);
	keep = !unmount->flags && left->n > n_before;
	unmount->nested = unmount->nested || keep;
	for (size_t i = 0; i < n && r == 0 && mount_namespace_has_time(space); i++) {
		if (!is_own(unmount, wanted[i]))
			continue;
		r = keep ? keep_mount(unmount, wanted[i], space)
			 : try_mount(unmount, table, wanted[i], space);
	}
	return r;
}

static int unmount_table(struct unmount *unmount, const struct mount_table *table,
			 const struct mount_namespace *space)
{
	const struct mount **wanted;
	size_t n = 0;
	int r;

	wanted = calloc(table->n_items + 1, sizeof(*wanted));
	if (!wanted)
		return -ENOMEM;
	for (size_t i = 0; i < table->n_items; i++)
		if (is_wanted(unmount, &table->items[i]))
			wanted[n++] = &table->items[i];
	if (n > 0)
		qsort(wanted, n, sizeof(*wanted), compare_depth);
	r = unmount_wanted(unmount, table, space, wanted, n);
	free(wanted);
	return r;
}

/* What can be seen of a namespace that we cannot enter: it is left there. */
static int report_unreached(struct unmount *unmount, const struct mount_table *table,
			    const struct mount_namespace *space, int error)
{
	struct left *left = left_in(unmount, space);
	int r = 0;

	for (size_t i = 0; i < table->n_items && r == 0; i++) {
		if (!step_has_dev(unmount->step, table->items[i].dev))
			continue;
		left->n++;
		report(&left->failures, &table->items[i], space, step_result(error));
		r = dg_record_end(&left->failures);
	}
	return r;
}

static bool table_has_devs(const struct unmount *unmount, const struct mount_table *table)
{
	for (size_t i = 0; i < table->n_items; i++)
		if (step_has_dev(unmount->step, table->items[i].dev))
			return true;
	return false;
}

static int unmount_namespace(struct unmount *unmount, const struct mount_namespace *space)
{
	int proc_fd = unmount->step->proc_fd, entered, r;
	struct mount_table table;
	size_t n_devs;

	r = mount_namespace_table(proc_fd, space, &table);
	if (r < 0)
		return 0; /* it has ended: another pass finds another task of it */
	if (space->whole && !table_has_devs(unmount, &table)) {
		mount_table_done(&table);
		return 0;
	}
	entered = mount_namespace_enter(proc_fd, space);
	if (entered < 0) {
		r = entered == -ESRCH ? 0 : report_unreached(unmount, &table, space, entered);
		mount_table_done(&table);
		return r;
	}
	mount_table_done(&table);
	/* The same from inside: of the namespace's root, with paths that we can walk. */
	r = mount_namespace_own_table(proc_fd, space, &table);
	if (r < 0)
		return r == -E2BIG ? 0 : r;
	n_devs = unmount->step->n_devs;
	r = nested_add_overlays(unmount->step, &table);
	if (r >= 0)
		r = unmount_table(unmount, &table, space);
	/* Where anybody may mount, names of layers prove nothing for other namespaces. */
	if (space->foreign)
		unmount->step->n_devs = n_devs;
	mount_table_done(&table);
	return r;
}

static int unmount_pass(struct unmount *unmount)
{
	struct mount_namespaces namespaces;
	int r;

	unmount->progress = unmount->nested = unmount->leaving = false;
	unmount->own.n = unmount->own.failures.n = 0;
	/* Where there is no more time to look, what was found stands. */
	if (!foreign_is_over())
		unmount->foreign.n = unmount->foreign.failures.n = 0;
	r = mount_namespaces_read(unmount->step->proc_fd, &namespaces);
	if (r < 0)
		return r;
	for (size_t i = 0; i < namespaces.n_items && r == 0; i++)
		if (mount_namespace_has_time(&namespaces.items[i]))
			r = unmount_namespace(unmount, &namespaces.items[i]);
	mount_namespaces_done(&namespaces);
	step_go_home(unmount->step);
	if (loops_clear(unmount->step, &unmount->leaving))
		unmount->progress = true;
	return r;
}

/* Whether to look again, after a while if there is nothing to do but wait. */
static bool goes_on(const struct unmount *unmount, int *waited)
{
	const struct timespec moment = {.tv_nsec = LEAVING_NS};

	if (unmount->own.n + unmount->foreign.n == 0)
		return false; /* what has come meanwhile is seen by the kernel module */
	if (unmount->progress)
		return true;
	if (!unmount->leaving || unmount->nested || ++*waited > LEAVING_MAX)
		return false;
	nanosleep(&moment, NULL);
	return true;
}

static int unmount_all(struct step *step, int flags)
{
	struct unmount unmount = {.step = step, .flags = flags, .n_own = step->n_devs};
	int r, waited = 0;

	r = nested_add_loops(step);
	for (int pass = 0; pass < PASSES_MAX + waited && r == 0; pass++) {
		r = unmount_pass(&unmount);
		if (!goes_on(&unmount, &waited))
			break;
	}
	if (r == 0)
		r = step_write(unmount.own.failures.data, unmount.own.failures.n);
	if (r == 0)
		r = step_write(unmount.foreign.failures.data, unmount.foreign.failures.n);
	dg_record_writer_done(&unmount.own.failures);
	dg_record_writer_done(&unmount.foreign.failures);
	if (r < 0)
		return r;
	return unmount.own.n + unmount.foreign.n > 0 ? STEP_EXIT_LEFT : STEP_EXIT_OK;
}

int verb_unmount(struct step *step)
{
	int status, r;

	status = unmount_all(step, 0);
	if (status != STEP_EXIT_LEFT)
		return status;
	r = kernel_users_report(step);
	return r < 0 ? r : status;
}

int verb_detach(struct step *step)
{
	return unmount_all(step, MNT_DETACH);
}
