/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What happens in a memory failure is written to its record, and in the end to the journal. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>

#include "manager-failure.h"
#include "names.h"

/* Of one process that are remembered over a restart one by one, for one range. */
#define MAPS_MAX 16
/* In the journal. */
#define PLACES_MAX 512 /* characters */
#define NAMED_MAX 2    /* files */

int failure_write(struct failure *failure, struct entry *entry)
{
	struct manager *m = failure->m;
	int r = entry_write(m, entry, failure->record, failure->story);

	if (!failure->record)
		return -EIO;
	if (r >= 0 || r == -ENOMEM)
		return 0;
	/* It goes on all the same: the kernel keeps what is not recorded. */
	failure->record = store_record_close(failure->record);
	failure->story->unrecorded = true;
	m->n_unrecorded++;
	log_message(m, LOG_WARNING, NULL,
		    "Memory failure %" PRIu64 " is not recorded any further: %s", failure->id,
		    strerror(-r));
	return r;
}

static void write_target(struct failure *failure, const struct dg_failure_record *record)
{
	char uuid[DG_BOOT_ID_LEN] = "";
	struct entry entry;

	if (record->has_uuid)
		dg_uuid_text(record->uuid, uuid);
	entry_begin(&entry, "target");
	entry_text(&entry, "name", record->name);
	entry_text(&entry, "ns_device", record->ns_device);
	entry_text(&entry, "mode", dg_mode_name(record->mode));
	entry_dev(&entry, "dev", record->dev);
	entry_text(&entry, "uuid", uuid);
	failure_write(failure, &entry);
}

int failure_write_begin(struct failure *failure, const struct dg_failure_record *record)
{
	struct entry entry;
	int r;

	if (failure->story->id != 0) {
		entry_begin(&entry, "resume");
		entry_number(&entry, "pid", (uint64_t)failure->m->self.pid);
		return failure_write(failure, &entry);
	}
	entry_begin(&entry, "begin");
	entry_number(&entry, "id", failure->id);
	entry_text(&entry, "kind", dg_story_kind_name(DG_STORY_FAILURE));
	entry_text(&entry, "boot_id", failure->m->info.boot_id);
	entry_text(&entry, "device", record->name);
	r = failure_write(failure, &entry);
	write_target(failure, record);
	return r;
}

/* By the daemon that died. */
static bool has_record(const struct dg_story *story, uint64_t serial)
{
	for (size_t i = 0; story->resumes > 0 && i < story->n_failures; i++)
		if (story->failures[i].serial == serial)
			return true;
	return false;
}

int failure_keep(struct failure *failure, const struct dg_failure_record *record)
{
	struct entry entry;

	if (has_record(failure->story, record->serial))
		return 0;
	entry_begin(&entry, "failure");
	entry_number(&entry, "serial", record->serial);
	entry_text(&entry, "source", dg_failure_source_name(record->source));
	entry_number(&entry, "flags", record->flags);
	entry_text(&entry, "type", record->type);
	entry_text(&entry, "result", record->result);
	if (!record->unaddressed)
		entry_hex(&entry, "start", record->range.start);
	entry_number(&entry, "len", record->range.len);
	entry_number(&entry, "count", record->count);
	entry_number(&entry, "told", record->n_told);
	entry_number(&entry, "time_ns", record->time_ns);
	if (record->has_disk_offset)
		entry_number(&entry, "disk_offset", record->disk_offset);
	if (record->has_file) {
		entry_dev(&entry, "fs_dev", record->fs_dev);
		entry_number(&entry, "ino", record->ino);
		entry_number(&entry, "generation", record->generation);
		entry_number(&entry, "file_offset", record->file_offset);
	}
	return failure_write(failure, &entry);
}

void failure_write_state(struct failure *failure, enum dg_state state)
{
	enum dg_state old = failure->story->state;
	struct entry entry;

	if (old == state)
		return;
	entry_begin(&entry, "state");
	entry_text(&entry, "name", dg_state_name(state));
	failure_write(failure, &entry);
	OBSERVE(failure->m, incident_changed, failure->story, old);
}

static void write_rule(struct failure *failure, const struct dg_rule *rule)
{
	struct entry entry;
	char *text = rule_entry(failure->story, rule, &entry);

	if (text)
		failure_write(failure, &entry);
	free(text);
}

/* Once for each process. */
void failure_write_holder(struct failure *failure, const struct dg_burst_order *order)
{
	const struct dg_holder *holder = order->holder;
	struct entry entry;

	if (dg_story_find_holder(failure->story, holder->process))
		return;
	write_rule(failure, order->rule);
	entry_begin(&entry, "holder");
	entry_process(&entry, holder->process);
	entry_text(&entry, "comm", holder->comm);
	entry_number(&entry, "uid", holder->uid);
	entry_text(&entry, "rule", order->rule->name);
	entry_text(&entry, "exempt", dg_exempt_name(holder->exempt));
	entry_number(&entry, dg_use_name(DG_USE_MAPPED), holder->counts[DG_USE_MAPPED]);
	entry_number(&entry, "bytes", holder->mapped_bytes);
	entry_hex(&entry, "addr", order->addr);
	entry_dev(&entry, "fs_dev", holder->n_mappings > 0 ? holder->mappings[0].fs_dev : 0);
	failure_write(failure, &entry);
}

static void add_map(struct entry *entry, uint64_t addr, uint64_t len, char text[static 40])
{
	snprintf(text, 40, "%" PRIx64 ":%" PRIx64, addr, len);
	entry_text(entry, "map", text);
}

static void add_maps(struct entry *entry, const struct dg_burst_order *order,
		     char text[MAPS_MAX][40])
{
	const struct dg_holder *holder = order->holder;
	size_t n = holder->n_mappings;

	entry_hex(entry, "start", order->range.start);
	entry_number(entry, "len", order->range.len);
	/* Of more than that, from where to where they are. */
	if (n > MAPS_MAX) {
		const struct dg_mapping *first = holder->mappings, *last = &first[n - 1];

		add_map(entry, first->addr, last->addr + last->len - first->addr, text[0]);
		return;
	}
	for (size_t i = 0; i < n; i++)
		add_map(entry, holder->mappings[i].addr, holder->mappings[i].len, text[i]);
}

void failure_write_tell(struct failure *failure, const struct dg_burst_order *order)
{
	char maps[MAPS_MAX][40];
	struct entry entry;

	entry_begin(&entry, "tell");
	entry_process(&entry, order->holder->process);
	entry_text(&entry, "action", dg_action_name(order->rule->ladder[0].action));
	entry_hex(&entry, "addr", order->addr);
	add_maps(&entry, order, maps);
	failure_write(failure, &entry);
}

void failure_write_told(struct failure *failure, const struct dg_burst_order *order,
			const char *outcome, enum dg_burst_answer answer)
{
	bool missed = answer == DG_BURST_MISSED, told = answer == DG_BURST_DONE;
	char maps[MAPS_MAX][40];
	struct entry entry;

	entry_begin(&entry, told ? "told" : missed ? "missed" : "untold");
	entry_process(&entry, order->holder->process);
	entry_hex(&entry, "addr", order->addr);
	entry_text(&entry, "outcome", outcome);
	if (missed)
		add_maps(&entry, order, maps);
	failure_write(failure, &entry);
}

/* What ends a process, though it may be on its way still. */
static bool may_end(const struct dg_story_holder *holder)
{
	for (size_t i = 0; i < holder->n_actions; i++)
		if (holder->actions[i].action == DG_ACTION_TERM ||
		    holder->actions[i].action == DG_ACTION_KILL ||
		    strcmp(holder->actions[i].outcome, "no-handler") == 0)
			return true;
	return false;
}

/* Who was told without a handler for it: most likely dead by now. */
static void write_dead(struct failure *failure)
{
	for (size_t i = 0; i < failure->story->n_holders; i++) {
		const struct dg_story_holder *holder = &failure->story->holders[i];
		struct entry entry;

		if (!may_end(holder) || holder->how[0] ||
		    manager_is_alive(failure->m, holder->process))
			continue;
		entry_begin(&entry, "freed");
		entry_process(&entry, holder->process);
		entry_text(&entry, "how", "exited");
		failure_write(failure, &entry);
	}
}

void failure_write_end(struct failure *failure)
{
	const struct dg_burst_counts *counts = &failure->core.counts;
	struct entry entry;
	char text[160];

	write_dead(failure);
	places_end(failure);
	snprintf(text, sizeof(text),
		 "%" PRIu64 " ranges gone through in %u rounds and %" PRIu64 " scans; %s",
		 counts->n_ranges, counts->n_rounds, counts->n_scans,
		 failure->core.marks & DG_BURST_UNMAPPED ? "unmapped" : "nothing was unmapped");
	entry_begin(&entry, "note");
	entry_text(&entry, "text", text);
	failure_write(failure, &entry);
	entry_begin(&entry, "end");
	entry_text(&entry, "state", dg_state_name(DG_STATE_DONE));
	entry_text(&entry, "outcome", dg_burst_outcome(&failure->core));
	failure_write(failure, &entry);
}

/* A path is bytes; the journal shows a line. */
static void clean(char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text < ' ' || *text == 0x7f)
			*text = '?';
}

static size_t put_file(const struct dg_story_file *file, char *to, size_t size)
{
	int n;

	if (file->path)
		n = snprintf(to, size, "%.200s", file->path);
	else
		n = snprintf(to, size, "inode %" PRIu64, file->ino);
	return n < 0 ? 0 : (size_t)n < size ? (size_t)n : size - 1;
}

/* ", of /mnt/a, /mnt/b and 3 more files"; "" of nothing. */
static void places_text(const struct dg_story *story, char ret[static PLACES_MAX])
{
	size_t n = 0;
	bool metadata = false;

	ret[0] = '\0';
	for (size_t i = 0; i < story->n_places && !metadata; i++)
		metadata = story->places[i].kind == DG_PLACE_METADATA;
	if (metadata)
		n = (size_t)snprintf(ret, PLACES_MAX, ", metadata of the file system");
	for (size_t i = 0; i < story->n_files && i < NAMED_MAX; i++) {
		n += (size_t)snprintf(ret + n, PLACES_MAX - n, "%s ", i == 0 ? ", of" : ",");
		n += put_file(&story->files[i], ret + n, PLACES_MAX - n);
	}
	if (story->n_files > NAMED_MAX)
		snprintf(ret + n, PLACES_MAX - n, " and %zu more files",
			 story->n_files - NAMED_MAX);
	clean(ret);
}

void log_failure(struct manager *m, const struct dg_story *story, bool written)
{
	char text[DG_LOG_LINE_MAX], places[PLACES_MAX], id[24], ranges[24], bytes[24];
	const struct logger_field fields[] = {
		{DG_FIELD_DEVICE, story->device},  {DG_FIELD_INCIDENT, id},
		{DG_FIELD_RESULT, story->outcome}, {DG_FIELD_RANGES, ranges},
		{DG_FIELD_BYTES, bytes},
	};

	snprintf(id, sizeof(id), "%" PRIu64, story->id);
	snprintf(ranges, sizeof(ranges), "%" PRIu64, story->n_failed);
	snprintf(bytes, sizeof(bytes), "%" PRIu64, story->failed_bytes);
	places_text(story, places);
	snprintf(text, sizeof(text),
		 "Memory of %s has failed: %" PRIu64 " range%s of %" PRIu64
		 " bytes in all%s, %zu holder%s: %s%s (daxguardctl show %" PRIu64 ")",
		 story->device, story->n_failed, story->n_failed == 1 ? "" : "s",
		 story->failed_bytes, places, story->n_holders, story->n_holders == 1 ? "" : "s",
		 story->outcome, written ? "" : "; not in the ledger as yet", story->id);
	logger_write(m->logger, &(struct logger_message){
					.priority = LOG_ERR,
					.id = DG_MESSAGE_FAILURE,
					.text = text,
					.fields = fields,
					.n_fields = sizeof(fields) / sizeof(*fields),
				});
}
