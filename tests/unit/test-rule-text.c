/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What is written of a rule is read as the same rule. */
#include "test.h"

#include "core/history.h"
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
	policy_is("Action=term@2s checkpoint@10s kill@1s\n");
	policy_is("Action=exec@5s\nExec=/bin/x\nExecTimeoutSec=5s\n");
	policy_is("Action=exec@5s\nExec=\"/my bin/x\" \"\" \"a\"'\"b' \"it's \"'\"' \"#1\" a\\x2d "
		  "\"!\" $x@\n"
		  "ExecTimeoutSec=1250ms\n");
}

/* Exec= of n_words, as many bytes as there may be, each of them as long as can be in a record. */
static void write_longest(char *text, unsigned n_words, char first, char other)
{
	size_t left = DG_RULE_EXEC_BYTES_MAX - (n_words - 1);
	char *to = text + sprintf(text, "[Match]\nDevice=*\n[Policy]\nAction=notify@3599999ms "
					"checkpoint@3599999ms notify@3599999ms "
					"notify@3599999ms freeze@3599999ms "
					"freeze@3599999ms exec@3599999ms "
					"kill@3599999ms\nSignal=64\nScope=unit\nDryRun=yes\n"
					"ExecTimeoutSec=59999ms\nExec=");

	for (unsigned i = 0; i < n_words; i++) {
		size_t n = left / (n_words - i);

		left -= n;
		to += sprintf(to, "%s", i == 0 ? "\"/" : "\"");
		n -= i == 0;
		for (size_t k = 0; k < n; k++)
			*to++ = k == 0 ? first : other;
		to += sprintf(to, "\"%s", i + 1 < n_words ? " " : "\n");
	}
}

/* What the next daemon is to go on with is never too long to be told. */
static void fits_into_a_record(void **state)
{
	static const char path[] =
		"/usr/lib/daxguard/policy.d/"
		"a-name-that-is-as-long-as-one-can-be-with-its-end-123456.policy";
	static const struct {
		char first, other;
	} bytes[] = {{'\xff', '\xff'}, {'\'', '\xff'}, {'\'', '\''}, {'#', '\t'}, {'a', '!'}};
	char text[4096], line[DG_HISTORY_LINE_MAX], *file;

	for (size_t i = 0; i < 2 * sizeof(bytes) / sizeof(*bytes); i++) {
		struct dg_history_event event = {.kind = "rule", .n_pairs = 4};
		struct dg_rule rule, again;

		write_longest(text, i % 2 ? DG_RULE_EXEC_MAX : 2, bytes[i / 2].first,
			      bytes[i / 2].other);
		parse(text, &rule);
		file = dg_rule_ladder_file(&rule);
		event.pairs[0] = (struct dg_pair){"name", strrchr(path, '/') + 1};
		event.pairs[1] = (struct dg_pair){"path", path};
		event.pairs[2] = (struct dg_pair){"line", "12345"};
		event.pairs[3] = (struct dg_pair){"text", file};
		event.wall_us = event.mono_us = UINT64_MAX;
		assert_true(dg_history_format(&event, line, sizeof(line)) > 0);
		*strchr(line, '\n') = '\0';
		assert_int_equal(dg_history_parse(line, &event), 0);
		assert_string_equal(dg_history_get(&event, "text"), file);
		parse(file, &again);
		for (unsigned k = 0; rule.exec[k] || again.exec[k]; k++)
			assert_string_equal(again.exec[k], rule.exec[k]);
		dg_rule_done(&rule);
		dg_rule_done(&again);
		free(file);
	}
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
	struct dg_device_rule rule = {
		.on_busy = DG_ON_BUSY_KEEP, .budget_ms = 2500, .restore_on_return = true};
	char *text = dg_device_section_text(&rule);

	assert_string_equal(text, "OnBusy=keep\nBudget=2500ms\nRestoreOnReturn=yes\n");
	free(text);
	text = dg_device_section_text(&(struct dg_device_rule){});
	assert_string_equal(text, "OnBusy=detach\n");
	free(text);
}

/* What comes out is read as the same. */
static void device_is(const char *lines)
{
	struct dg_device_rule rule;
	char whole[512], *text;

	snprintf(whole, sizeof(whole), "[Match]\nEvent=memory-failure\n[Device]\n%s", lines);
	assert_int_equal(
		dg_device_rule_parse("a.device", whole, strlen(whole), fail_error, whole, &rule),
		0);
	text = dg_device_section_text(&rule);
	assert_string_equal(text, lines);
	free(text);
	dg_device_rule_done(&rule);
}

static void devices_that_fail(void **state)
{
	device_is("UnmapPoison=yes\nMetadataFailure=sync\n");
	device_is("FailureLimit=10\nFailureAction=remove\n");
	device_is("MetadataFailure=remove\nFailureLimit=10 in 1500ms\nFailureAction=exec\n"
		  "Exec=/bin/x \"a b\"\nExecTimeoutSec=5s\n");
	device_is("FailureLimit=4096 in 2592000s\nFailureAction=remove\n");
}

/* That it names somebody is kept, and whom is not. */
static void a_ladder_that_trusts(void **state)
{
	static const struct {
		const char *match;
		bool user, unit;
	} cases[] = {
		{"Device=*", false, false},
		{"User=a 7\nUnit=a.service", true, false},
		{"Unit=a.service", false, true},
		{"Unit=*", false, false},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		char text[128], *file;
		struct dg_rule rule, again;

		snprintf(text, sizeof(text), "[Match]\n%s\n[Policy]\nAction=checkpoint\n",
			 cases[i].match);
		parse(text, &rule);
		file = dg_rule_ladder_file(&rule);
		parse(file, &again);
		assert_int_equal(dg_rule_names(&again, DG_KEY_USER), cases[i].user);
		assert_int_equal(dg_rule_names(&again, DG_KEY_UNIT), cases[i].unit);
		assert_int_equal(dg_ladder_file_trusts(file), cases[i].user || cases[i].unit);
		free(file);
		dg_rule_done(&rule);
		dg_rule_done(&again);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_ladder_that_trusts),
		cmocka_unit_test(ladders),
		cmocka_unit_test(fits_into_a_record),
		cmocka_unit_test(matches),
		cmocka_unit_test(devices),
		cmocka_unit_test(devices_that_fail),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
