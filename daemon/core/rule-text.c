/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "core/rule-text.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Of a ladder's file: whom it is for, as far as that is said. */
#define ANYBODY "[Match]\nDevice=*\n"
#define A_USER "User=0\n"
#define A_UNIT "Unit=a.service\n"

/* Grows; an error sticks. */
struct text {
	char *data;
	size_t n, size;
	bool failed;
};

static void put(struct text *text, const char *bytes, size_t n)
{
	char *grown;
	size_t size = text->size > 0 ? text->size : 128;

	while (size < text->n + n + 1)
		size *= 2;
	if (size != text->size) {
		grown = realloc(text->data, size);
		if (!grown) {
			text->failed = true;
			return;
		}
		text->data = grown;
		text->size = size;
	}
	memcpy(text->data + text->n, bytes, n);
	text->n += n;
	text->data[text->n] = '\0';
}

static void put_text(struct text *text, const char *string)
{
	put(text, string, strlen(string));
}

static void put_number(struct text *text, unsigned number)
{
	char buffer[16];

	snprintf(buffer, sizeof(buffer), "%u", number);
	put_text(text, buffer);
}

static void put_time(struct text *text, uint32_t ms)
{
	put_number(text, ms % 1000 == 0 ? ms / 1000 : ms);
	put_text(text, ms % 1000 == 0 ? "s" : "ms");
}

/*
 * In runs of quotes that a run does not have itself, if anything in it would
 * mean something else without. A backslash needs none: what was read has none
 * before a blank, a quote or a wildcard, nor at the end.
 */
static void put_word(struct text *text, const char *word)
{
	if (*word && !word[strcspn(word, " \t\"'#;!")]) {
		put_text(text, word);
		return;
	}
	do {
		char quote = *word == '"' ? '\'' : '"';
		size_t n = 0;

		while (word[n] && word[n] != quote)
			n++;
		put(text, &quote, 1);
		put(text, word, n);
		put(text, &quote, 1);
		word += n;
	} while (*word);
}

static char *finish(struct text *text)
{
	if (!text->failed && !text->data)
		put(text, "", 0);
	if (!text->failed)
		return text->data;
	free(text->data);
	return NULL;
}

static void put_patterns(struct text *text, const struct dg_condition *condition, bool unwanted)
{
	bool first = true;

	for (size_t i = 0; i < condition->n_patterns; i++) {
		if (condition->patterns[i].unwanted != unwanted)
			continue;
		if (first) {
			put_text(text, dg_key_name(condition->key));
			put_text(text, unwanted ? "=!" : "=");
		} else {
			put_text(text, " ");
		}
		put_word(text, condition->patterns[i].text);
		first = false;
	}
	if (!first)
		put_text(text, "\n");
}

char *dg_match_text(const struct dg_match *match)
{
	struct text text = {};

	for (size_t i = 0; i < match->n_conditions; i++) {
		put_patterns(&text, &match->conditions[i], false);
		put_patterns(&text, &match->conditions[i], true);
	}
	return finish(&text);
}

static void put_ladder(struct text *text, const struct dg_rule *rule)
{
	bool timed = !dg_match_has_event(&rule->match, DG_RULE_EVENT_MEMORY_FAILURE) ||
		     rule->match.n_conditions == 0;

	put_text(text, "Action=");
	for (size_t i = 0; i < rule->n_rungs; i++) {
		if (i > 0)
			put_text(text, " ");
		put_text(text, dg_action_name(rule->ladder[i].action));
		if (rule->ladder[i].action == DG_ACTION_LEAVE || !timed)
			continue;
		put_text(text, "@");
		put_time(text, rule->ladder[i].grace_ms);
	}
	put_text(text, "\n");
}

static void put_exec(struct text *text, char **exec, uint32_t timeout_ms)
{
	put_text(text, "Exec=");
	for (char **word = exec; *word; word++) {
		if (word != exec)
			put_text(text, " ");
		put_word(text, *word);
	}
	put_text(text, "\nExecTimeoutSec=");
	put_time(text, timeout_ms);
	put_text(text, "\n");
}

static void put_policy(struct text *text, const struct dg_rule *rule)
{
	put_ladder(text, rule);
	if (rule->signo > 0) {
		put_text(text, "Signal=");
		put_number(text, (unsigned)rule->signo);
		put_text(text, "\n");
	}
	if (rule->exec)
		put_exec(text, rule->exec, rule->exec_timeout_ms);
	if (rule->scope != DG_SCOPE_PROCESS) {
		put_text(text, "Scope=");
		put_text(text, dg_scope_name(rule->scope));
		put_text(text, "\n");
	}
	if (rule->dry_run)
		put_text(text, "DryRun=yes\n");
}

char *dg_policy_section_text(const struct dg_rule *rule)
{
	struct text text = {};

	put_policy(&text, rule);
	return finish(&text);
}

static void put_failures(struct text *text, const struct dg_device_rule *rule)
{
	const struct dg_limit *limit = &rule->limit;

	if (rule->unmap_poison)
		put_text(text, "UnmapPoison=yes\n");
	if (rule->metadata != DG_REACTION_NONE) {
		put_text(text, "MetadataFailure=");
		put_text(text, dg_reaction_name(rule->metadata));
		put_text(text, "\n");
	}
	if (limit->pages > 0) {
		put_text(text, "FailureLimit=");
		put_number(text, limit->pages);
		if (limit->within_us > 0) {
			put_text(text, " in ");
			put_time(text, (uint32_t)(limit->within_us / 1000));
		}
		put_text(text, "\nFailureAction=");
		put_text(text, dg_reaction_name(rule->reaction));
		put_text(text, "\n");
	}
	if (rule->exec)
		put_exec(text, rule->exec, rule->exec_timeout_ms);
}

char *dg_device_section_text(const struct dg_device_rule *rule)
{
	struct text text = {};

	if (dg_match_has_event(&rule->match, DG_RULE_EVENT_PRE_REMOVE)) {
		put_text(&text, "OnBusy=");
		put_text(&text, dg_on_busy_name(rule->on_busy));
		put_text(&text, "\n");
	}
	if (rule->budget_ms > 0) {
		put_text(&text, "Budget=");
		put_time(&text, rule->budget_ms);
		put_text(&text, "\n");
	}
	if (rule->restore_on_return)
		put_text(&text, "RestoreOnReturn=yes\n");
	put_failures(&text, rule);
	return finish(&text);
}

char *dg_rule_ladder_file(const struct dg_rule *rule)
{
	struct text text = {};

	put_text(&text, ANYBODY);
	/* Names that stand for those that there are, which may be long. */
	if (dg_rule_names(rule, DG_KEY_USER))
		put_text(&text, A_USER);
	else if (dg_rule_names(rule, DG_KEY_UNIT))
		put_text(&text, A_UNIT);
	put_text(&text, "[Policy]\n");
	put_policy(&text, rule);
	return finish(&text);
}

bool dg_ladder_file_trusts(const char *file)
{
	return strncmp(file, ANYBODY A_USER, strlen(ANYBODY A_USER)) == 0 ||
	       strncmp(file, ANYBODY A_UNIT, strlen(ANYBODY A_UNIT)) == 0;
}
