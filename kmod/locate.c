// SPDX-License-Identifier: GPL-2.0-only
/*
 * Where a failed page is: on which device, in which file. Looked up by the
 * worker, which may sleep; nothing is referenced for longer than a look takes.
 */
#include <linux/badblocks.h>
#include <linux/memremap.h>
#include <linux/mm.h>

#include "compat.h"
#include "failure.h"

/* The device of the last event; the next one is likely to be on it as well. */
struct dg_located {
	bool valid;
	bool removing;
	struct dg_identity id;
	struct dg_part part;
};

static struct dg_located dg_located;	/* the worker's, of which there is one at a time */

static void dg_identify(const struct dg_target *target, struct dg_identity *ret)
{
	memset(ret, 0, sizeof(*ret));
	strscpy(ret->name, dg_target_name(target), sizeof(ret->name));
	strscpy(ret->nd_name, dev_name(target->nd_dev), sizeof(ret->nd_name));
	ret->dev = target->dev->devt;
	ret->mode = target->mode;
	ret->has_uuid = target->has_uuid;
	ret->uuid = target->uuid;
}

/* Of a device that is being removed; it may not be found otherwise any more. */
static bool dg_locate_requested(unsigned long pfn, struct dg_located *ret)
{
	struct dg_target *target;
	struct dg_request *req;
	bool found = false;

	mutex_lock(&dg_lock);
	list_for_each_entry(req, &dg_requests, node) {
		/* revoked, and the teardown may be anywhere */
		if (req->state == DAXGUARD_STATE_CLOSING)
			continue;
		list_for_each_entry(target, &req->targets, node) {
			if (found || !dg_target_part(target, pfn, &ret->part))
				continue;
			dg_identify(target, &ret->id);
			found = true;
		}
	}
	mutex_unlock(&dg_lock);
	ret->removing = found;
	return found;
}

/* -ENODEV: no guarded device has it. */
static int dg_locate_device(unsigned long pfn)
{
	struct dg_target *target;

	if (dg_located.valid && pfn >= dg_located.part.pfn &&
	    pfn - dg_located.part.pfn < dg_located.part.nr)
		return 0;
	dg_located.valid = dg_locate_requested(pfn, &dg_located);
	if (dg_located.valid)
		return 0;
	target = dg_target_by_pfn(pfn);
	if (IS_ERR(target))
		return -EAGAIN;
	if (!target)
		return -ENODEV;
	dg_located.valid = dg_target_part(target, pfn, &dg_located.part);
	dg_identify(target, &dg_located.id);
	dg_target_free(target);
	return dg_located.valid ? 0 : -ENODEV;
}

void dg_locate_end(void)
{
	dg_located.valid = false;
}

/* The caller has the page's pagemap. */
static void dg_place_of(const struct dg_identity *id, unsigned long pfn, struct dg_place *ret)
{
	memset(ret, 0, sizeof(*ret));
	if (id->mode == DAXGUARD_MODE_DEVDAX)
		ret->kind = DG_PLACE_DEVICE;
	else
		dg_page_place(pfn_to_page(pfn), ret);
}

static bool dg_place_continues(const struct dg_place *place, unsigned long nr,
			       const struct dg_place *next)
{
	if (place->kind != next->kind)
		return false;
	return place->kind != DG_PLACE_FILE ||
	       (place->fs_dev == next->fs_dev && place->ino == next->ino &&
		place->generation == next->generation &&
		place->offset + ((u64)nr << PAGE_SHIFT) == next->offset);
}

/* How many pages from @pfn on are in one place, and in which. */
static unsigned long dg_locate_run(const struct dg_identity *id, unsigned long pfn,
				   unsigned long end, struct dg_place *ret)
{
	struct dev_pagemap *pgmap = dg_get_pagemap(pfn);
	struct dg_place next;
	unsigned long nr = 1;

	if (!pgmap) {
		memset(ret, 0, sizeof(*ret));
		return end - pfn;
	}
	dg_place_of(id, pfn, ret);
	for (; pfn + nr < end; nr++) {
		dg_place_of(id, pfn + nr, &next);
		if (!dg_place_continues(ret, nr, &next))
			break;
		if (!(nr % 4096))
			cond_resched();
	}
	put_dev_pagemap(pgmap);
	return nr;
}

/* Those that were told of a page of the run; they are in order. */
static unsigned int dg_noted_until(const struct dg_noted *noted, unsigned int nr, unsigned long end)
{
	unsigned int i = 0;

	while (i < nr && noted[i].pfn < end)
		i++;
	return i;
}

/* What of an event is not recorded yet. */
struct dg_rest {
	unsigned long pfn;
	const struct dg_noted *noted;
	unsigned int nr_noted;
	unsigned int count;		/* events of the kernel */
};

/* Up to @end, which is on the device as well. */
static int dg_locate_on_device(const struct dg_event *event, struct dg_rest *rest,
			       unsigned long end)
{
	const struct dg_part *part = &dg_located.part;
	unsigned int nr_noted;
	unsigned long nr;
	struct dg_failure found = {
		.source = DAXGUARD_SOURCE_MEMORY_FAILURE,
		.result = event->result,
		.flags = (event->told_more ? DAXGUARD_FAIL_TOLD_MORE : 0) |
			 (dg_located.removing ? DAXGUARD_FAIL_REMOVING : 0),
		.has_phys = true,
		.time_ns = event->time_ns,
	};
	int ret = 0;

	while (rest->pfn < end && !ret) {
		found.place.kind = DG_PLACE_UNKNOWN;
		nr = event->widened ? end - rest->pfn :
				      dg_locate_run(&dg_located.id, rest->pfn, end, &found.place);
		found.phys = PFN_PHYS(rest->pfn);
		found.offset = part->offset + PFN_PHYS(rest->pfn - part->pfn);
		found.len = (u64)nr << PAGE_SHIFT;
		rest->pfn += nr;
		/* One event a page; those that came again are counted with the last. */
		found.count = rest->pfn < event->end ? min_t(unsigned long, nr, rest->count) :
						       max(rest->count, 1U);
		nr_noted = dg_noted_until(rest->noted, rest->nr_noted, rest->pfn);
		ret = dg_record(&dg_located.id, &found, rest->noted, nr_noted);
		rest->noted += nr_noted;
		rest->nr_noted -= nr_noted;
		rest->count -= min(rest->count, found.count);
	}
	return ret;
}

int dg_locate_event(const struct dg_event *event, const struct dg_noted *noted)
{
	struct dg_rest rest = {
		.pfn = event->pfn,
		.noted = noted,
		.nr_noted = event->nr_noted,
		.count = event->count,
	};
	bool ours = false;
	int ret;

	while (rest.pfn < event->end) {
		ret = dg_locate_device(rest.pfn);
		if (ret == -ENODEV) {
			/* not ours, or gone since, with whoever used it */
			rest.pfn = round_up(rest.pfn + 1, DG_EVENT_PAGES);
			cond_resched();
			continue;
		}
		if (!ret)
			ret = dg_locate_on_device(event, &rest,
						  min(event->end,
						      dg_located.part.pfn + dg_located.part.nr));
		if (ret)
			return ret;
		ours = true;
	}
	atomic64_add(event->count, ours ? &dg_counters.failures : &dg_counters.failures_other);
	return 0;
}

/* Bad sectors in one place; those of a page that is only partly bad are what is bad of it. */
static int dg_check_bad(const struct dg_target *target, const struct dg_identity *id, u64 start,
			u64 end)
{
	struct dg_failure found = {
		.source = DAXGUARD_SOURCE_BADBLOCKS,
		.has_phys = target->nr_pfns,
		.time_ns = ktime_get_boottime_ns(),
		.count = 1,
	};
	unsigned long nr = 0, pfn;
	int ret = 0;

	for (; start < end && !ret; start += found.len) {
		found.offset = start;
		found.len = end - start;
		if (target->nr_pfns) {
			pfn = target->pfn + PHYS_PFN(start);
			nr = dg_locate_run(id, pfn, target->pfn + PHYS_PFN(end - 1) + 1,
					   &found.place);
			found.phys = PFN_PHYS(target->pfn) + start;
			found.len = min(end, PFN_PHYS(pfn - target->pfn + nr)) - start;
			found.place.offset += offset_in_page(start);
		}
		ret = dg_record(id, &found, NULL, 0);
	}
	return ret;
}

/* What the disk lists as bad becomes records. -EAGAIN: not all of it, for want of memory. */
int dg_check_badblocks(struct dg_target *target)
{
	struct dg_identity id;
	sector_t at = 0, end, first = 0, nr = 0;
	int ret = 0;

	if (!target->disk || !target->disk->bb)
		return 0;
	dg_identify(target, &id);
	end = get_capacity(target->disk);
	while (at < end && !ret && dg_badblocks_next(target->disk->bb, at, end - at, &first, &nr)) {
		first = max(first, at);
		ret = dg_check_bad(target, &id, first << SECTOR_SHIFT,
				   min(first + nr, end) << SECTOR_SHIFT);
		at = max(first + nr, at + 1);
		cond_resched();
	}
	return ret;
}
