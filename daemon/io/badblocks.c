/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "io/badblocks.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct list {
	struct badblocks *badblocks;
	struct list *next;
	dg_dev_t dev;
	int fd;
	sd_event_source *source;
};

struct badblocks {
	sd_event *event;
	const char *dir;
	badblocks_func func;
	void *userdata;
	struct list *lists;
};

/* Reading it is what makes poll(2) wait for the next change. */
static int read_on(int fd)
{
	char byte;

	return pread(fd, &byte, 1, 0) < 0 ? -errno : 0;
}

static int on_change(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
	struct list *list = userdata;

	/* The disk is gone, and its file with it: it would be told for ever. */
	if (read_on(fd) < 0)
		sd_event_source_set_enabled(source, SD_EVENT_OFF);
	list->badblocks->func(list->badblocks->userdata, list->dev);
	return 0;
}

static struct list *list_free(struct list *list)
{
	if (!list)
		return NULL;
	sd_event_source_disable_unref(list->source);
	if (list->fd >= 0)
		close(list->fd);
	free(list);
	return NULL;
}

static int list_new(struct badblocks *badblocks, dg_dev_t dev, struct list **ret)
{
	struct list *list = calloc(1, sizeof(*list));
	char path[128];
	int r = 0;

	if (!list)
		return -ENOMEM;
	*list = (struct list){.badblocks = badblocks, .dev = dev};
	snprintf(path, sizeof(path), "%s/%" PRIu32 ":%" PRIu32 "/badblocks", badblocks->dir,
		 DG_DEV_MAJOR(dev), DG_DEV_MINOR(dev));
	list->fd = open(path, O_RDONLY | O_CLOEXEC);
	if (list->fd < 0)
		r = -errno;
	if (r >= 0)
		r = read_on(list->fd);
	if (r >= 0)
		r = sd_event_add_io(badblocks->event, &list->source, list->fd, EPOLLPRI, on_change,
				    list);
	if (r < 0) {
		list_free(list);
		return r;
	}
	*ret = list;
	return 0;
}

int badblocks_new(sd_event *event, const char *dir, badblocks_func func, void *userdata,
		  struct badblocks **ret)
{
	struct badblocks *badblocks = calloc(1, sizeof(*badblocks));

	if (!badblocks)
		return -ENOMEM;
	*badblocks = (struct badblocks){
		.event = sd_event_ref(event), .dir = dir, .func = func, .userdata = userdata};
	*ret = badblocks;
	return 0;
}

struct badblocks *badblocks_free(struct badblocks *badblocks)
{
	if (!badblocks)
		return NULL;
	badblocks_watch(badblocks, NULL, 0);
	sd_event_unref(badblocks->event);
	free(badblocks);
	return NULL;
}

static bool is_wanted(dg_dev_t dev, const dg_dev_t *devs, size_t n_devs)
{
	for (size_t i = 0; i < n_devs; i++)
		if (devs[i] == dev)
			return true;
	return false;
}

static bool is_watched(const struct badblocks *badblocks, dg_dev_t dev)
{
	for (const struct list *list = badblocks->lists; list; list = list->next)
		if (list->dev == dev)
			return true;
	return false;
}

void badblocks_watch(struct badblocks *badblocks, const dg_dev_t *devs, size_t n_devs)
{
	struct list **at = &badblocks->lists, *list;

	while ((list = *at)) {
		if (is_wanted(list->dev, devs, n_devs) &&
		    sd_event_source_get_enabled(list->source, NULL) > 0) {
			at = &list->next;
			continue;
		}
		*at = list->next;
		list_free(list);
	}
	for (size_t i = 0; i < n_devs; i++) {
		if (is_watched(badblocks, devs[i]) || list_new(badblocks, devs[i], &list) < 0)
			continue;
		list->next = badblocks->lists;
		badblocks->lists = list;
	}
}
