/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "core/rule.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/rule-private.h"

static const char *const suffixes[_DG_RULE_KIND_MAX] = {
	[DG_RULE_POLICY] = ".policy",
	[DG_RULE_DEVICE] = ".device",
};

const char *dg_scope_name(enum dg_scope scope)
{
	static const char *const names[_DG_SCOPE_MAX] = {
		[DG_SCOPE_PROCESS] = "process",
		[DG_SCOPE_UNIT] = "unit",
	};

	return (unsigned)scope < _DG_SCOPE_MAX ? names[scope] : "unknown";
}

const char *dg_on_busy_name(enum dg_on_busy on_busy)
{
	static const char *const names[_DG_ON_BUSY_MAX] = {
		[DG_ON_BUSY_DETACH] = "detach",
		[DG_ON_BUSY_KEEP] = "keep",
	};

	return (unsigned)on_busy < _DG_ON_BUSY_MAX ? names[on_busy] : "unknown";
}

const char *dg_rule_kind_suffix(enum dg_rule_kind kind)
{
	return (unsigned)kind < _DG_RULE_KIND_MAX ? suffixes[kind] : "";
}

static int find_suffix(const char *name, size_t n, enum dg_rule_kind *ret)
{
	for (unsigned kind = 0; kind < _DG_RULE_KIND_MAX; kind++) {
		size_t n_suffix = strlen(suffixes[kind]);

		if (n >= n_suffix && strcmp(name + n - n_suffix, suffixes[kind]) == 0) {
			*ret = kind;
			return 0;
		}
	}
	return -ENOENT;
}

int dg_rule_kind_of(const char *name, enum dg_rule_kind *ret)
{
	enum dg_rule_kind kind;
	size_t n = strlen(name);

	if (name[0] == '.' || find_suffix(name, n, &kind) < 0)
		return -ENOENT;
	if (n >= DG_NAME_MAX)
		return -EINVAL;
	for (size_t i = 0; i < n; i++)
		if (name[i] <= ' ' || name[i] > '~')
			return -EINVAL;
	*ret = kind;
	return 0;
}

void rule_free_exec(char **exec)
{
	for (size_t i = 0; exec && exec[i]; i++)
		free(exec[i]);
	free(exec);
}

void dg_rule_done(struct dg_rule *rule)
{
	free(rule->path);
	dg_match_done(&rule->match);
	rule_free_exec(rule->exec);
	*rule = (struct dg_rule){};
}

void dg_device_rule_done(struct dg_device_rule *rule)
{
	free(rule->path);
	dg_match_done(&rule->match);
	rule_free_exec(rule->exec);
	*rule = (struct dg_device_rule){};
}

bool dg_rule_has(const struct dg_rule *rule, enum dg_action action)
{
	for (size_t i = 0; i < rule->n_rungs; i++)
		if (rule->ladder[i].action == action)
			return true;
	return false;
}

bool dg_rule_leaves(const struct dg_rule *rule)
{
	for (size_t i = 0; i < rule->n_rungs; i++)
		if (rule->ladder[i].action != DG_ACTION_LEAVE)
			return false;
	return true;
}

static bool is_name(const struct dg_pattern *pattern)
{
	if (pattern->kind == DG_PATTERN_ID || pattern->kind == DG_PATTERN_NAME)
		return true;
	return pattern->n_prefix > 0 || pattern->n_inside > 0 || pattern->n_suffix > 0;
}

bool dg_rule_names(const struct dg_rule *rule, enum dg_key key)
{
	const struct dg_condition *condition = dg_match_find(&rule->match, key);

	if (!condition || !condition->wants)
		return false;
	for (size_t i = 0; i < condition->n_patterns; i++)
		if (!condition->patterns[i].unwanted && !is_name(&condition->patterns[i]))
			return false;
	return true;
}

bool dg_rule_trusts(const struct dg_rule *rule, bool in_user_unit)
{
	return dg_rule_names(rule, DG_KEY_USER) ||
	       (!in_user_unit && dg_rule_names(rule, DG_KEY_UNIT));
}

/* As far as a scan and a look can tell: who acts on it looks again. */
static bool is_trusted(const struct dg_rule *rule, const struct dg_holder *holder)
{
	const struct dg_process_facts *looked = holder->looked;

	return holder->uid == 0 ||
	       dg_rule_trusts(rule, looked && looked->user_unit && *looked->user_unit);
}

const char *dg_rule_skipped(const struct dg_rule *rule, size_t rung, const struct dg_holder *holder)
{
	enum dg_action action = rule->ladder[rung].action;
	const char *skipped = dg_action_skipped(action, rule->signo, holder);

	if (!skipped && action == DG_ACTION_CHECKPOINT && !is_trusted(rule, holder))
		skipped = "not-trusted";
	return !skipped && rule->dry_run ? "dry-run" : skipped;
}

void dg_rule_explain(const struct dg_rule *rule, const struct dg_subject *subject,
		     struct dg_reason *ret)
{
	bool exempt = subject->process->exempt != DG_EXEMPT_NONE;

	if (rule->exempt != exempt)
		*ret = (struct dg_reason){
			.verdict = exempt ? DG_VERDICT_PROTECTED : DG_VERDICT_NOT_PROTECTED,
			.key = _DG_KEY_MAX,
		};
	else
		dg_match_holds(&rule->match, subject, DG_ASK_ALL, ret);
}
