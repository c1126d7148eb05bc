/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What happens in an incident is written to its record and added to its story. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <syslog.h>

#include "manager-internal.h"

void entry_begin(struct entry *entry, const char *kind)
{
	entry->event = (struct dg_history_event){.kind = kind};
	entry->n_text = 0;
}

void entry_text(struct entry *entry, const char *key, const char *value)
{
	struct dg_history_event *event = &entry->event;

	if (event->n_pairs < DG_HISTORY_PAIRS_MAX)
		event->pairs[event->n_pairs++] = (struct dg_pair){key, value};
}

__attribute__((format(printf, 3, 4))) static void entry_format(struct entry *entry, const char *key,
							       const char *format, ...)
{
	char *to = entry->text + entry->n_text;
	size_t size = sizeof(entry->text) - entry->n_text;
	va_list args;
	int n;

	va_start(args, format);
	n = vsnprintf(to, size, format, args);
	va_end(args);
	/* 32 pairs of numbers fit; what does not is left out rather than cut. */
	if (n < 0 || (size_t)n >= size)
		return;
	entry->n_text += (size_t)n + 1;
	entry_text(entry, key, to);
}

void entry_number(struct entry *entry, const char *key, uint64_t value)
{
	entry_format(entry, key, "%" PRIu64, value);
}

void entry_hex(struct entry *entry, const char *key, uint64_t value)
{
	entry_format(entry, key, "%" PRIx64, value);
}

void entry_dev(struct entry *entry, const char *key, dg_dev_t dev)
{
	entry_format(entry, key, "%" PRIu32 ":%" PRIu32, DG_DEV_MAJOR(dev), DG_DEV_MINOR(dev));
}

void entry_process(struct entry *entry, struct dg_process process)
{
	entry_number(entry, "pid", (uint64_t)process.pid);
	entry_number(entry, "start_ns", process.start_ns);
}

/* The incident goes on all the same: a record is for later, a hold is now. */
static void lose_record(struct incident *incident, int error)
{
	incident->record = store_record_close(incident->record);
	if (incident->story->unrecorded)
		return;
	incident->story->unrecorded = true;
	incident->m->n_unrecorded++;
	log_message(incident->m, LOG_WARNING, NULL,
		    "Incident %" PRIu64 " is not recorded any further: %s", incident->story->id,
		    strerror(-error));
}

int entry_write(struct manager *m, struct entry *entry, struct store_record *record,
		struct dg_story *story)
{
	char line[DG_HISTORY_LINE_MAX];
	int n, added, r = 0;

	entry->event.wall_us = manager_clock_ns(CLOCK_REALTIME) / 1000;
	entry->event.mono_us = manager_now(m);
	added = dg_story_add(story, &entry->event);
	/* Nobody could read it back: that bounds the record as well. */
	if (added == DG_STORY_LEFT_OUT)
		return 0;
	n = dg_history_format(&entry->event, line, sizeof(line));
	/* What is too long for a line is the loss of that line, not of the record. */
	if (n >= 0 && record)
		r = store_record_append(record, line, (size_t)n);
	if (added < 0)
		story->n_left_out++;
	return added < 0 ? -ENOMEM : r;
}

void incident_write(struct incident *incident, struct entry *entry)
{
	int r = entry_write(incident->m, entry, incident->record, incident->story);

	/* Without memory the story is short of a part, the record is not. */
	if (r < 0 && r != -ENOMEM)
		lose_record(incident, r);
}

void incident_write_text(struct incident *incident, const char *kind, const char *key,
			 const char *value)
{
	struct entry entry;

	entry_begin(&entry, kind);
	entry_text(&entry, key, value);
	incident_write(incident, &entry);
}

static void write_target(struct incident *incident, const struct dg_target *target)
{
	struct entry entry;
	char uuid[DG_BOOT_ID_LEN] = "";

	if (target->has_uuid)
		dg_uuid_text(target->uuid, uuid);
	entry_begin(&entry, "target");
	entry_text(&entry, "name", target->name);
	entry_text(&entry, "ns_device", target->ns_device);
	entry_text(&entry, "mode", dg_mode_name(target->mode));
	entry_dev(&entry, "dev", target->dev);
	entry_text(&entry, "uuid", uuid);
	entry_number(&entry, "in_use", target->in_use);
	incident_write(incident, &entry);
}

void incident_write_begin(struct incident *incident)
{
	const struct dg_request *request = &incident->core.request;
	struct entry entry;

	entry_begin(&entry, "begin");
	entry_number(&entry, "id", request->id);
	entry_text(&entry, "boot_id", request->boot_id);
	entry_text(&entry, "device", request->device);
	entry_text(&entry, "bus", request->bus);
	entry_text(&entry, "driver", request->driver);
	entry_number(&entry, "surprise", request->surprise);
	/* Its record was lost, or never begun. */
	entry_number(&entry, "taken_over",
		     request->taken_over || request->state == DG_KSTATE_ORPHANED);
	entry_number(&entry, "unbinder", (uint64_t)request->unbinder_pid);
	entry_number(&entry, "unbinder_start_ns", request->unbinder_start_ns);
	entry_number(&entry, "elapsed_ms", request->elapsed_ms);
	entry_number(&entry, "deadline_us", incident->core.deadline_us);
	entry_number(&entry, "cap_ms", request->cap_ms);
	entry_number(&entry, "reserve_us", incident->core.reserve_us);
	entry_number(&entry, "by_user", request->by_user);
	entry_number(&entry, "forced", request->forced);
	incident_write(incident, &entry);
	for (size_t i = 0; i < request->n_targets; i++)
		write_target(incident, &request->targets[i]);
}

void incident_write_holder(struct incident *incident, const struct dg_plan_entry *plan)
{
	const struct dg_holder *holder = &plan->holder;
	struct entry entry;

	entry_begin(&entry, "holder");
	entry_process(&entry, holder->process);
	entry_text(&entry, "comm", holder->comm);
	entry_number(&entry, "uid", holder->uid);
	entry_text(&entry, "rule", plan->rule->name);
	entry_text(&entry, "exempt", dg_exempt_name(holder->exempt));
	for (unsigned use = 0; use < DG_USE_KERNEL; use++)
		entry_number(&entry, dg_use_name(use), holder->counts[use]);
	entry_number(&entry, "bytes", holder->mapped_bytes);
	entry_hex(&entry, "addr", plan->addr);
	entry_dev(&entry, "fs_dev", plan->fs_dev);
	entry_number(&entry, "permille", plan->permille);
	if (holder->shared_with > 0)
		entry_number(&entry, "shared_with", (uint64_t)holder->shared_with);
	incident_write(incident, &entry);
}

void incident_write_done(struct incident *incident)
{
	const struct dg_done *done = &incident->core.done;
	struct entry entry;

	entry_begin(&entry, "done");
	entry_text(&entry, "result", dg_result_name(done->result));
	entry_text(&entry, "revoke", dg_revoke_name(done->revoke));
	entry_number(&entry, "inodes", done->inodes);
	entry_number(&entry, "entries", done->entries);
	entry_number(&entry, "vmas", done->vmas);
	entry_number(&entry, "pinned", done->pages_pinned);
	entry_number(&entry, "shutdowns", done->shutdowns);
	entry_number(&entry, "held_us", done->held_us);
	entry_number(&entry, "revoke_us", done->revoke_us);
	incident_write(incident, &entry);
}
