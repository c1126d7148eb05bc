/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What is written of a rule is read as the same rule. */
#include "test.h"

#include "core/rule-text.h"

static void fail_error(void *userdata, const struct dg_text_error *error)
{
	fail_msg("%s: %u:%u: %s", (const char *)userdata, error->line, error->column,
		 error->reason);
}

static void parse(const char *text, struct dg_rule *ret)
{
	assert_int_equal(
		dg_rule_parse("a.policy", text, strlen(text), fail_error, (void *)text, ret), 0);
}

/* The section comes out as given, and so does that which is read from it. */
static void policy_is(const char *lines)
{
	char text[512], *file, *section;
	struct dg_rule rule, again;

	snprintf(text, sizeof(text), "[Match]\nDevice=pmem0\n[Policy]\n%s", lines);
	parse(text, &rule);
	section = dg_policy_section_text(&rule);
	assert_string_equal(section, lines);
	free(section);
	file = dg_rule_ladder_file(&rule);
	parse(file, &again);
	free(file);
	section = dg_policy_section_text(&again);
	assert_string_equal(section, lines);
	free(section);
	dg_rule_done(&rule);
	dg_rule_done(&again);
}

static void ladders(void **state)
{
	policy_is("Action=leave\n");
	policy_is("Action=sigbus@2s term@1500ms kill@1s\n");
	policy_is("Action=term@0s leave\nDryRun=yes\n");
	policy_is("Action=notify@3s freeze@1s kill@1s\nSignal=34\nScope=unit\n");
	policy_is("Action=exec@5s\nExec=/bin/x\nExecTimeoutSec=5s\n");
	policy_is("Action=exec@5s\nExec=\"/my bin/x\" \"\" \"a\"'\"b' \"it's \"'\"' \"#1\" a\\x2d "
		  "\"!\" $x@\n"
		  "ExecTimeoutSec=1250ms\n");
}

static void match_is(const char *lines, const char *expected)
{
	char text[512], *again;
	struct dg_rule rule;

	snprintf(text, sizeof(text), "[Match]\n%s[Policy]\nAction=kill\n", lines);
	parse(text, &rule);
	again = dg_match_text(&rule.match);
	assert_string_equal(again, expected);
	free(again);
	dg_rule_done(&rule);
}

static void matches(void **state)
{
	/* The lines of a key come together, those with `!` behind. */
	static const char expected[] = "Unit=redis*.service \"a b.service\" mnt-a\\x2db.mount\n"
				       "Unit=!c.service\n"
				       "Access=mapped open\n"
				       "User=!0 alice\n";
	char *none;

	match_is("Unit=redis*.service \"a b.service\"\nUnit=!c.service\nAccess=mapped open\n"
		 "Unit=mnt-a\\x2db.mount\nUser=!0 alice\n",
		 expected);
	match_is(expected, expected);
	none = dg_match_text(&(struct dg_match){});
	assert_string_equal(none, "");
	free(none);
}

static void devices(void **state)
{
	struct dg_device_rule rule = {.on_busy = DG_ON_BUSY_KEEP, .budget_ms = 2500};
	char *text = dg_device_section_text(&rule);

	assert_string_equal(text, "OnBusy=keep\nBudget=2500ms\n");
	free(text);
	text = dg_device_section_text(&(struct dg_device_rule){});
	assert_string_equal(text, "OnBusy=detach\n");
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ladders),
		cmocka_unit_test(matches),
		cmocka_unit_test(devices),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
