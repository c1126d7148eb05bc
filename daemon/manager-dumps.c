/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Processes that are checkpointed: a tree from its highest ancestor that is to be, or
 * a unit. Each in a step, which has it done by a unit of its own; what happens to that
 * one or to us, the checkpoint is whole or is not there. All who are in it wait for
 * the same dump. Who cannot be dumped gets the next rung of his ladder at once.
 *
 * An incident may be over before: it does not wait, and its record says "canceled" of them.
 * Whoever makes one goes on with it then, and ends in time; how is told to the journal.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <unistd.h>

#include "core/grow.h"
#include "core/rule-text.h"
#include "manager-dumps.h"
#include "names.h"

/* What whoever dumps has of a grace; the rest is to hear of it. */
#define SHARE_PERCENT 90
#define SLACK_US 3000000ULL /* beyond it: to hear how it ended, while the ladder goes on */
#define GONE_US 20000000ULL /* beyond it: who makes it has ended, or was killed */
#define LEAST_US 200000ULL  /* less is not worth to be begun */

static void dump_free(struct dump *dump)
{
	free(dump->members);
	free(dump);
}

static void take_out(struct dump *dump)
{
	struct dump **at = dump->incident ? &dump->incident->dumps : &dump->m->late_dumps;

	while (*at && *at != dump)
		at = &(*at)->next;
	if (*at)
		*at = dump->next;
}

static struct dump *find_dump(struct incident *incident, const char *id)
{
	for (struct dump *dump = incident->dumps; dump; dump = dump->next)
		if (strcmp(dump->id, id) == 0)
			return dump;
	return NULL;
}

/* How one has ended, as the step says it. */
struct result {
	const char *word, *text;
	const char *of; /* that has them, of "with" */
	uint64_t took_us;
};

static const char *outcome_for(const struct dump *dump, const struct member *member,
			       const char *word)
{
	if (strcmp(word, "with") == 0)
		return DG_CHECKPOINTED_WITH;
	if (strcmp(word, "ok") != 0)
		return word;
	return dg_process_equal(member->process, dump->whose.root) ? DG_CHECKPOINTED
								   : DG_CHECKPOINTED_WITH;
}

static void tell_members(const struct dump *dump, const struct result *result)
{
	struct incident *incident = dump->incident;

	for (size_t i = 0; i < dump->n_members; i++) {
		const struct member *member = &dump->members[i];
		const struct deed_end end = {
			.process = member->process,
			.rung = member->rung,
			.action = DG_ACTION_CHECKPOINT,
			.outcome = outcome_for(dump, member, result->word),
			.took_us = result->took_us,
			.output = result->text ?: "",
			.checkpoint = result->of,
		};

		incident_tell_end(incident, &end);
		dg_incident_awaited(&incident->core, member->process, member->rung,
				    dg_checkpoint_is_well(end.outcome), manager_now(incident->m));
	}
}

/* Takes it. */
static void finish(struct dump *dump, const struct result *result)
{
	take_out(dump);
	tell_members(dump, result);
	dump_free(dump);
}

/* Likewise. Nobody else is told that there is a checkpoint of who is gone. */
static void finish_late(struct dump *dump, const struct result *result)
{
	struct manager *m = dump->m;
	bool ok = strcmp(result->word, "ok") == 0;
	char text[DG_LOG_LINE_MAX];
	const struct logger_field fields[] = {
		{DG_FIELD_CHECKPOINT, dump->id},
		{DG_FIELD_RESULT, result->word},
	};

	if (ok)
		snprintf(text, sizeof(text),
			 "Checkpoint %s of %s (%d) was made, though its removal was over before",
			 dump->id, dump->whose.comm, (int)dump->whose.root.pid);
	else
		snprintf(text, sizeof(text),
			 "Checkpoint %s of %s (%d) was not made, its removal was over: %s%s%s",
			 dump->id, dump->whose.comm, (int)dump->whose.root.pid, result->word,
			 result->text && *result->text ? ": " : "", result->text ?: "");
	logger_write(m->logger, &(struct logger_message){
					.priority = ok ? LOG_NOTICE : LOG_INFO,
					.text = text,
					.fields = fields,
					.n_fields = sizeof(fields) / sizeof(*fields),
				});
	take_out(dump);
	dump_free(dump);
}

/* What a record may have as an outcome. */
static bool is_word(const char *word)
{
	size_t n = strspn(word, "abcdefghijklmnopqrstuvwxyz-");

	return n > 0 && n < DG_STORY_WORD && word[n] == '\0';
}

static struct result result_of(const struct step_outcome *outcome)
{
	struct result result = {.took_us = outcome->took_us};
	const char *cursor = outcome->output, *record;
	size_t n;

	record = dg_record_next(&cursor, outcome->output + outcome->n_output, &n);
	if (record) {
		result.word = dg_record_get(record, n, "RESULT");
		result.text = dg_record_get(record, n, "TEXT");
		result.of = dg_record_get(record, n, "OF");
	}
	if (!result.word || !is_word(result.word)) {
		result.word = outcome->end == STEP_TIMEOUT ? "timeout" : "failed";
		result.text = outcome->error;
	}
	return result;
}

static void on_step(void *userdata, const struct step_outcome *outcome)
{
	struct dump *dump = userdata;
	struct incident *incident = dump->incident;
	struct result result = result_of(outcome);

	if (outcome->end == STEP_TIMEOUT || outcome->end == STEP_SIGNALED)
		dump->m->n_lost_steps++;
	if (!incident) {
		finish_late(dump, &result);
		return;
	}
	finish(dump, &result);
	dumps_start(incident);
	incident_carry_out(incident);
}

static int start(struct dump *dump, uint64_t left_us)
{
	static const char *const argv[] = {"checkpoint", NULL};
	struct dg_record_writer w = {};
	int r;

	r = dump_write_request(dump, left_us * SHARE_PERCENT / 100, &w);
	if (r >= 0)
		r = step_start_with(dump->incident->m->steps, argv, w.data, w.n, left_us + SLACK_US,
				    on_step, dump, &dump->step);
	dg_record_writer_done(&w);
	return r;
}

/* What has been begun is asked how it ended, whatever the time. */
static uint64_t time_left(const struct dump *dump)
{
	uint64_t now_us = manager_now(dump->incident->m);
	uint64_t left_us = dump->by_us > now_us ? dump->by_us - now_us : 0;

	return dump->inherited && left_us < LEAST_US ? LEAST_US : left_us;
}

/* False: it has not, and is over. */
static bool start_or_finish(struct dump *dump)
{
	uint64_t left_us = time_left(dump);
	int r;

	/* Others took it all: it has its next rung, or has it soon. */
	if (left_us < LEAST_US) {
		finish(dump, &(struct result){.word = "timeout"});
		return false;
	}
	r = start(dump, left_us);
	if (r >= 0)
		return true;
	dump->incident->m->n_lost_steps++;
	finish(dump, &(struct result){.word = "failed", .text = strerror(-r)});
	return false;
}

/* A dump computes half of its time, and waits for the medium: more would only be slower. */
static size_t dumps_max(void)
{
	long n = 2 * sysconf(_SC_NPROCESSORS_ONLN);

	return n > 0 && n < DG_DUMPS_MAX ? (size_t)n : DG_DUMPS_MAX;
}

/* In the order in which they came, so many at a time. */
void dumps_start(struct incident *incident)
{
	size_t n_running = 0, max = dumps_max();

	for (struct dump *dump = incident->dumps, *next; dump; dump = next) {
		next = dump->next;
		if (dump->step || (n_running < max && start_or_finish(dump)))
			n_running++;
	}
}

/* What came of it, when it was tried before. */
static const char *find_earlier(const struct dg_story *story, const char *id)
{
	for (size_t i = 0; i < story->n_holders; i++)
		for (size_t k = 0; k < story->holders[i].n_actions; k++) {
			const struct dg_story_action *action = &story->holders[i].actions[k];

			if (action->checkpoint && strcmp(action->checkpoint, id) == 0 &&
			    !dg_checkpoint_goes_on(action->outcome))
				return dg_checkpoint_is_well(action->outcome) ? "gone"
									      : action->outcome;
		}
	return NULL;
}

static struct dump *dump_new(struct incident *incident, const char *id, const struct whose *whose,
			     const char *rule, uint64_t by_us)
{
	struct dump *dump = calloc(1, sizeof(*dump)), **at = &incident->dumps;

	if (!dump)
		return NULL;
	dump->m = incident->m;
	dump->incident = incident;
	dump->whose = *whose;
	dump->by_us = by_us;
	snprintf(dump->id, sizeof(dump->id), "%s", id);
	snprintf(dump->rule, sizeof(dump->rule), "%s", rule);
	while (*at)
		at = &(*at)->next;
	*at = dump;
	if (by_us + GONE_US > incident->m->dumps_by_us)
		incident->m->dumps_by_us = by_us + GONE_US;
	prune_soon(incident->m);
	return dump;
}

static int join(struct dump *dump, struct dg_process process, size_t rung)
{
	if (DG_GROW(dump->members, dump->n_members) < 0)
		return -ENOMEM;
	dump->members[dump->n_members++] = (struct member){process, rung};
	dg_incident_await(&dump->incident->core, process);
	return 0;
}

/* Of a holder: its rule named it, or its unit. */
static bool is_trusted(const struct dg_story *story, const struct dg_story_holder *holder)
{
	const struct dg_story_rule *rule = dg_story_find_rule(story, holder->rule);

	return rule && dg_ladder_file_trusts(rule->text);
}

/* Of a holder: its rule is for its unit as a whole. */
static bool is_for_unit(const struct dg_story *story, const struct dg_story_holder *holder)
{
	const struct dg_story_rule *rule = dg_story_find_rule(story, holder->rule);

	return rule && strstr(rule->text, "\nScope=unit\n");
}

/* One for a unit, whatever tree of it somebody is in. */
static void take_root_of_unit(const struct dg_story *story, struct whose *whose)
{
	for (size_t i = 0; i < story->n_holders; i++)
		for (size_t k = 0; k < story->holders[i].n_actions; k++) {
			const struct dg_story_action *action = &story->holders[i].actions[k];

			if (!action->checkpoint || !action->unit ||
			    strcmp(action->unit, whose->unit) != 0 ||
			    !is_for_unit(story, &story->holders[i]) ||
			    dg_checkpoint_pid(action->checkpoint, &whose->root.pid) < 0)
				continue;
			whose->root.start_ns = action->root_ns;
			return;
		}
}

/* The outcome. */
static const char *begin(struct incident *incident, const struct dg_deed *deed,
			 const struct whose *whose, struct act *ret)
{
	const struct dg_plan_entry *plan = &incident->core.plan.entries[deed->entry];
	uint64_t by_us = manager_now(incident->m) + deed->grace_ms * UINT64_C(1000);
	const char *earlier;
	struct dump *dump;

	dg_checkpoint_name(incident->core.request.boot_id, incident->core.request.id,
			   whose->root.pid, ret->checkpoint);
	ret->root_ns = whose->root.start_ns;
	memcpy(ret->unit, whose->unit, sizeof(ret->unit));
	dump = find_dump(incident, ret->checkpoint);
	earlier = dump ? NULL : find_earlier(incident->story, ret->checkpoint);
	if (earlier)
		return earlier;
	if (!dump)
		dump = dump_new(incident, ret->checkpoint, whose, plan->rule->name, by_us);
	if (!dump || join(dump, plan->holder.process, deed->rung) < 0)
		return "failed";
	return "waiting";
}

void dump_begin(struct incident *incident, const struct dg_deed *deed, struct act *ret)
{
	const struct dg_plan_entry *plan = &incident->core.plan.entries[deed->entry];
	struct whose whose;

	ret->outcome = dump_find_whose(incident, deed->entry, &whose);
	if (!ret->outcome && whose.scope == DG_SCOPE_UNIT)
		take_root_of_unit(incident->story, &whose);
	if (!ret->outcome)
		ret->outcome = begin(incident, deed, &whose, ret);
	if (strcmp(ret->outcome, "waiting") != 0)
		dg_incident_awaited(&incident->core, plan->holder.process, deed->rung, false,
				    manager_now(incident->m));
}

static void be_late(struct dump *dump)
{
	dump->incident = NULL;
	dump->next = dump->m->late_dumps;
	dump->m->late_dumps = dump;
}

static void dump_cancel(struct dump *dump)
{
	take_out(dump);
	if (dump->step)
		step_cancel(dump->step);
	dump_free(dump);
}

void dumps_cancel(struct incident *incident, bool told)
{
	for (struct dump *dump = incident->dumps, *next; dump; dump = next) {
		next = dump->next;
		if (told)
			tell_members(dump, &(struct result){.word = "canceled"});
		if (!told || !dump->step) {
			dump_cancel(dump);
			continue;
		}
		take_out(dump);
		be_late(dump);
	}
}

void dumps_done(struct manager *m)
{
	for (struct dump *dump = m->late_dumps, *next; dump; dump = next) {
		next = dump->next;
		dump_cancel(dump);
	}
}

static int inherit(struct incident *incident, const struct dg_story_holder *holder,
		   const struct dg_story_action *action)
{
	struct whose whose = {.root.start_ns = action->root_ns, .uid = holder->uid};
	const struct dg_story_holder *root;
	struct dump *dump;

	if (!action->checkpoint || dg_checkpoint_pid(action->checkpoint, &whose.root.pid) < 0)
		return -ENOENT;
	dump = find_dump(incident, action->checkpoint);
	if (dump)
		return join(dump, holder->process, action->rung);
	root = dg_story_find_holder(incident->story, whose.root) ?: holder;
	memcpy(whose.comm, root->comm, sizeof(whose.comm));
	whose.trusted = is_trusted(incident->story, root);
	if (is_for_unit(incident->story, holder))
		whose.scope = DG_SCOPE_UNIT;
	if (action->unit)
		snprintf(whose.unit, sizeof(whose.unit), "%s", action->unit);
	dump = dump_new(incident, action->checkpoint, &whose, holder->rule,
			action->at_us + action->grace_ms * UINT64_C(1000));
	if (!dump)
		return -ENOMEM;
	dump->inherited = true;
	return join(dump, holder->process, action->rung);
}

/* The step is the same again: it finds what is under way, or done. */
void dumps_inherit(struct incident *incident)
{
	struct dg_story *story = incident->story;

	for (size_t i = 0; i < story->n_holders; i++)
		for (size_t k = 0; k < story->holders[i].n_actions; k++) {
			const struct dg_story_action *action = &story->holders[i].actions[k];
			const struct deed_end lost = {
				.process = story->holders[i].process,
				.rung = action->rung,
				.action = DG_ACTION_CHECKPOINT,
				.outcome = "lost",
				.output = "",
			};

			if (action->action != DG_ACTION_CHECKPOINT ||
			    !dg_checkpoint_goes_on(action->outcome) ||
			    inherit(incident, &story->holders[i], action) >= 0)
				continue;
			incident_tell_end(incident, &lost);
			dg_incident_awaited(&incident->core, lost.process, lost.rung, false,
					    manager_now(incident->m));
		}
	dumps_start(incident);
}

bool dumps_any(const struct manager *m)
{
	return manager_now(m) < m->dumps_by_us;
}

bool dumps_own(const struct manager *m, pid_t pid)
{
	const struct cgroup_paths paths = {.root = m->paths->cgroup, .proc = m->paths->proc};
	char group[CGROUP_PATH_MAX];
	struct dg_unit unit;

	return cgroup_of(&paths, pid, group) >= 0 && dg_unit_of_cgroup(group, &unit) >= 0 &&
	       dg_checkpoint_is_maker(unit.name);
}
