/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Bad ranges that are good again: a step compares what the ledger has of a disk with the
 * disk's list of bad blocks, and what is there no more goes to history.
 *
 * A disk is due when it appears, when its list has changed or was reported, when the ledger
 * was read, and every few minutes while something of it is bad, since a list that
 * is written to by hand tells nobody. While nothing of any disk is bad nothing is due.
 *
 * What is reported of a range while a step looks at it is newer than what the step says:
 * the answer does not count, and it is asked again.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>

#include "core/record.h"
#include "core/repair.h"
#include "manager-internal.h"
#include "names.h"

#define SETTLE_US 1000000ULL  /* what the module makes of a changed list comes first */
#define AGAIN_US 300000000ULL /* while there is something bad */
#define STEP_US 10000000ULL   /* the step's own time; it is ended a second later */
#define RANGES_MAX 1024       /* that one step is asked about */

struct disk {
	dg_dev_t dev;
	uint64_t diskseq; /* the next disk may have the same number */
	bool due;
	bool again;        /* it became due while it was being looked at */
	bool failed;       /* the last step; it was said */
	uint64_t since_ns; /* it is there; realtime */
};

struct place {
	uint64_t offset, len;
};

struct repairs {
	struct manager *m;
	sd_event_source *timer;
	struct disk *disks; /* that are there, and may have a list; NULL: none was looked for */
	size_t n_disks;
	/* Of the disk that is being looked at: */
	struct step *step;
	struct keeper_batch *batch; /* what was found is being written */
	dg_dev_t dev;               /* 0: none */
	uint64_t diskseq;
	char name[DG_NAME_MAX], ns[DG_NAME_MAX];
	uint64_t from, since_ns; /* of its ranges; of the disk */
	uint64_t seq;            /* of the ledger, when the step was asked */
	struct place places[RANGES_MAX];
	size_t n_places;
	size_t n_good;
	uint64_t good_bytes;
};

static void wake_within(struct repairs *p, uint64_t time_us)
{
	uint64_t at_us = manager_now(p->m) + time_us, due_us;

	if (sd_event_source_get_enabled(p->timer, NULL) > 0 &&
	    sd_event_source_get_time(p->timer, &due_us) >= 0 && due_us <= at_us)
		return;
	if (sd_event_source_set_time(p->timer, at_us) >= 0)
		sd_event_source_set_enabled(p->timer, SD_EVENT_ONESHOT);
}

static struct disk *find(struct repairs *p, dg_dev_t dev)
{
	for (size_t i = 0; i < p->n_disks; i++)
		if (p->disks[i].dev == dev)
			return &p->disks[i];
	return NULL;
}

/* That is being looked at, if it is that one still. */
static struct disk *current(struct repairs *p)
{
	struct disk *disk = p->dev != 0 ? find(p, p->dev) : NULL;

	return disk && disk->diskseq == p->diskseq ? disk : NULL;
}

/* As the ledger has it. */
static void name_namespace(const struct manager_device *device, char ret[static DG_NAME_MAX])
{
	snprintf(ret, DG_NAME_MAX, "%s", device->uuid[0] ? device->uuid : device->name);
}

/*
 * Of what no list has had the step can say nothing; of what was widened over others, neither,
 * since not all of that was in a list.
 */
static bool may_be_good(const struct dg_failure *f)
{
	return dg_failure_is_listed(f) && (!f->coarse || f->sources == DG_SOURCE_BADBLOCKS);
}

/* Of a disk that is new. What was there when the daemon started may be as old as this boot. */
static uint64_t there_since(const struct repairs *p)
{
	uint64_t now_ns = manager_clock_ns(CLOCK_REALTIME);

	return p->disks ? now_ns : now_ns - manager_clock_ns(CLOCK_BOOTTIME);
}

static int write_range(const struct repairs *p, struct dg_record_writer *w,
		       const struct dg_failure *f)
{
	dg_record_field_u64(w, "OFFSET", f->offset);
	dg_record_field_u64(w, "LEN", f->length);
	dg_record_field(w, "SOURCE",
			dg_source_name(f->sources & DG_SOURCE_MEMORY_FAILURE
					       ? DG_SOURCE_MEMORY_FAILURE
					       : DG_SOURCE_BADBLOCKS));
	dg_record_field(w, "LISTED", "1");
	if (f->first_ns >= p->since_ns)
		dg_record_field(w, "SEEN", "1");
	return dg_record_end(w);
}

/* What there is to be asked from p->from on, as far as one step takes it. */
static int write_input(struct repairs *p, struct dg_record_writer *w)
{
	const struct dg_ledger *ledger = keeper_ledger(p->m->keeper);
	const struct dg_failure *f = dg_ledger_find(ledger, p->ns, p->from);
	int r;

	dg_record_field_dev(w, "DEV", p->dev);
	dg_record_field_u64(w, "TIMEOUT_MSEC", STEP_US / 1000);
	r = dg_record_end(w);
	p->n_places = 0;
	for (; r >= 0 && f && strcmp(f->ns, p->ns) == 0 && p->n_places < RANGES_MAX;
	     f = dg_ledger_next(ledger, f)) {
		if (!may_be_good(f))
			continue;
		p->places[p->n_places++] = (struct place){f->offset, f->length};
		r = write_range(p, w, f);
	}
	return r;
}

static void on_step(void *userdata, const struct step_outcome *outcome);

/* 1: a step is at it. 0: there is nothing to be asked. */
static int ask(struct repairs *p)
{
	static const char *const argv[] = {"repaired", NULL};
	struct dg_record_writer w = DG_RECORD_WRITER_INIT;
	int r;

	p->seq = keeper_last(p->m->keeper);
	r = write_input(p, &w);
	if (r >= 0 && p->n_places > 0)
		r = step_start_with(p->m->steps, argv, w.data, w.n, STEP_US + 1000000, on_step, p,
				    &p->step);
	dg_record_writer_done(&w);
	if (r >= 0)
		return p->n_places > 0;
	p->step = NULL;
	return r;
}

static void complain(struct repairs *p, struct disk *disk, const char *what, const char *why)
{
	if (!disk->failed)
		log_message(p->m, LOG_WARNING, DG_MESSAGE_LEDGER,
			    "Whether bad memory of %s is good again could not be told: %s %s; it "
			    "is tried again",
			    p->name, what, why);
	disk->failed = true;
}

/* Something is bad that may be good one day, of a disk that is there. */
static bool any_bad(const struct repairs *p)
{
	const struct dg_ledger *ledger = keeper_ledger(p->m->keeper);

	for (size_t i = 0; i < p->n_disks; i++) {
		const struct manager_device *device = devices_find(p->m, p->disks[i].dev, false);
		const struct dg_failure *f;
		char ns[DG_NAME_MAX];

		if (!device)
			continue;
		name_namespace(device, ns);
		f = dg_ledger_find(ledger, ns, 0);
		for (; f && strcmp(f->ns, ns) == 0; f = dg_ledger_next(ledger, f))
			if (may_be_good(f))
				return true;
	}
	return false;
}

/* True: a step is at it. */
static bool ask_of(struct repairs *p, struct disk *disk)
{
	const struct manager_device *device = devices_find(p->m, disk->dev, false);
	int r = 0;

	if (device && p->dev != device->dev) {
		p->dev = device->dev;
		p->diskseq = disk->diskseq;
		p->from = 0;
		p->since_ns = disk->since_ns;
		memcpy(p->name, device->name, sizeof(p->name));
		name_namespace(device, p->ns);
	}
	if (device)
		r = ask(p);
	if (r > 0)
		return true;
	if (r < 0)
		complain(p, disk, "it could not be asked:", strerror(-r));
	disk->due = disk->again;
	disk->again = false;
	p->dev = 0;
	if (disk->due)
		wake_within(p, SETTLE_US);
	return false;
}

/* The next ranges of this disk, or the next one that is due. */
static void go_on(struct repairs *p)
{
	struct manager *m = p->m;

	if (p->step || p->batch || manager_is_holding(m) || !keeper_ledger(m->keeper))
		return;
	/* The number of a disk may be another's by now. */
	if (!devices_are_fresh(m)) {
		p->dev = 0;
		wake_within(p, SETTLE_US);
		return;
	}
	if (!current(p))
		p->dev = 0;
	for (size_t i = 0; i < p->n_disks; i++)
		if (p->disks[i].due && ask_of(p, &p->disks[i]))
			return;
	if (any_bad(p))
		wake_within(p, AGAIN_US);
}

static void on_written(void *userdata, int error)
{
	struct repairs *p = userdata;
	struct manager *m = p->m;
	char ranges[24], bytes[24], text[DG_LOG_LINE_MAX];
	const struct logger_field fields[] = {
		{DG_FIELD_DEVICE, p->name}, {DG_FIELD_RANGES, ranges}, {DG_FIELD_BYTES, bytes}};

	p->batch = NULL;
	snprintf(ranges, sizeof(ranges), "%zu", p->n_good);
	snprintf(bytes, sizeof(bytes), "%" PRIu64, p->good_bytes);
	snprintf(text, sizeof(text),
		 "Bad memory of %s is good again: %zu range%s of %" PRIu64 " bytes in all%s",
		 p->name, p->n_good, p->n_good == 1 ? "" : "s", p->good_bytes,
		 error < 0 ? ", which is not written as yet" : "");
	logger_write(m->logger, &(struct logger_message){
					.priority = LOG_NOTICE,
					.id = DG_MESSAGE_LEDGER,
					.text = text,
					.fields = fields,
					.n_fields = sizeof(fields) / sizeof(*fields),
				});
	OBSERVE(m, failures_repaired, p->name, p->n_good, p->good_bytes);
	p->n_good = 0;
	p->good_bytes = 0;
	go_on(p);
}

/* Something was said of it since the step was asked. */
static bool is_newer(const struct repairs *p, const struct place *place)
{
	const struct dg_ledger *ledger = keeper_ledger(p->m->keeper);
	const struct dg_failure *f = dg_ledger_find(ledger, p->ns, place->offset);

	for (; f && strcmp(f->ns, p->ns) == 0 && f->offset < place->offset + place->len;
	     f = dg_ledger_next(ledger, f))
		if (f->seq > p->seq)
			return true;
	return false;
}

static void take_good(struct repairs *p, const struct place *place)
{
	struct dg_failure f = {.offset = place->offset, .length = place->len};

	if (is_newer(p, place)) {
		repairs_look(p->m, p->dev);
		return;
	}
	f.repaired_ns = manager_clock_ns(CLOCK_REALTIME);
	memcpy(f.ns, p->ns, sizeof(f.ns));
	if (keeper_repaired(p->m->keeper, &f) < 0)
		return;
	p->n_good++;
	p->good_bytes += place->len;
}

/* Never more than what was asked for. */
static void take_part(struct repairs *p, const struct dg_repair_part *part)
{
	const struct place *asked = &p->places[part->range];
	uint64_t end = part->offset + part->len;
	struct place place = {.offset = part->offset};

	if (place.offset < asked->offset)
		place.offset = asked->offset;
	if (end > asked->offset + asked->len)
		end = asked->offset + asked->len;
	if (place.offset >= end)
		return;
	place.len = end - place.offset;
	take_good(p, &place);
}

static int take_answers(struct repairs *p, const struct step_outcome *outcome)
{
	struct dg_repair_answer *answers = calloc(p->n_places, sizeof(*answers));
	const char *cursor = outcome->output, *end = outcome->output + outcome->n_output;
	struct dg_repair_part part;

	if (!answers)
		return -ENOMEM;
	dg_repair_read(outcome->output, outcome->n_output, answers, p->n_places);
	for (size_t i = 0; i < p->n_places; i++)
		if (answers[i].repair == DG_REPAIR_REPAIRED)
			take_good(p, &p->places[i]);
	while (dg_repair_next_part(&cursor, end, p->n_places, &part))
		if (answers[part.range].repair == DG_REPAIR_STILL)
			take_part(p, &part);
	free(answers);
	return 0;
}

/* Of what failed nothing is known, and it is not asked again before the next time. */
static void give_up(struct repairs *p, const char *what, const char *why)
{
	struct disk *disk = current(p);

	p->dev = 0;
	if (!disk)
		return;
	complain(p, disk, what, why);
	disk->due = disk->again = false;
}

static void on_step(void *userdata, const struct step_outcome *outcome)
{
	struct repairs *p = userdata;
	const struct place *last = &p->places[p->n_places - 1];
	struct disk *disk = current(p);
	int r;

	p->step = NULL;
	if (outcome->end == STEP_TIMEOUT || outcome->end == STEP_SIGNALED)
		p->m->n_lost_steps++;
	if (outcome->end != STEP_OK) {
		give_up(p, step_end_name(outcome->end), outcome->error);
	} else if (disk && devices_are_fresh(p->m)) {
		/* The ranges behind are asked for next; it is due until there are none. */
		p->from = last->offset + last->len;
		r = take_answers(p, outcome);
		if (r < 0)
			give_up(p, "failed", strerror(-r));
		else
			disk->failed = false;
	}
	r = p->n_good > 0 ? keeper_wait(p->m->keeper, on_written, p, &p->batch) : 0;
	/* It is said of this disk, before the next one. */
	if (r < 0)
		on_written(p, r);
	else if (!p->batch)
		go_on(p);
}

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct repairs *p = userdata;
	bool is_due = false;

	for (size_t i = 0; i < p->n_disks; i++)
		is_due |= p->disks[i].due;
	/* Nothing has happened for so long. */
	for (size_t i = 0; i < p->n_disks && !is_due; i++)
		p->disks[i].due = true;
	go_on(p);
	return 0;
}

void repairs_look(struct manager *m, dg_dev_t dev)
{
	struct repairs *p = m->repairs;
	struct disk *disk = p ? find(p, dev) : NULL;

	if (!disk)
		return;
	if (p->dev == dev)
		disk->again = true;
	disk->due = true;
	wake_within(p, SETTLE_US);
}

void repairs_devices(struct manager *m)
{
	struct repairs *p = m->repairs;
	struct disk *disks = calloc(m->n_devices + 1, sizeof(*disks));
	bool is_due = false;
	size_t n = 0;

	if (!p || !disks) {
		free(disks);
		return;
	}
	for (size_t i = 0; i < m->n_devices; i++) {
		const struct manager_device *device = &m->devices[i];
		const struct disk *known = find(p, device->dev);

		if (device->mode == DG_MODE_DEVDAX)
			continue;
		disks[n] = known && known->diskseq == device->diskseq
				   ? *known
				   : (struct disk){device->dev, device->diskseq, .due = true,
						   .since_ns = there_since(p)};
		is_due |= disks[n++].due;
	}
	free(p->disks);
	p->disks = disks;
	p->n_disks = n;
	if (is_due)
		wake_within(p, SETTLE_US);
}

void repairs_begin(struct manager *m)
{
	if (m->repairs)
		wake_within(m->repairs, SETTLE_US);
}

/* What it would say may be of a disk that goes. */
void repairs_hold(struct manager *m, bool holding)
{
	struct repairs *p = m->repairs;

	if (!p)
		return;
	if (holding && p->step) {
		step_cancel(p->step);
		p->step = NULL;
		p->dev = 0;
	}
	if (!holding)
		wake_within(p, SETTLE_US);
}

int repairs_new(struct manager *m)
{
	struct repairs *p = calloc(1, sizeof(*p));
	int r;

	if (!p)
		return -ENOMEM;
	p->m = m;
	r = sd_event_add_time(m->event, &p->timer, CLOCK_MONOTONIC, 0, 0, on_timer, p);
	if (r >= 0)
		r = sd_event_source_set_enabled(p->timer, SD_EVENT_OFF);
	m->repairs = p;
	if (r < 0)
		repairs_free(m);
	return r < 0 ? r : 0;
}

void repairs_free(struct manager *m)
{
	struct repairs *p = m->repairs;

	if (!p)
		return;
	if (p->step)
		step_cancel(p->step);
	keeper_cancel(p->batch);
	sd_event_source_disable_unref(p->timer);
	free(p->disks);
	free(p);
	m->repairs = NULL;
}
