/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Lists of bad blocks: the module is asked to look at one when its disk appears, when
 * the list changes, and when it is registered with anew. What is in it comes as
 * records of failures, manager-failures.c.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>

#include "core/grow.h"
#include "io/badblocks.h"
#include "manager-internal.h"
#include "names.h"

#define CHECK_US 20000000ULL
#define AGAIN_US 1000000ULL /* after one that failed; then twice that, and so on */
#define AGAIN_MAX_US 60000000ULL

struct checked {
	dg_dev_t dev;
	uint64_t diskseq; /* the next disk may have the same number */
	bool due;
	bool failed; /* the last time; it was said */
};

struct checks {
	struct manager *m;
	struct badblocks *badblocks;
	struct scan *scan; /* one at a time: */
	dg_dev_t dev;
	struct checked *checked; /* disks */
	size_t n_checked;
	sd_event_source *again;
	uint64_t again_us;
};

/* What comes back has been elsewhere. */
static void drop_gone(struct checks *c)
{
	size_t n = 0;

	for (size_t i = 0; i < c->n_checked; i++) {
		const struct manager_device *device = devices_find(c->m, c->checked[i].dev, false);

		if (device && device->diskseq == c->checked[i].diskseq)
			c->checked[n++] = c->checked[i];
	}
	c->n_checked = n;
}

static struct checked *find(struct checks *c, dg_dev_t dev)
{
	for (size_t i = 0; i < c->n_checked; i++)
		if (c->checked[i].dev == dev)
			return &c->checked[i];
	return NULL;
}

static int on_again(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct checks *c = userdata;

	for (size_t i = 0; i < c->n_checked; i++)
		c->checked[i].due |= c->checked[i].failed;
	checks_devices(c->m);
	return 0;
}

static void complain(struct checks *c, struct checked *checked, int error)
{
	const struct manager_device *device = devices_find(c->m, checked->dev, false);

	if (device && !checked->failed)
		log_message(c->m, LOG_WARNING, NULL,
			    "What is bad on %s is not known: the module could not look at its list "
			    "of bad blocks (%s); it is tried again",
			    device->name, strerror(-error));
	checked->failed = true;
}

static void look_again(struct checks *c, int error)
{
	struct checked *checked = find(c, c->dev);

	if (!checked)
		return;
	complain(c, checked, error);
	if (sd_event_source_get_enabled(c->again, NULL) > 0)
		return;
	c->again_us = c->again_us > 0 ? c->again_us * 2 : AGAIN_US;
	if (c->again_us > AGAIN_MAX_US)
		c->again_us = AGAIN_MAX_US;
	if (sd_event_source_set_time_relative(c->again, c->again_us) >= 0)
		sd_event_source_set_enabled(c->again, SD_EVENT_ONESHOT);
}

static void went_well(struct checks *c)
{
	struct checked *checked = find(c, c->dev);

	c->again_us = 0;
	if (checked)
		checked->failed = false;
}

/* One that is gone, or whose module is, will be looked at when it is there again. */
static void on_checked(void *userdata, int error, const struct dg_usage_list *rows,
		       const struct dg_fs_list *fs)
{
	struct checks *c = userdata;

	c->scan = NULL;
	if (error == -EOPNOTSUPP || error == -ENOENT)
		return;
	if (error >= 0)
		went_well(c);
	else if (error != -ENODEV)
		look_again(c, error);
	checks_devices(c->m);
}

static void watch(struct checks *c)
{
	const struct manager *m = c->m;
	dg_dev_t *devs = calloc(m->n_devices + 1, sizeof(*devs));
	size_t n = 0;

	if (!devs)
		return;
	for (size_t i = 0; i < m->n_devices; i++)
		if (m->devices[i].mode != DG_MODE_DEVDAX)
			devs[n++] = m->devices[i].dev;
	badblocks_watch(c->badblocks, devs, n);
	free(devs);
}

static void on_badblocks(void *userdata, dg_dev_t dev)
{
	struct checks *c = userdata;
	struct checked *checked = find(c, dev);

	if (checked)
		checked->due = true;
	checks_devices(c->m);
	repairs_look(c->m, dev);
}

/* It is due if it is new. NULL: there is no memory for it. */
static struct checked *checked_of(struct checks *c, const struct manager_device *device)
{
	struct checked *checked = find(c, device->dev);

	if (checked)
		return checked;
	if (DG_GROW(c->checked, c->n_checked) < 0)
		return NULL;
	checked = &c->checked[c->n_checked++];
	*checked = (struct checked){device->dev, device->diskseq, .due = true};
	return checked;
}

static void check(struct checks *c, struct checked *checked)
{
	const struct scan_what what = {SCAN_CHECK, .dev = checked->dev};
	int r;

	checked->due = false;
	c->dev = checked->dev;
	r = scan_start(c->m, &what, CHECK_US, on_checked, c, &c->scan);
	if (r >= 0)
		return;
	c->scan = NULL;
	look_again(c, r);
}

/* Once for each, and when its list has changed. */
void checks_devices(struct manager *m)
{
	struct checks *c = m->checks;

	if (!c)
		return;
	drop_gone(c);
	watch(c);
	for (size_t i = 0; m->registered && !c->scan && i < m->n_devices; i++) {
		struct checked *checked;

		if (m->devices[i].mode == DG_MODE_DEVDAX)
			continue;
		checked = checked_of(c, &m->devices[i]);
		if (!checked)
			return;
		if (checked->due)
			check(c, checked);
	}
}

void checks_registered(struct manager *m)
{
	if (!m->checks)
		return;
	m->checks->n_checked = 0;
	checks_devices(m);
}

int checks_new(struct manager *m)
{
	struct checks *c = calloc(1, sizeof(*c));
	int r;

	if (!c)
		return -ENOMEM;
	c->m = m;
	r = sd_event_add_time(m->event, &c->again, CLOCK_MONOTONIC, 0, 0, on_again, c);
	if (r >= 0)
		r = sd_event_source_set_enabled(c->again, SD_EVENT_OFF);
	if (r >= 0)
		r = badblocks_new(m->event, DG_SYS_BLOCK_DIR, on_badblocks, c, &c->badblocks);
	if (r < 0) {
		sd_event_source_disable_unref(c->again);
		free(c);
	} else {
		m->checks = c;
	}
	return r;
}

void checks_free(struct manager *m)
{
	if (!m->checks)
		return;
	scan_cancel(m->checks->scan);
	sd_event_source_disable_unref(m->checks->again);
	badblocks_free(m->checks->badblocks);
	free(m->checks->checked);
	free(m->checks);
	m->checks = NULL;
}
