// SPDX-License-Identifier: GPL-2.0-only
/*
 * Records of failures: kept until the daemon has them in its ledger.
 *
 * They hang in two orders: of their serials, in which they are told, and of
 * where they are on their device, in which they are merged. Their number is
 * bounded; beyond that the nearest one is widened. So is the memory for who was
 * told, of each and of all.
 */
#include <linux/ktime.h>
#include <linux/slab.h>

#include "failure.h"

static DEFINE_MUTEX(dg_record_lock);	/* innermost; all below */
static LIST_HEAD(dg_records);
static LIST_HEAD(dg_failed_devs);
static unsigned int dg_nr_records;
static unsigned int dg_sum_told;	/* for which there is room, in all records */
static u64 dg_last_serial;

/*
 * Not used again while the machine is up, also when the module is loaded again:
 * they go on from the nanoseconds since boot, and records come slower than these.
 */
void dg_records_init(void)
{
	dg_last_serial = ktime_get_boottime_ns();
}

static bool dg_identity_equal(const struct dg_identity *a, const struct dg_identity *b)
{
	return a->dev == b->dev && a->mode == b->mode && a->has_uuid == b->has_uuid &&
	       uuid_equal(&a->uuid, &b->uuid) && !strcmp(a->name, b->name);
}

static struct dg_failed_dev *dg_failed_dev_get(const struct dg_identity *id)
{
	struct dg_failed_dev *dev;

	list_for_each_entry(dev, &dg_failed_devs, node)
		if (dg_identity_equal(&dev->id, id))
			return dev;
	dev = kzalloc(sizeof(*dev), GFP_KERNEL);
	if (!dev)
		return NULL;
	dev->id = *id;
	list_add_tail(&dev->node, &dg_failed_devs);
	return dev;
}

static void dg_failed_dev_drop_idle(struct dg_failed_dev *dev)
{
	if (dev->nr)
		return;
	list_del(&dev->node);
	kfree(dev);
}

static struct dg_failure *dg_at(struct rb_node *node)
{
	return rb_entry_safe(node, struct dg_failure, at);
}

static struct rb_root *dg_records_of(struct dg_failed_dev *dev, const struct dg_failure *failure)
{
	return &dev->records[failure->source];
}

static void dg_failure_insert(struct dg_failed_dev *dev, struct dg_failure *failure)
{
	struct rb_root *root = dg_records_of(dev, failure);
	struct rb_node **link = &root->rb_node, *parent = NULL;

	while (*link) {
		parent = *link;
		if (failure->offset < dg_at(parent)->offset)
			link = &parent->rb_left;
		else
			link = &parent->rb_right;
	}
	rb_link_node(&failure->at, parent, link);
	rb_insert_color(&failure->at, root);
	failure->dev = dev;
	dev->nr++;
	dg_nr_records++;
}

static void dg_failure_free(struct dg_failure *failure)
{
	rb_erase(&failure->at, dg_records_of(failure->dev, failure));
	failure->dev->nr--;
	dg_nr_records--;
	dg_sum_told -= failure->max_told;
	list_del(&failure->node);
	kfree(failure->told);
	kfree(failure);
}

/* The last one that begins at or before @offset; the next begins behind it. */
static struct dg_failure *dg_failure_before(struct rb_root *root, u64 offset)
{
	struct rb_node *node = root->rb_node;
	struct dg_failure *found = NULL;

	while (node) {
		if (dg_at(node)->offset > offset) {
			node = node->rb_left;
		} else {
			found = dg_at(node);
			node = node->rb_right;
		}
	}
	return found;
}

static bool dg_places_continue(const struct dg_failure *a, const struct dg_failure *b)
{
	const struct dg_place *p = &a->place, *q = &b->place;

	if (p->kind != q->kind)
		return false;
	return p->kind != DG_PLACE_FILE ||
	       (p->fs_dev == q->fs_dev && p->ino == q->ino && p->generation == q->generation &&
		p->offset - a->offset == q->offset - b->offset);
}

/* May be one record: on the medium they are one piece, and so is what is said of it. */
static bool dg_failures_alike(const struct dg_failure *a, const struct dg_failure *b)
{
	return a->result == b->result && a->has_phys == b->has_phys &&
	       a->phys - a->offset == b->phys - b->offset && dg_places_continue(a, b);
}

static bool dg_failures_touch(const struct dg_failure *a, const struct dg_failure *b)
{
	return a->offset <= b->offset + b->len && b->offset <= a->offset + a->len;
}

static struct dg_told *dg_told_room(struct dg_failure *failure)
{
	unsigned int max = min(failure->max_told ? failure->max_told * 2 : 4U,
			       (unsigned int)DAXGUARD_TOLD_MAX);
	unsigned int more = max - failure->max_told;
	struct dg_told *told;

	if (failure->nr_told < failure->max_told)
		return &failure->told[failure->nr_told++];
	if (!more || more > DAXGUARD_TOLD_SUM_MAX - dg_sum_told)
		return NULL;
	told = krealloc(failure->told, max * sizeof(*told), GFP_KERNEL);
	if (!told)
		return NULL;
	dg_sum_told += more;
	failure->told = told;
	failure->max_told = max;
	return &told[failure->nr_told++];
}

/* Addresses of one process that touch become one. */
static void dg_failure_add_told(struct dg_failure *failure, const struct dg_told *new)
{
	struct dg_told *told;
	unsigned int i;
	u64 end;

	for (i = 0; i < failure->nr_told; i++) {
		told = &failure->told[i];
		if (told->pid != new->pid || told->start_ns != new->start_ns ||
		    told->addr > new->addr + new->len || new->addr > told->addr + told->len)
			continue;
		end = max(told->addr + told->len, new->addr + new->len);
		told->addr = min(told->addr, new->addr);
		told->len = end - told->addr;
		return;
	}
	told = dg_told_room(failure);
	if (told)
		*told = *new;
	else
		failure->flags |= DAXGUARD_FAIL_TOLD_MORE;
}

/* It is new again, to who has heard of it before. */
static void dg_failure_renew(struct dg_failure *failure)
{
	failure->serial = ++dg_last_serial;
	list_move_tail(&failure->node, &dg_records);
}

/* @to covers @what as well. Its begin moves down at most to where @what is. */
static void dg_failure_cover(struct dg_failure *to, const struct dg_failure *what)
{
	u64 end = max(to->offset + to->len, what->offset + what->len);

	if (what->offset < to->offset) {
		to->phys -= to->offset - what->offset;
		to->place.offset -= to->offset - what->offset;
		to->offset = what->offset;
	}
	to->len = end - to->offset;
	to->count += what->count;
	to->time_ns = max(to->time_ns, what->time_ns);
	to->flags |= what->flags;
}

/* One that has grown up to the next takes it in. */
static void dg_failure_join_next(struct dg_failure *failure)
{
	struct dg_failure *next = dg_at(rb_next(&failure->at));
	unsigned int i;

	if (!next || !dg_failures_alike(failure, next) || !dg_failures_touch(failure, next))
		return;
	dg_failure_cover(failure, next);
	for (i = 0; i < next->nr_told; i++)
		dg_failure_add_told(failure, &next->told[i]);
	dg_failure_free(next);
}

static struct dg_failure *dg_failure_extend(struct dg_failure *before, struct dg_failure *after,
					    const struct dg_failure *found)
{
	struct dg_failure *failure = NULL;

	if (before && dg_failures_alike(before, found) && dg_failures_touch(before, found))
		failure = before;
	else if (after && dg_failures_alike(after, found) && dg_failures_touch(after, found))
		failure = after;
	if (!failure)
		return NULL;
	dg_failure_cover(failure, found);
	dg_failure_join_next(failure);
	return failure;
}

/* The nearer neighbour, of which what was said is not true any more. */
static struct dg_failure *dg_failure_widen(struct dg_failure *before, struct dg_failure *after,
					   const struct dg_failure *found)
{
	struct dg_failure *failure = before ?: after;

	if (before && after && after->offset - found->offset < found->offset - before->offset)
		failure = after;
	if (!failure || failure->phys - failure->offset != found->phys - found->offset)
		return NULL;
	dg_failure_cover(failure, found);
	memset(&failure->place, 0, sizeof(failure->place));
	failure->place.kind = DG_PLACE_UNKNOWN;
	atomic64_inc(&dg_counters.failures_widened);
	return failure;
}

static struct dg_failure *dg_failure_new(struct dg_failed_dev *dev, const struct dg_failure *found)
{
	struct dg_failure *failure = kmemdup(found, sizeof(*found), GFP_KERNEL);

	if (!failure)
		return NULL;
	failure->told = NULL;
	failure->nr_told = 0;
	failure->max_told = 0;
	INIT_LIST_HEAD(&failure->node);
	dg_failure_insert(dev, failure);
	return failure;
}

static struct dg_failure *dg_failure_place(struct dg_failed_dev *dev,
					   const struct dg_failure *found)
{
	struct rb_root *root = dg_records_of(dev, found);
	struct dg_failure *before = dg_failure_before(root, found->offset), *after, *failure;

	after = dg_at(before ? rb_next(&before->at) : rb_first(root));
	failure = dg_failure_extend(before, after, found);
	if (!failure && dg_nr_records >= DAXGUARD_FAILURES_MAX)
		failure = dg_failure_widen(before, after, found);
	return failure ?: dg_failure_new(dev, found);
}

int dg_record(const struct dg_identity *id, const struct dg_failure *found,
	      const struct dg_noted *noted, unsigned int nr_noted)
{
	struct dg_failure *failure = NULL;
	struct dg_failed_dev *dev;
	unsigned int i;

	mutex_lock(&dg_record_lock);
	dev = dg_failed_dev_get(id);
	if (dev)
		failure = dg_failure_place(dev, found);
	if (failure) {
		for (i = 0; i < nr_noted; i++)
			dg_failure_add_told(failure, &noted[i].told);
		dg_failure_renew(failure);
	} else if (dev) {
		dg_failed_dev_drop_idle(dev);
	}
	mutex_unlock(&dg_record_lock);
	return failure ? 0 : -EAGAIN;
}

void dg_records_forget(u64 serial)
{
	struct dg_failure *failure, *next;
	struct dg_failed_dev *dev;

	mutex_lock(&dg_record_lock);
	list_for_each_entry_safe(failure, next, &dg_records, node) {
		if (failure->serial > serial)
			break;
		dev = failure->dev;
		dg_failure_free(failure);
		dg_failed_dev_drop_idle(dev);
	}
	mutex_unlock(&dg_record_lock);
}

void dg_records_exit(void)
{
	dg_records_forget(U64_MAX);
}

u64 dg_records_last(void)
{
	u64 serial = 0;

	mutex_lock(&dg_record_lock);
	if (!list_empty(&dg_records))
		serial = list_last_entry(&dg_records, struct dg_failure, node)->serial;
	mutex_unlock(&dg_record_lock);
	return serial;
}

unsigned int dg_records_count(void)
{
	return READ_ONCE(dg_nr_records);
}

int dg_records_each(u64 serial, int (*fn)(const struct dg_failure *failure, void *ctx), void *ctx)
{
	struct dg_failure *failure;
	int ret = 0;

	mutex_lock(&dg_record_lock);
	list_for_each_entry(failure, &dg_records, node) {
		if (failure->serial <= serial)
			continue;
		ret = fn(failure, ctx);
		if (ret)
			break;
	}
	mutex_unlock(&dg_record_lock);
	return ret;
}
