/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The rules of an incident: chosen when it begins, and kept by who takes it over. */
#include "core/checkpoint.h"
#include "core/incident-private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Less is not worth a question. */
#define EXTEND_LEAST_US (1 * SEC)

/* Budget= may end it before the kernel does; whether it may last longer the kernel says. */
void dg_apply_budget(struct dg_incident *i)
{
	uint64_t end_us = i->began_us + i->budget_ms * MSEC;

	i->deadline_us = i->budget_ms > 0 && end_us < i->given_us ? end_us : i->given_us;
	dg_plan_set_deadline(&i->plan, i->deadline_us);
}

/* What was chosen of OnBusy= and Budget=, by us or by who had it before. */
static void take_device_rule(struct dg_incident *i, enum dg_on_busy on_busy, uint32_t budget_ms)
{
	i->has_device_rule = true;
	i->on_busy = on_busy;
	i->budget_ms = budget_ms;
	dg_apply_budget(i);
}

void dg_ask_for_time(struct dg_incident *i, uint64_t now_us, struct dg_effects *fx)
{
	uint64_t ms = i->budget_ms < i->request.cap_ms ? i->budget_ms : i->request.cap_ms;
	uint64_t end_us = i->began_us + ms * MSEC;

	if (!i->taken || i->extended || end_us <= i->given_us + EXTEND_LEAST_US || end_us <= now_us)
		return;
	i->extended = true;
	dg_emit(fx, &(struct dg_effect){.kind = DG_EFFECT_EXTEND, .timeout_us = end_us - now_us});
}

int dg_incident_choose(struct dg_incident *i, const struct dg_device_facts *device,
		       struct dg_effects *fx)
{
	int r = dg_plan_select(&i->plan, device);

	if (i->has_device_rule || !device->mount_points.complete)
		return r;
	i->device_rule = dg_policy_match_device(i->plan.policy, device);
	take_device_rule(i, i->device_rule->on_busy, i->device_rule->budget_ms);
	dg_emit(fx, &(struct dg_effect){.kind = DG_EFFECT_DEVICE_RULE});
	return r;
}

/* What was written by a daemon that knows more: the ladder is not gone on with. */
static void pass_over(void *userdata, const struct dg_text_error *error)
{
}

/* As it was when the ladder was begun, whatever its file says now. NULL: not known any more. */
static int find_rule(struct dg_incident *i, const struct dg_story *story, const char *name,
		     const struct dg_rule **ret)
{
	const struct dg_story_rule *told = dg_story_find_rule(story, name);
	struct dg_rule **grown, *rule;
	int r;

	*ret = NULL;
	for (size_t n = 0; n < i->n_begun && !*ret; n++)
		if (strcmp(i->begun[n]->name, name) == 0)
			*ret = i->begun[n];
	if (!*ret && !told)
		*ret = dg_policy_find(i->plan.policy, name);
	if (*ret || !told)
		return 0;
	grown = reallocarray(i->begun, i->n_begun + 1, sizeof(struct dg_rule *));
	if (!grown)
		return -ENOMEM;
	i->begun = grown;
	rule = calloc(1, sizeof(*rule));
	if (!rule)
		return -ENOMEM;
	r = dg_rule_parse(told->name, told->text, strlen(told->text), pass_over, NULL, rule);
	if (r < 0) {
		free(rule);
		return r == -ENOMEM ? r : 0;
	}
	grown[i->n_begun++] = rule;
	*ret = rule;
	return 0;
}

static uint32_t uses_of(const struct dg_story_holder *holder)
{
	uint32_t uses = 0;

	for (unsigned use = 0; use < _DG_USE_MAX; use++)
		if (holder->counts[use] > 0)
			uses |= 1U << use;
	return uses;
}

/* What has ended before is not waited for. */
static void restore_checkpoint(struct dg_incident *i, const struct dg_story_holder *holder,
			       const struct dg_story_action *last)
{
	if (last && last->action == DG_ACTION_CHECKPOINT && !dg_checkpoint_goes_on(last->outcome))
		dg_plan_awaited(&i->plan, holder->process, last->rung,
				dg_checkpoint_is_well(last->outcome), last->at_us);
}

int dg_restore(struct dg_incident *i, const struct dg_story *story)
{
	for (size_t n = 0; n < story->n_holders; n++) {
		const struct dg_story_holder *holder = &story->holders[n];
		const struct dg_story_action *last =
			holder->n_actions > 0 ? &holder->actions[holder->n_actions - 1] : NULL;
		const struct dg_rule *rule;
		int r = find_rule(i, story, holder->rule, &rule);

		/* A rung that was begun counts: nobody gets the same signal twice. */
		if (r >= 0 && rule)
			r = dg_plan_restore(&i->plan, holder->process, rule, uses_of(holder),
					    last ? last->rung + 1 : 0, last ? last->at_us : 0);
		if (r == -ENOMEM)
			return r;
		restore_checkpoint(i, holder, last);
	}
	i->marks = story->marks;
	i->knows_mounts = story->knows_mounts;
	if (*story->device_rule)
		take_device_rule(i, story->on_busy, story->budget_ms);
	return 0;
}
