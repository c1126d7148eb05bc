/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Who keeps a file system of a device that is gone: whom an incident left
 * there, or in a mount namespace of whom it left a mount, as long as he lives.
 *
 * Asked when somebody wants to know. /proc/PID/stat and /proc/PID/ns take no
 * lock that a stuck process could keep.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "manager-internal.h"

/* More are not told: a list of thousands helps nobody, and takes its time. */
#define PINNED_MAX 256

struct list {
	struct manager *m;
	const struct dg_story *story;
	manager_pinned_func func;
	void *userdata;
	size_t n_asked;
};

static void tell(struct list *list, struct manager_pinned *pinned)
{
	const struct dg_story *story = list->story;

	pinned->incident = story->id;
	/* People know pmem0; a region has several. */
	pinned->device = story->n_targets == 1 ? story->targets[0].name : story->device;
	list->func(list->userdata, pinned);
}

static bool was_left(const struct dg_story_holder *holder)
{
	return holder->how[0] && strcmp(holder->how, "unmapped") != 0 &&
	       strcmp(holder->how, "exited") != 0;
}

static void ask_holder(struct list *list, const struct dg_story_holder *holder)
{
	struct manager_pinned pinned = {.pid = holder->process.pid, .path = ""};

	if (!was_left(holder) || list->n_asked++ >= PINNED_MAX ||
	    !manager_is_alive(list->m, holder->process))
		return;
	snprintf(pinned.comm, sizeof(pinned.comm), "%s", holder->comm);
	tell(list, &pinned);
}

static bool lives_in(struct manager *m, pid_t pid, uint64_t ns)
{
	char path[64], link[64], expected[64];
	ssize_t n;

	snprintf(path, sizeof(path), "%s/%d/ns/mnt", m->paths->proc, pid);
	snprintf(expected, sizeof(expected), "mnt:[%llu]", (unsigned long long)ns);
	n = readlink(path, link, sizeof(link) - 1);
	if (n < 0)
		return false;
	link[n] = '\0';
	return strcmp(link, expected) == 0;
}

static void ask_mount(struct list *list, const struct dg_story_mount *mount)
{
	struct manager_pinned pinned = {.pid = mount->pid, .path = mount->path};

	if (strcmp(mount->result, "locked") != 0 || list->n_asked++ >= PINNED_MAX ||
	    !lives_in(list->m, mount->pid, mount->ns))
		return;
	manager_read_comm(list->m, mount->pid, pinned.comm);
	tell(list, &pinned);
}

void manager_foreach_pinned(struct manager *m, manager_pinned_func func, void *userdata)
{
	struct list list = {.m = m, .func = func, .userdata = userdata};

	/* The newest first: they are what somebody asks for. */
	for (size_t i = m->n_kept; i > 0; i--) {
		const struct dg_story *story = list.story = m->kept[i - 1];

		/* An ACK is only good when no file system lives there any more. */
		if (story->marks & (1U << DG_MARK_ACKED))
			continue;
		/* Nor is it gone where it was only asked for, or nothing was left of it. */
		if (story->by_user &&
		    (story->state != DG_STATE_DONE || !(story->marks & (1U << DG_MARK_DETACHED))))
			continue;
		for (size_t n = 0; n < story->n_holders; n++)
			ask_holder(&list, &story->holders[n]);
		for (size_t n = 0; n < story->n_mounts; n++)
			ask_mount(&list, &story->mounts[n]);
	}
}
