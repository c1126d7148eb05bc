/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the journal is told. All of it waits in the logger while a hold is open. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <syslog.h>

#include "core/checkpoint.h"
#include "manager-internal.h"
#include "names.h"

static void vlog(struct manager *m, int priority, const char *id, const char *format, va_list args)
	__attribute__((format(printf, 4, 0)));

static void vlog(struct manager *m, int priority, const char *id, const char *format, va_list args)
{
	char text[DG_LOG_LINE_MAX];

	vsnprintf(text, sizeof(text), format, args);
	logger_write(m->logger,
		     &(struct logger_message){.priority = priority, .id = id, .text = text});
}

void log_message(struct manager *m, int priority, const char *id, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vlog(m, priority, id, format, args);
	va_end(args);
}

void manager_log(struct manager *m, int priority, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vlog(m, priority, NULL, format, args);
	va_end(args);
}

void log_state(struct manager *m, const struct dg_story *story)
{
	char text[160];

	snprintf(text, sizeof(text), "removal of %s (%" PRIu64 "): %s", story->device, story->id,
		 dg_state_name(story->state));
	logger_brief(m->logger, text);
}

/* "sigbus sent, term sent, kill skipped (…)": what it got, in order. */
static void actions_text(const struct dg_story_holder *holder, char *text, size_t size)
{
	size_t n = 0;

	text[0] = '\0';
	for (size_t i = 0; i < holder->n_actions && n < size; i++) {
		const struct dg_story_action *action = &holder->actions[i];
		int k = snprintf(text + n, size - n, "%s%s:%s", i > 0 ? " " : "",
				 dg_action_name(action->action), action->outcome);

		n += k > 0 ? (size_t)k : 0;
	}
}

/* That can bring it back; "" for none. */
static const char *checkpoint_of(const struct dg_story_holder *holder)
{
	for (size_t i = 0; i < holder->n_actions; i++)
		if (holder->actions[i].checkpoint &&
		    dg_checkpoint_is_well(holder->actions[i].outcome))
			return holder->actions[i].checkpoint;
	return "";
}

static void log_holder(struct manager *m, const struct dg_story *story,
		       const struct dg_story_holder *holder)
{
	char text[DG_LOG_LINE_MAX], actions[160], pid[16], id[24];
	const char *checkpoint = checkpoint_of(holder);
	const struct logger_field fields[] = {
		{DG_FIELD_DEVICE, story->device},
		{DG_FIELD_INCIDENT, id},
		{DG_FIELD_PID, pid},
		{DG_FIELD_ACTION, actions},
		{DG_FIELD_RULE, holder->rule},
		{DG_FIELD_RESULT, holder->how},
		{DG_FIELD_CHECKPOINT, checkpoint},
	};
	size_t n_fields = sizeof(fields) / sizeof(*fields);

	/* The last one only if there is one. */
	if (!*checkpoint)
		n_fields--;
	actions_text(holder, actions, sizeof(actions));
	snprintf(pid, sizeof(pid), "%d", holder->process.pid);
	snprintf(id, sizeof(id), "%" PRIu64, story->id);
	snprintf(text, sizeof(text), "Removal of %s: %s[%d] %s (rule %s): %s", story->device,
		 holder->comm, holder->process.pid, actions, holder->rule,
		 holder->how[0] ? holder->how : "not over");
	logger_write(m->logger, &(struct logger_message){
					.priority = LOG_INFO,
					.id = DG_MESSAGE_HOLDER,
					.text = text,
					.fields = fields,
					.n_fields = n_fields,
				});
}

static int priority_of(const struct dg_story *story)
{
	const uint32_t ordinary = 1U << DG_MARK_ACKED | 1U << DG_MARK_SHUT_DOWN;

	return story->state == DG_STATE_DONE && !(story->marks & ~ordinary) ? LOG_NOTICE
									    : LOG_WARNING;
}

/* The record of an incident that nobody watched tells when it was closed, not when it ended. */
static void held_text(const struct dg_story *story, bool watched, char *text, size_t n_text)
{
	uint64_t took_ms = (story->ended_us - story->began_us) / 1000;

	if (watched && story->by_user)
		snprintf(text, n_text, "took %" PRIu64 ".%03" PRIu64 " s", took_ms / 1000,
			 took_ms % 1000);
	else if (watched)
		snprintf(text, n_text, "was held for %" PRIu64 ".%03" PRIu64 " s", took_ms / 1000,
			 took_ms % 1000);
	else
		snprintf(text, n_text, "had no daemon at its end");
}

void log_incident(struct manager *m, const struct dg_story *story, bool watched)
{
	char text[DG_LOG_LINE_MAX], held[64], id[24];
	const struct logger_field fields[] = {
		{DG_FIELD_DEVICE, story->device},
		{DG_FIELD_INCIDENT, id},
		{DG_FIELD_RESULT, story->outcome},
	};
	uint64_t limit = m->config.settings.holders_log_max;

	snprintf(id, sizeof(id), "%" PRIu64, story->id);
	held_text(story, watched, held, sizeof(held));
	snprintf(text, sizeof(text),
		 "Removal of %s %s: %s%s%s, %zu holder%s (daxguardctl show %" PRIu64 ")",
		 story->device, held, story->outcome, story->has_done ? ", the kernel says " : "",
		 story->has_done ? dg_result_name(story->done.result) : "", story->n_holders,
		 story->n_holders == 1 ? "" : "s", story->id);
	logger_write(m->logger,
		     &(struct logger_message){
			     .priority = priority_of(story),
			     .id = story->by_user ? DG_MESSAGE_REMOVAL : DG_MESSAGE_INCIDENT,
			     .text = text,
			     .fields = fields,
			     .n_fields = sizeof(fields) / sizeof(*fields),
		     });
	for (size_t i = 0; i < story->n_holders && i < limit; i++)
		log_holder(m, story, &story->holders[i]);
	if (story->n_holders > limit)
		log_message(m, LOG_INFO, NULL, "Removal of %s: %zu more holders are in the record",
			    story->device, story->n_holders - (size_t)limit);
}
