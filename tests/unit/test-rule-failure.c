/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a device's rule wants done about failures. */
#include "rule-errors.h"
#include "test.h"

static void refuse_device(const char *text, const char *wanted)
{
	struct dg_device_rule rule;

	errors[0] = '\0';
	assert_int_equal(dg_device_rule_parse("a.device", text, strlen(text), note, NULL, &rule),
			 -EINVAL);
	assert_string_equal(errors, wanted);
}

static void wrong_reactions(void **state)
{
	static const char match[] = "[Match]\nEvent=memory-failure\n[Device]\n";
	char text[256];

	static const struct {
		const char *lines, *wanted;
	} wrong[] = {
		{"MetadataFailure=exec\n", "4:17: the action \"exec\" is not known\n"},
		{"MetadataFailure=remov\n",
		 "4:17: the action \"remov\" is not known; did you mean \"remove\"?\n"},
		{"FailureLimit=3\nFailureAction=sync\n",
		 "5:15: the action \"sync\" is not known\n"},
		{"FailureLimit=3\n", "4:1: FailureLimit= needs a FailureAction=, remove or exec\n"},
		{"FailureLimit=3\nFailureAction=none\n",
		 "4:1: FailureLimit= needs a FailureAction=, remove or exec\n"},
		{"FailureAction=remove\n", "4:1: FailureAction= needs a FailureLimit=\n"},
		{"FailureLimit=3\nFailureAction=exec\n", "5:1: exec needs an Exec=\n"},
		{"Exec=/bin/x\nExecTimeoutSec=3\n",
		 "4:1: Exec= is for exec, which FailureAction= has not\n"
		 "5:1: ExecTimeoutSec= is for exec, which FailureAction= has not\n"},
		{"FailureLimit=0\n", "4:14: a limit is a number of pages, from 1 to 4096\n"},
		{"FailureLimit=4097\n", "4:14: a limit is a number of pages, from 1 to 4096\n"},
		{"FailureLimit=many\n", "4:14: a limit is a number of pages, from 1 to 4096\n"},
		{"FailureLimit=3 per 10s\n",
		 "4:16: a limit is a number of pages, as 10, or 10 in 5min\n"},
		{"FailureLimit=3 in10s\n",
		 "4:16: a limit is a number of pages, as 10, or 10 in 5min\n"},
		{"FailureLimit=3 in\n",
		 "4:16: a limit is a number of pages, as 10, or 10 in 5min\n"},
		{"FailureLimit=3 in 10days\n", "4:21: not a unit of time: ms, s or min\n"},
		{"FailureLimit=3 in 999ms\n",
		 "4:19: the time of a limit must be from 1 s to 43200 min\n"},
		{"FailureLimit=3 in 43201min\n",
		 "4:19: the time of a limit must be from 1 s to 43200 min\n"},
	};

	for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
		snprintf(text, sizeof(text), "%s%s", match, wrong[i].lines);
		refuse_device(text, wrong[i].wanted);
	}
}

static void reactions(void **state)
{
	static const char text[] = "[Match]\nEvent=memory-failure\n[Device]\n"
				   "MetadataFailure=remove\nMetadataFailure=\n"
				   "MetadataFailure=sync\n"
				   "FailureLimit=3 in 5s\nFailureLimit=12 in \t 90min\n"
				   "FailureAction=exec\nExec=/bin/x 'a b'\nExecTimeoutSec=7\n";
	static const char plain[] = "[Match]\nEvent=memory-failure\n[Device]\n"
				    "FailureLimit=4096\nFailureAction=remove\n";
	struct dg_device_rule rule;

	errors[0] = '\0';
	assert_int_equal(dg_device_rule_parse("a.device", text, strlen(text), note, NULL, &rule),
			 0);
	assert_int_equal(rule.metadata, DG_REACTION_SYNC);
	assert_int_equal(rule.limit.pages, 12);
	assert_int_equal(rule.limit.within_us, 5400000000);
	assert_int_equal(rule.reaction, DG_REACTION_EXEC);
	assert_string_equal(rule.exec[1], "a b");
	assert_int_equal(rule.exec_timeout_ms, 7000);
	dg_device_rule_done(&rule);
	assert_int_equal(dg_device_rule_parse("a.device", plain, strlen(plain), note, NULL, &rule),
			 0);
	assert_int_equal(rule.metadata, DG_REACTION_NONE);
	assert_int_equal(rule.limit.pages, 4096);
	assert_int_equal(rule.limit.within_us, 0);
	assert_int_equal(rule.reaction, DG_REACTION_REMOVE);
	assert_null(rule.exec);
	dg_device_rule_done(&rule);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(wrong_reactions),
		cmocka_unit_test(reactions),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
