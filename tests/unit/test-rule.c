/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "rule-errors.h"
#include "test.h"

static struct dg_rule accept_rule(const char *text)
{
	struct dg_rule rule;

	errors[0] = '\0';
	if (dg_rule_parse("/etc/daxguard/policy.d/50-a.policy", text, strlen(text), note, NULL,
			  &rule) < 0)
		fail_msg("%s", errors);
	return rule;
}

/* All patterns of a key: "a !b ". */
static const char *patterns(const struct dg_match *match, enum dg_key key)
{
	const struct dg_condition *condition = dg_match_find(match, key);
	static char text[1024];

	text[0] = '\0';
	for (size_t i = 0; condition && i < condition->n_patterns; i++) {
		strcat(text, condition->patterns[i].unwanted ? "!" : "");
		strcat(strcat(text, condition->patterns[i].text), " ");
	}
	return text;
}

static void a_whole_rule(void **state)
{
	struct dg_rule rule = accept_rule("# for redis\n"
					  "[Match]\n"
					  "Event=pre-remove\n"
					  "Device=pmem* /dev/dax0.0\n"
					  "Unit=redis*.service\n"
					  "Unit=!redis-cache*.service\n"
					  "Access=mapped open\n"
					  "User=redis 1000\n"
					  "Executable=\"/opt/my redis/*\"\n"
					  "[Policy]\n"
					  "Action=notify@10s exec sigbus@500ms term kill\n"
					  "Signal=SIGRTMIN+3\n"
					  "Exec=/usr/bin/redis-cli -n 'a b' \"\"\n"
					  "ExecTimeoutSec=2\n"
					  "Scope=unit\n"
					  "DryRun=on\n");

	assert_string_equal(rule.name, "50-a.policy");
	assert_string_equal(rule.path, "/etc/daxguard/policy.d/50-a.policy");
	assert_string_equal(patterns(&rule.match, DG_KEY_DEVICE), "pmem* dax0.0 ");
	assert_string_equal(patterns(&rule.match, DG_KEY_UNIT),
			    "redis*.service !redis-cache*.service ");
	assert_string_equal(patterns(&rule.match, DG_KEY_EXECUTABLE), "/opt/my redis/* ");
	assert_string_equal(patterns(&rule.match, DG_KEY_USER), "redis 1000 ");
	assert_int_equal(dg_match_find(&rule.match, DG_KEY_USER)->patterns[0].kind,
			 DG_PATTERN_NAME);
	assert_int_equal(dg_match_find(&rule.match, DG_KEY_USER)->patterns[1].id, 1000);
	assert_int_equal(dg_match_find(&rule.match, DG_KEY_UNIT)->patterns[1].line, 6);
	assert_int_equal(dg_match_find(&rule.match, DG_KEY_UNIT)->patterns[1].column, 7);
	assert_int_equal(dg_match_find(&rule.match, DG_KEY_ACCESS)->patterns[1].id, DG_USE_OPEN);

	assert_int_equal(rule.n_rungs, 5);
	assert_int_equal(rule.ladder[0].action, DG_ACTION_NOTIFY);
	assert_int_equal(rule.ladder[0].grace_ms, 10000);
	assert_int_equal(rule.ladder[1].action, DG_ACTION_EXEC);
	assert_int_equal(rule.ladder[1].grace_ms, dg_action_grace_ms(DG_ACTION_EXEC));
	assert_int_equal(rule.ladder[2].grace_ms, 500);
	assert_int_equal(rule.ladder[4].action, DG_ACTION_KILL);
	assert_int_equal(rule.signo, SIGRTMIN + 3);
	assert_string_equal(rule.exec[2], "a b");
	assert_string_equal(rule.exec[3], "");
	assert_null(rule.exec[4]);
	assert_int_equal(rule.exec_timeout_ms, 2000);
	assert_int_equal(rule.scope, DG_SCOPE_UNIT);
	assert_true(rule.dry_run);
	dg_rule_done(&rule);
}

static void what_is_not_said(void **state)
{
	struct dg_rule rule = accept_rule("[Match]\r\nDevice=*\r\n[Policy]\r\nAction=leave");

	assert_int_equal(rule.n_rungs, 1);
	assert_int_equal(rule.signo, 0);
	assert_null(rule.exec);
	assert_int_equal(rule.exec_timeout_ms, DG_RULE_EXEC_TIMEOUT_MS);
	assert_int_equal(rule.scope, DG_SCOPE_PROCESS);
	assert_false(rule.dry_run);
	assert_true(dg_rule_leaves(&rule));
	dg_rule_done(&rule);
}

/* Lists grow, the rest has its last value, and nothing behind the = takes it back. */
static void repeated_and_empty(void **state)
{
	struct dg_rule rule =
		accept_rule("[Match]\n"
			    "Device=pmem0\nDevice=\nDevice=pmem1\nDevice=pmem2 pmem3\n"
			    "Unit=a.service\nUnit=!b.service\nUnit=\n"
			    "[Policy]\n"
			    "Action=exec kill\nAction=term@1 kill\n"
			    "Exec=/bin/a\nExec=/bin/b\nExec=\n"
			    "Signal=USR1\nSignal=\n"
			    "ExecTimeoutSec=4\nExecTimeoutSec=\n"
			    "Scope=unit\nScope=\nDryRun=yes\nDryRun=\n"
			    "[Match]\nDevice=pmem4\n");

	assert_string_equal(patterns(&rule.match, DG_KEY_DEVICE), "pmem1 pmem2 pmem3 pmem4 ");
	assert_int_equal(rule.match.n_conditions, 1);
	assert_int_equal(rule.n_rungs, 2);
	assert_int_equal(rule.ladder[0].grace_ms, 1000);
	assert_null(rule.exec);
	assert_int_equal(rule.signo, 0);
	assert_int_equal(rule.scope, DG_SCOPE_PROCESS);
	assert_false(rule.dry_run);
	dg_rule_done(&rule);
}

static void a_device_rule(void **state)
{
	static const char text[] = "[Match]\nFileSystem=ext4\n[Device]\nOnBusy=keep\nBudget=45s\n";
	struct dg_device_rule rule;

	assert_int_equal(dg_device_rule_parse("x/a.device", text, strlen(text), note, NULL, &rule),
			 0);
	assert_string_equal(rule.name, "a.device");
	assert_int_equal(rule.on_busy, DG_ON_BUSY_KEEP);
	assert_int_equal(rule.budget_ms, 45000);
	assert_string_equal(patterns(&rule.match, DG_KEY_FILE_SYSTEM), "ext4 ");
	dg_device_rule_done(&rule);
}

static void refuse_bytes(enum dg_rule_kind kind, const char *text, size_t n, const char *wanted)
{
	struct dg_device_rule device = {.name = "untouched"};
	struct dg_rule rule = {.name = "untouched"};
	int r;

	errors[0] = '\0';
	if (kind == DG_RULE_POLICY)
		r = dg_rule_parse("a.policy", text, n, note, NULL, &rule);
	else
		r = dg_device_rule_parse("a.device", text, n, note, NULL, &device);
	assert_int_equal(r, -EINVAL);
	assert_string_equal(errors, wanted);
	assert_string_equal(rule.name, "untouched");
	assert_string_equal(device.name, "untouched");
}

static void refuse(const char *text, const char *wanted)
{
	refuse_bytes(DG_RULE_POLICY, text, strlen(text), wanted);
}

static void refuse_device(const char *text, const char *wanted)
{
	refuse_bytes(DG_RULE_DEVICE, text, strlen(text), wanted);
}

static void wrong_sections_and_keys(void **state)
{
	refuse("Unit=a.service\n", "1:1: \"Unit\" stands before any [Section]\n");
	refuse("[Macth]\nUnit=a.service\n",
	       "1:1: unknown section [Macth]; did you mean \"Match\"?\n");
	refuse("[Service]\n", "1:1: unknown section [Service]\n");
	refuse("[Device]\n", "1:1: [Device] is for *.device files\n");
	refuse("[Match]\nUntis=a.service\n",
	       "2:1: unknown key \"Untis\" in [Match]; did you mean \"Unit\"?\n");
	refuse("[Match]\nAction=kill\n", "2:1: Action= belongs into [Policy]\n");
	refuse("[Policy]\nUnit=a.service\n", "2:1: Unit= belongs into [Match]\n");
	refuse("[Policy]\nBudget=3\n", "2:1: Budget= is for *.device files\n");
	refuse("[Policy]\nRestoreOnBoot=yes\n", "2:1: unknown key \"RestoreOnBoot\" in [Policy]\n");
	refuse("[Policy]\nunit=a\n", "2:1: unknown key \"unit\" in [Policy]\n");
	refuse_device("[Match]\nUser=root\n", "2:1: User= is for *.policy files\n");
	refuse_device("[Device]\nScope=unit\n", "2:1: Scope= is for *.policy files\n");
	refuse_device("[Device]\nOnBsy=keep\n",
		      "2:1: unknown key \"OnBsy\" in [Device]; did you mean \"OnBusy\"?\n");
}

/* Each event has its own keys and actions. */
static void wrong_for_the_event(void **state)
{
	static const char match[] = "[Match]\nEvent=memory-failure\n";
	char text[256];

	static const struct {
		const char *section, *wanted;
	} wrong[] = {
		{"[Policy]\nAction=sigbus kill\n",
		 "4:1: for memory-failure there is one action, not a ladder\n"},
		{"[Policy]\nAction=stop\n",
		 "4:1: for memory-failure the action is leave, notify, sigbus, term or kill\n"},
		{"[Policy]\nAction=sigbus@2s\n",
		 "4:1: for memory-failure an action takes no time\n"},
		{"[Policy]\nAction=kill\nScope=unit\n", "5:1: Scope=unit is for pre-remove\n"},
	};

	for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
		snprintf(text, sizeof(text), "%s%s", match, wrong[i].section);
		refuse(text, wrong[i].wanted);
	}
	refuse("[Match]\nEvent=pre-remove memory-failure\n[Policy]\nAction=term kill\n",
	       "4:1: for memory-failure there is one action, not a ladder\n");
	refuse_device("[Match]\nEvent=memory-failure\n[Device]\nOnBusy=keep\nBudget=9\n",
		      "4:1: OnBusy= is for pre-remove, which Event= has not\n"
		      "5:1: Budget= is for pre-remove, which Event= has not\n");
	refuse_device("[Match]\nDevice=*\n[Device]\nUnmapPoison=yes\n",
		      "4:1: UnmapPoison= needs Event=memory-failure in [Match]\n");
	refuse_device("[Match]\nEvent=memory-failure\n[Device]\nUnmapPoison=maybe\n",
		      "4:13: \"maybe\" is neither yes nor no\n");
	refuse_device("[Match]\nDevice=*\n[Device]\nMetadataFailure=sync\n",
		      "4:1: MetadataFailure= needs Event=memory-failure in [Match]\n");
	refuse_device("[Match]\nDevice=*\n[Device]\nFailureLimit=3\nFailureAction=remove\n",
		      "4:1: FailureLimit= needs Event=memory-failure in [Match]\n");
}

static void rules_for_failures(void **state)
{
	static const char text[] = "[Match]\nEvent=memory-failure\n[Device]\nUnmapPoison=yes\n";
	struct dg_device_facts facts = {};
	struct dg_device_rule rule;
	struct dg_subject subject;

	errors[0] = '\0';
	assert_int_equal(dg_device_rule_parse("a.device", text, strlen(text), note, NULL, &rule),
			 0);
	assert_true(rule.unmap_poison);
	dg_subject_init(&subject, &facts, NULL);
	assert_false(dg_match_holds(&rule.match, &subject, DG_ASK_ALL, NULL));
	facts.event = DG_RULE_EVENT_MEMORY_FAILURE;
	assert_true(dg_match_holds(&rule.match, &subject, DG_ASK_ALL, NULL));
	dg_device_rule_done(&rule);
}

static void wrong_matches(void **state)
{
	refuse("[Match]\nEvent=pre-remov\n",
	       "2:7: the event \"pre-remov\" is not known; did you mean \"pre-remove\"?\n");
	refuse("[Match]\nEvent=memory-failur\n",
	       "2:7: the event \"memory-failur\" is not known; did you mean \"memory-failure\"?\n");
	refuse("[Match]\nAccess=mapped kernel\n", "2:15: the access \"kernel\" is not known\n");
	refuse("[Match]\nUnit=!\n", "2:7: behind the \"!\" a list is missing\n");
	refuse("[Match]\nUnit=a.service !b.service\n",
	       "2:16: a \"!\" stands before a whole list; name the key again\n");
	refuse("[Match]\nUnit=a.service \"\"\n", "2:16: an empty word matches nothing\n");
	refuse("[Match]\nUnit=redis\n", "2:6: a unit's name ends with its type, as .service\n");
	refuse("[Match]\nCommand=a-name-of-16-byt\n",
	       "2:9: the kernel cuts a command's name to 15 bytes\n");
	refuse("[Match]\nExecutable=bash\n",
	       "2:12: this is a path: it begins with / or a wildcard\n");
	refuse("[Match]\nDevice=/dev/disk/by-uuid/x\n",
	       "2:8: of what is in /dev/disk only by-path is known\n");
	refuse("[Match]\nDevice=/dev/\n", "2:8: a name is missing\n");
	refuse("[Match]\nUser=red*\n",
	       "2:6: users and groups are names or numbers, not patterns\n");
	refuse("[Match]\nGroup=4294967295\n",
	       "2:7: users and groups are numbers below 4294967295\n");
	refuse("[Match]\nDevice=pmem[01\n",
	       "2:8: \"[\" without \"]\"; write [[] for the character\n");
	refuse("[Match]\nDevice=a 'b\n", "2:10: the closing ' is missing\n");
}

static void good_brackets(void **state)
{
	struct dg_rule rule = accept_rule(
		"[Match]\nDevice=[]a] [!]a] [[:digit:]] [[] a]b [^a-c]x\n[Policy]\nAction=kill\n");

	assert_int_equal(dg_match_find(&rule.match, DG_KEY_DEVICE)->n_patterns, 6);
	dg_rule_done(&rule);
}

static void wrong_ladders(void **state)
{
	refuse("[Policy]\nAction=termn\n",
	       "2:8: the action \"termn\" is not known; did you mean \"term\"?\n");
	refuse("[Policy]\nAction=checkpoint term checkpoint kill\n",
	       "2:24: checkpoint can be there once\n");
	refuse("[Policy]\nAction=kill term\n", "2:13: nothing comes after kill\n");
	refuse("[Policy]\nAction=leave term\n", "2:14: nothing comes after leave\n");
	refuse("[Policy]\nAction=leave@3s\n", "2:13: leave takes no time\n");
	refuse("[Policy]\nAction=term@\n", "2:13: a number is expected here\n");
	refuse("[Policy]\nAction=term@5h kill\n", "2:13: not a unit of time: ms, s or min\n");
	refuse("[Policy]\nAction=term@2h@3\n", "2:13: not a unit of time: ms, s or min\n");
	refuse("[Policy]\nAction=term@61min kill\n",
	       "2:13: a grace must be from 0 to 3600000 ms\n");
	refuse("[Policy]\nAction=term term term term term term term term term\n",
	       "2:48: a ladder has at most 8 rungs\n");
	refuse("[Policy]\nAction=kill # at once\n",
	       "2:13: a comment needs a line of its own; quote the word if it is none\n");
}

static void wrong_values(void **state)
{
	refuse("[Policy]\nSignal=USR3\n",
	       "2:8: \"USR3\" is no signal: a name as SIGUSR1 or SIGRTMIN+1, or a number\n");
	refuse("[Policy]\nSignal=65\n",
	       "2:8: \"65\" is no signal: a name as SIGUSR1 or SIGRTMIN+1, or a number\n");
	refuse("[Policy]\nSignal=RTMIN+99\n",
	       "2:8: \"RTMIN+99\" is no signal: a name as SIGUSR1 or SIGRTMIN+1, or a number\n");
	refuse("[Policy]\nSignal=KILL\n",
	       "2:8: nobody can catch this signal, so it tells nothing\n");
	refuse("[Policy]\nExec=echo a\n", "2:6: the program needs its absolute path\n");
	refuse("[Policy]\nExecTimeoutSec=61\n",
	       "2:16: ExecTimeoutSec= must be from 100 to 60000 ms\n");
	refuse("[Policy]\nScope=units\n",
	       "2:7: the scope \"units\" is not known; did you mean \"unit\"?\n");
	refuse("[Policy]\nDryRun=maybe\n", "2:8: \"maybe\" is neither yes nor no\n");
	refuse_device("[Device]\nOnBusy=leave\n", "2:8: the word \"leave\" is not known\n");
	refuse_device("[Device]\nRestoreOnReturn=may\n", "2:17: \"may\" is neither yes nor no\n");
	refuse_device("[Device]\nBudget=0\n", "2:8: Budget= must be from 1000 to 3600000 ms\n");
}

static void what_a_rule_needs(void **state)
{
#define ANY "[Match]\nDevice=*\n[Policy]\n"
	refuse("", "1:1: there is no [Match]\n1:1: there is no [Policy]\n");
	refuse_device("[Match]\nDevice=*\n", "1:1: there is no [Device]\n");
	refuse("[Match]\n[Policy]\n", "1:1: nothing is asked for; Device=* is for every device\n"
				      "2:1: Action= is missing\n");
	refuse(ANY "Action=\n", "3:1: Action= is missing\n");
	refuse(ANY "Action=notify kill\n", "4:1: notify needs a Signal=\n");
	refuse(ANY "Action=exec kill\nExecTimeoutSec=3\n", "4:1: exec needs an Exec=\n");
	refuse(ANY "Action=kill\nSignal=USR1\nExec=/bin/a\nExecTimeoutSec=3\n",
	       "5:1: Signal= is for notify, which Action= has not\n"
	       "6:1: Exec= is for exec, which Action= has not\n"
	       "7:1: ExecTimeoutSec= is for exec, which Action= has not\n");
	refuse(ANY "Action=freeze\n", "4:1: freeze needs Scope=unit\n");
}

static void every_error_is_told(void **state)
{
	char many[4096] = "";

	refuse("[Match]\nUnti=a\nwhat\n[Policy]\nAction=kil\n\033\n",
	       "2:1: unknown key \"Unti\" in [Match]; did you mean \"Unit\"?\n"
	       "3:1: neither a [Section] nor Key=Value\n"
	       "5:8: the action \"kil\" is not known; did you mean \"kill\"?\n"
	       "6:1: a control character, 0x1b\n");

	for (unsigned i = 0; i < 100; i++)
		strcat(many, "what\n");
	errors[0] = '\0';
	assert_int_equal(dg_rule_parse("a.policy", many, strlen(many), note, NULL, NULL), -EINVAL);
	assert_non_null(strstr(errors, "32:1: neither a [Section] nor Key=Value\n"
				       "32:1: too many errors\n"));
	assert_null(strstr(errors, "33:1"));
}

static void limits(void **state)
{
	static char text[1024 * 1024];
	size_t n;

	memset(text, 'x', sizeof(text));
	refuse_bytes(DG_RULE_POLICY, text, sizeof(text), "1:1: the file is larger than 64 KiB\n");
	refuse_bytes(DG_RULE_POLICY, text, DG_RULE_FILE_MAX,
		     "1:1: neither a [Section] nor Key=Value\n");
	memset(text, 0, sizeof(text));
	refuse_bytes(DG_RULE_DEVICE, text, 100, "1:1: a NUL byte\n");

	n = (size_t)sprintf(text, "[Match]\nDevice=");
	for (unsigned i = 0; i <= DG_PATTERNS_MAX; i++)
		n += (size_t)sprintf(text + n, "a ");
	refuse(text, "2:520: Device= has more than 256 words\n");

	n = (size_t)sprintf(text, "[Policy]\nExec=/bin/a");
	for (unsigned i = 0; i < DG_RULE_EXEC_MAX; i++)
		n += (size_t)sprintf(text + n, " b");
	refuse(text, "2:139: more than 64 words\n");

	/* A blank between two words is one of the bytes. */
	memset(text, 'x', sizeof(text));
	memcpy(text, "[Policy]\nExec=/", strlen("[Policy]\nExec=/"));
	text[14 + 767] = ' ';
	strcpy(text + 14 + DG_RULE_EXEC_BYTES_MAX + 1, "\n");
	refuse(text, "2:774: more than 1536 bytes\n");
	strcpy(text + 14 + DG_RULE_EXEC_BYTES_MAX, "\n");
	refuse(text, "1:1: there is no [Match]\n1:1: Action= is missing\n"
		     "2:1: Exec= is for exec, which Action= has not\n");
}

static void kinds_of_files(void **state)
{
	enum dg_rule_kind kind = _DG_RULE_KIND_MAX;
	char name[DG_NAME_MAX + 8];

	assert_int_equal(dg_rule_kind_of("10-a.policy", &kind), 0);
	assert_int_equal(kind, DG_RULE_POLICY);
	assert_int_equal(dg_rule_kind_of("10-a.device", &kind), 0);
	assert_int_equal(kind, DG_RULE_DEVICE);
	assert_int_equal(dg_rule_kind_of("README", &kind), -ENOENT);
	assert_int_equal(dg_rule_kind_of("a.policy~", &kind), -ENOENT);
	assert_int_equal(dg_rule_kind_of("a.policy.rpmnew", &kind), -ENOENT);
	assert_int_equal(dg_rule_kind_of("", &kind), -ENOENT);
	assert_int_equal(dg_rule_kind_of(".a.policy", &kind), -ENOENT);
	assert_int_equal(dg_rule_kind_of("a b.policy", &kind), -EINVAL);
	assert_int_equal(dg_rule_kind_of("\xc3\xa4.policy", &kind), -EINVAL);
	snprintf(name, sizeof(name), "%056d.policy", 0);
	assert_int_equal(dg_rule_kind_of(name, &kind), 0);
	snprintf(name, sizeof(name), "%057d.policy", 0);
	assert_int_equal(dg_rule_kind_of(name, &kind), -EINVAL);
}

static bool trusts(const char *match, bool in_user_unit)
{
	char text[256];
	struct dg_rule rule;
	bool trusted;

	snprintf(text, sizeof(text), "[Match]\nDevice=*\n%s\n[Policy]\nAction=checkpoint\n", match);
	rule = accept_rule(text);
	trusted = dg_rule_trusts(&rule, in_user_unit);
	dg_rule_done(&rule);
	return trusted;
}

static void whom_it_trusts(void **state)
{
	static const char *const nobody[] = {
		"",
		"Unit=*",
		"Unit=a.service *",
		"Unit=!a.service",
		"Unit=?*",
		"Unit=[a-z]*",
		"User=!root",
		"Command=a",
		"Unit=*\nUnit=!a.service",
		"Executable=/bin/a",
		"Group=root",
	};

	for (size_t i = 0; i < sizeof(nobody) / sizeof(*nobody); i++)
		assert_false(trusts(nobody[i], false));
	assert_true(trusts("Unit=a.service", false));
	assert_true(trusts("Unit=a@*.service b*\nUnit=!b2*", false));
	/* Whose names they are. */
	assert_false(trusts("Unit=a.service", true));
	assert_true(trusts("User=a", true));
	assert_true(trusts("Unit=*\nUser=1000\nUser=!0", true));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_whole_rule),
		cmocka_unit_test(what_is_not_said),
		cmocka_unit_test(repeated_and_empty),
		cmocka_unit_test(a_device_rule),
		cmocka_unit_test(wrong_sections_and_keys),
		cmocka_unit_test(wrong_matches),
		cmocka_unit_test(wrong_for_the_event),
		cmocka_unit_test(rules_for_failures),
		cmocka_unit_test(good_brackets),
		cmocka_unit_test(wrong_ladders),
		cmocka_unit_test(wrong_values),
		cmocka_unit_test(what_a_rule_needs),
		cmocka_unit_test(every_error_is_told),
		cmocka_unit_test(limits),
		cmocka_unit_test(whom_it_trusts),
		cmocka_unit_test(kinds_of_files),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
