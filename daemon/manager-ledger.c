/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The ledger of failures: who hears of one says it to m->keeper, see keeper.h. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/grow.h"
#include "manager-internal.h"
#include "names.h"

#define LATER_MAX 16384
/* Two looks at a pair of clocks are not the same, nor what is made of them. */
#define CLOCKS_NS 100000000ULL

static void on_log(void *userdata, int priority, const char *text)
{
	log_message(userdata, priority, DG_MESSAGE_LEDGER, "%s", text);
}

/* Somebody was told before it was known what was bad before. */
struct later {
	char ns[DG_NAME_MAX];
	uint64_t offset, len;
};

struct ledger {
	struct dg_counted_list counted;
	struct later *later;
	size_t n_later;
};

static void tell(struct manager *m, const struct later *later)
{
	struct dg_failure place = {.offset = later->offset, .length = later->len, .told = 1};

	memcpy(place.ns, later->ns, sizeof(place.ns));
	(void)!keeper_told(m->keeper, &place);
}

static void on_read(void *userdata)
{
	struct manager *m = userdata;
	struct ledger *ledger = m->ledger;

	/* What could not be told from what was known comes now, and who was told of it after it. */
	failures_registered(m);
	for (size_t i = 0; i < ledger->n_later; i++)
		tell(m, &ledger->later[i]);
	free(ledger->later);
	ledger->later = NULL;
	ledger->n_later = 0;
	repairs_begin(m);
}

int ledger_begin(struct manager *m)
{
	int r;

	m->ledger = calloc(1, sizeof(*m->ledger));
	if (!m->ledger)
		return -ENOMEM;
	r = keeper_new(m->event, m->steps, m->paths->state_dir, on_log, m, &m->keeper);
	if (r < 0)
		return r;
	keeper_set_past(m->keeper, limits_past);
	keeper_when_read(m->keeper, on_read);
	return 0;
}

void ledger_done(struct manager *m)
{
	if (!m->ledger)
		return;
	dg_counted_done(&m->ledger->counted);
	free(m->ledger->later);
	free(m->ledger);
	m->ledger = NULL;
}

struct dg_counted_list *ledger_counted(struct manager *m)
{
	return &m->ledger->counted;
}

void ledger_forgotten(struct manager *m, uint64_t serial)
{
	dg_counted_forget(&m->ledger->counted, serial);
}

const struct dg_ledger *manager_ledger(struct manager *m, uint64_t *ret_written)
{
	*ret_written = keeper_status(m->keeper).written;
	return keeper_ledger(m->keeper);
}

/* The kernel says it since boot; the ledger outlives that. */
static uint64_t realtime_of(uint64_t boot_ns)
{
	uint64_t now_ns = manager_clock_ns(CLOCK_BOOTTIME),
		 real_ns = manager_clock_ns(CLOCK_REALTIME);
	uint64_t age_ns = boot_ns < now_ns ? now_ns - boot_ns : 0;

	return age_ns < real_ns ? real_ns - age_ns : 0;
}

_Static_assert(DG_FAILURE_WORD == DG_LEDGER_WORD_MAX, "a word of the kernel's");

static void copy_words(const struct dg_failure_record *record, struct dg_failure *ret)
{
	if (record->has_uuid)
		dg_uuid_text(record->uuid, ret->ns);
	else
		memcpy(ret->ns, record->name, sizeof(ret->ns));
	memcpy(ret->type, record->type, sizeof(ret->type));
	memcpy(ret->result, record->result, sizeof(ret->result));
}

/* All of it was bad at this time, or is since. */
static bool covers(const struct dg_ledger *ledger, const struct dg_counted *item)
{
	uint64_t at = item->offset, end = item->offset + item->len;
	uint64_t since_ns = realtime_of(item->time_ns);

	while (at < end) {
		const struct dg_failure *f = dg_ledger_find(ledger, item->ns, at);

		if (!f || f->offset > at || f->last_ns + CLOCKS_NS < since_ns)
			return false;
		at = f->offset + f->length;
	}
	return true;
}

/* Whether the daemon that died had come to write what it had taken. */
static int make_sure(struct manager *m, const struct dg_counted *record)
{
	const struct dg_ledger *ledger = keeper_ledger(m->keeper);
	struct dg_counted *item;
	size_t at = 0;

	while ((item = dg_counted_next_unsure(&m->ledger->counted, record, &at))) {
		if (!ledger)
			return -EAGAIN;
		if (covers(ledger, item))
			item->unsure = false;
		else
			dg_counted_drop(&m->ledger->counted, &at);
	}
	return 0;
}

/* 1: it is as well known as it can be. 0: to be reported. */
static int only_news(struct manager *m, const struct dg_counted *counted, struct dg_failure *report)
{
	struct dg_counted_news news;
	int r = make_sure(m, counted);

	if (r < 0)
		return r;
	dg_counted_compare(&m->ledger->counted, counted, &news);
	if (news.count == 0)
		return 1;
	report->file_offset += news.offset - report->offset;
	report->offset = news.offset;
	report->length = news.len;
	report->times = news.count;
	report->told = news.told;
	return 0;
}

static void describe(const struct dg_failure_record *record, struct dg_failure *ret)
{
	*ret = (struct dg_failure){
		.sources = record->source == DG_FAILURE_BADBLOCKS ? DG_SOURCE_BADBLOCKS
								  : DG_SOURCE_MEMORY_FAILURE,
		.coarse = record->flags & DG_FAIL_WIDENED,
		.offset = record->disk_offset,
		.length = record->range.len,
		.times = 1,
	};
	copy_words(record, ret);
	ret->first_ns = ret->last_ns = realtime_of(record->time_ns);
	if (!record->has_file)
		return;
	ret->content = DG_CONTENT_FILE;
	ret->fs_dev = record->fs_dev;
	ret->ino = record->ino;
	ret->file_offset = record->file_offset;
}

int ledger_report(struct manager *m, const struct dg_failure_record *record, keeper_func func,
		  uint64_t *ret_seq)
{
	bool listed = record->source == DG_FAILURE_BADBLOCKS;
	struct keeper_batch *batch;
	struct dg_counted counted;
	struct dg_failure report;
	int r = 0;

	if (!record->has_disk_offset)
		return -EINVAL;
	describe(record, &report);
	dg_counted_init(&counted, record, report.ns);
	/* What is listed counts where it was not bad before. */
	if (!listed)
		r = only_news(m, &counted, &report);
	else if (!keeper_ledger(m->keeper))
		r = -EAGAIN;
	if (r == 0)
		r = keeper_add(m->keeper, &report, 1, func, m, &batch);
	else if (r > 0)
		*ret_seq = 0; /* with all that is known by now */
	if (r != 0)
		return r < 0 ? r : 0;
	if (!listed)
		(void)!dg_counted_add(&m->ledger->counted, &counted);
	else
		repairs_look(m, record->dev);
	*ret_seq = keeper_ledger(m->keeper) ? keeper_last(m->keeper) : 0;
	return 0;
}

bool ledger_has(struct manager *m, uint64_t *seq)
{
	if (!keeper_ledger(m->keeper))
		return false;
	/* What was reported before the past was known has its numbers by now. */
	if (*seq == 0)
		*seq = keeper_last(m->keeper);
	return *seq <= keeper_status(m->keeper).written;
}

/* Bounded: of more than that, those are not counted who were told before the ledger was read. */
static void tell_later(struct manager *m, const struct later *told)
{
	struct ledger *ledger = m->ledger;

	if (ledger->n_later >= LATER_MAX || DG_GROW(ledger->later, ledger->n_later) < 0)
		return;
	ledger->later[ledger->n_later++] = *told;
}

void ledger_told(struct manager *m, const struct dg_story *story,
		 const struct dg_burst_order *order)
{
	const char *ns = dg_story_namespace(story);
	struct later told = {.offset = order->offset, .len = order->range.len};

	if (!ns || !order->placed)
		return;
	snprintf(told.ns, sizeof(told.ns), "%s", ns);
	if (keeper_ledger(m->keeper))
		tell(m, &told);
	else
		tell_later(m, &told);
}
