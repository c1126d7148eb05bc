/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A rule file, as both kinds. Errors name places in the text; what is accepted keeps its bounds. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/history.h"
#include "core/rule-text.h"
#include "fuzz.h"

struct input {
	size_t n_lines, size;
	unsigned n_errors;
};

static void check_error(void *userdata, const struct dg_text_error *error)
{
	struct input *input = userdata;

	if (++input->n_errors > DG_RULE_ERRORS_MAX + 1 || !error->reason[0])
		abort();
	if (error->line == 0 || error->line > input->n_lines + 1)
		abort();
	if (error->column == 0 || error->column > input->size + 1)
		abort();
}

static void check_match(const struct dg_match *match)
{
	if (match->n_conditions == 0 || match->n_conditions > _DG_KEY_MAX)
		abort();
	for (size_t i = 0; i < match->n_conditions; i++) {
		const struct dg_condition *condition = &match->conditions[i];

		if (condition->n_patterns == 0 || condition->n_patterns > DG_PATTERNS_MAX)
			abort();
		for (size_t k = 0; k < condition->n_patterns; k++)
			if (condition->patterns[k].n == 0 || condition->patterns[k].n > DG_WORD_MAX)
				abort();
	}
}

static void check_rule(const struct dg_rule *rule)
{
	check_match(&rule->match);
	if (rule->n_rungs == 0 || rule->n_rungs > DG_LADDER_MAX || rule->signo < 0)
		abort();
	if (rule->exec && rule->exec[0][0] != '/')
		abort();
	for (size_t i = 0; i < rule->n_rungs; i++)
		if (rule->ladder[i].grace_ms > DG_RULE_GRACE_MAX_MS)
			abort();
}

static void no_error(void *userdata, const struct dg_text_error *error)
{
	abort();
}

/* Whatever it is, the next daemon can be told. */
static void check_record(const char *file)
{
	static char line[DG_HISTORY_LINE_MAX];
	const struct dg_history_event event = {
		.kind = "rule",
		.pairs = {{"path", "/usr/lib/daxguard/policy.d/fuzz.policy"}, {"text", file}},
		.n_pairs = 2,
	};

	if (dg_history_format(&event, line, sizeof(line)) < 0)
		abort();
}

/* What is written of it is read as the same, and written the same. */
static void check_text(const struct dg_rule *rule)
{
	char *match = dg_match_text(&rule->match), *section = dg_policy_section_text(rule);
	char *file = dg_rule_ladder_file(rule), *whole, *again;
	struct dg_rule copy;
	size_t n;

	if (!match || !section || !file)
		abort();
	check_record(file);
	if (dg_rule_parse("fuzz.policy", file, strlen(file), no_error, NULL, &copy) < 0)
		abort();
	dg_rule_done(&copy);
	n = strlen(match) + strlen(section) + 32;
	whole = malloc(n);
	if (!whole)
		abort();
	snprintf(whole, n, "[Match]\n%s[Policy]\n%s", match, section);
	if (dg_rule_parse("fuzz.policy", whole, strlen(whole), no_error, NULL, &copy) < 0)
		abort();
	again = dg_match_text(&copy.match);
	if (!again || strcmp(again, match) != 0)
		abort();
	free(again);
	again = dg_policy_section_text(&copy);
	if (!again || strcmp(again, section) != 0)
		abort();
	free(again);
	dg_rule_done(&copy);
	free(whole);
	free(file);
	free(section);
	free(match);
}

static void check_device(const struct dg_device_rule *rule)
{
	char *match = dg_match_text(&rule->match), *section = dg_device_section_text(rule);
	char *whole, *again;
	struct dg_device_rule copy;
	size_t n;

	check_match(&rule->match);
	if (!match || !section)
		abort();
	if (rule->limit.pages > DG_LIMIT_MAX || (rule->exec && rule->exec[0][0] != '/'))
		abort();
	if ((rule->limit.pages > 0) != (rule->reaction != DG_REACTION_NONE))
		abort();
	n = strlen(match) + strlen(section) + 32;
	whole = malloc(n);
	if (!whole)
		abort();
	snprintf(whole, n, "[Match]\n%s[Device]\n%s", match, section);
	if (dg_device_rule_parse("fuzz.device", whole, strlen(whole), no_error, NULL, &copy) < 0)
		abort();
	again = dg_device_section_text(&copy);
	if (!again || strcmp(again, section) != 0)
		abort();
	dg_device_rule_done(&copy);
	free(again);
	free(whole);
	free(section);
	free(match);
}

/* Errors and only errors are told. */
static void check_result(int r, const struct input *input)
{
	if (r == -ENOMEM)
		return;
	if ((r < 0) != (input->n_errors > 0))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *text = (const char *)data;
	struct input input = {.size = size}, again;
	struct dg_device_rule device;
	struct dg_rule rule;
	int r;

	for (size_t i = 0; i < size; i++)
		input.n_lines += data[i] == '\n';
	again = input;
	r = dg_rule_parse("fuzz.policy", text, size, check_error, &input, &rule);
	check_result(r, &input);
	if (r >= 0) {
		check_rule(&rule);
		check_text(&rule);
		dg_rule_done(&rule);
	}
	r = dg_device_rule_parse("fuzz.device", text, size, check_error, &again, &device);
	check_result(r, &again);
	if (r >= 0) {
		check_device(&device);
		dg_device_rule_done(&device);
	}
	return 0;
}
