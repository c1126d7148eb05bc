/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What each verb of daxguardctl writes for people; of incidents, see test-ctl-incident.c. */
#include "printed.h"

#include "ctl/json.h"

static void test_status_held(void **state)
{
	check(print_status,
	      "{\"Version\":\"1\",\"ModuleLoaded\":true,\"Registered\":true,"
	      "\"ModuleVersion\":\"1\",\"HoldMsec\":20000,\"CapMsec\":60000,"
	      "\"ActivationMsec\":3000,\"OpenIncidents\":1,\"KeptIncidents\":4,"
	      "\"Pinned\":[{\"Incident\":3,\"Device\":\"pmem0\",\"Pid\":17,\"Comm\":\"a\\nb\","
	      "\"Path\":\"\"},{\"Incident\":2,\"Device\":\"pmem1\",\"Pid\":18,\"Comm\":\"sleep\","
	      "\"Path\":[47,255]}],\"Registrations\":[{\"Device\":\"pmem0\",\"Name\":\"db\","
	      "\"Pid\":7,"
	      "\"Uid\":1000,\"State\":\"waiting\",\"Kept\":true},{\"Device\":\"pmem1\",\"Name\":"
	      "\"\","
	      "\"Pid\":8,\"Uid\":0,\"State\":\"told\",\"Kept\":false}],\"Rules\":2,\"DeviceRules\":"
	      "1,"
	      "\"PolicyWarnings\":[\"/a.policy:2:6: nobody\"],"
	      "\"Protected\":[{\"Pid\":1,\"Name\":\"systemd\"},{\"Pid\":9,\"Name\":\"dbus\"}]}",
	      "Daemon       daxguardd 1\n"
	      "Removals     are held\n"
	      "Module       1, hold 20000 ms, cap 60000 ms, activation 3000 ms\n"
	      "Incidents    1 open, 4 kept\n"
	      "Pinned       pmem0 by a\\nb (17), left by incident 3\n"
	      "             pmem1 by sleep (18), whose namespace has it on /\\xff, left by "
	      "incident "
	      "2\n"
	      "             such a device cannot be mounted before they have ended\n"
	      "Registered   pmem0: db (7) of 1000, waiting\n"
	      "             pmem1: a process (8) of 0, told, not kept over a restart\n"
	      "Rules        2 of processes, 1 of devices, beside the built-in ones\n"
	      "Rule warning /a.policy:2:6: nobody\n"
	      "Protected    systemd (1), dbus (9)\n");
}

static void test_status_trouble(void **state)
{
	check(print_status,
	      "{\"Version\":\"1\",\"ModuleLoaded\":false,\"LogDropped\":3,\"StuckSteps\":1,"
	      "\"ConfigBuiltin\":true,\"ConfigErrors\":[\"/etc/x:3:1: bad\\nkey\"],"
	      "\"Refused\":[\"/a.policy: no\",\"/b.policy:1:1: no\"],\"PolicyBuiltin\":true}",
	      "Daemon       daxguardd 1\n"
	      "Removals     are not held: load the module with `modprobe daxguard`\n"
	      "Incidents    0 open, 0 kept\n"
	      "Log          3 messages were dropped\n"
	      "Steps        1 are stuck in the kernel and cannot be killed\n"
	      "Config error /etc/x:3:1: bad\\nkey\n"
	      "             the built-in configuration is in effect instead\n"
	      "Rules        0 of processes, 0 of devices, beside the built-in ones\n"
	      "Refused      /a.policy: no\n"
	      "             /b.policy:1:1: no\n"
	      "             the built-in rules alone are in force\n"
	      "Protected    none found yet\n");
	check(print_status,
	      "{\"Version\":\"1\",\"ModuleLoaded\":true,\"Registered\":false,"
	      "\"WhyNot\":\"another daemon is registered\"}",
	      "Daemon       daxguardd 1\n"
	      "Removals     are not held by this daemon: another daemon is registered\n"
	      "Incidents    0 open, 0 kept\n"
	      "Rules        0 of processes, 0 of devices, beside the built-in ones\n"
	      "Protected    none found yet\n");
}

static void test_devices(void **state)
{
	check(print_devices,
	      "[{\"Name\":\"pmem0\",\"Device\":\"pfn0.0\",\"Mode\":\"fsdax\",\"DevNum\":"
	      "\"259:0\",\"Size\":536870912,\"Region\":\"region0\",\"Mounts\":"
	      "[{\"Path\":\"/a\"},{\"Path\":[47,255]}]},"
	      "{\"Name\":\"dax1.0\",\"Incident\":3}]",
	      "NAME    DEVICE  MODE   MAJ:MIN       SIZE  REGION   STATE    MOUNTED ON\n"
	      "pmem0   pfn0.0  fsdax  259:0    512.0 MiB  region0  mounted  /a /\\xff\n"
	      "dax1.0  -       -      -              0 B  -        held     -\n"
	      "\n2 guarded devices.\n");
	check(print_devices, "[]",
	      "NAME  DEVICE  MODE  MAJ:MIN  SIZE  REGION  STATE  MOUNTED ON\n"
	      "\n0 guarded devices.\n");
	check_style(print_devices, &(struct table_style){0}, "[]", "");
}

static void test_holders(void **state)
{
	check(print_holders,
	      "{\"Device\":\"pmem0\",\"Truncated\":true,\"Holders\":["
	      "{\"Pid\":7,\"Uid\":0,\"Comm\":[120,27],\"Mapped\":2,\"MappedBytes\":16777216,"
	      "\"Open\":1,\"Flags\":[\"shared\",\"write\"],"
	      "\"Mappings\":[{\"Address\":4096},{\"Address\":8192}]},"
	      "{\"Pid\":8,\"Uid\":1000,\"Comm\":\"sh\",\"Cwd\":1}],"
	      "\"FileSystems\":[{\"Type\":\"xfs\",\"DevNum\":\"259:0\",\"Inodes\":1,"
	      "\"Entries\":8,\"Flags\":[\"live\"]}]}",
	      "PID   UID  COMMAND  USES                   FIRST MAPPING  FLAGS\n"
	      "  7     0  x\\x1b    16.0 MiB mapped, open  0x1000         shared write\n"
	      "  8  1000  sh       cwd                    -              -\n"
	      "\n"
	      "FILE SYSTEM  MAJ:MIN  DAX INODES  DAX ENTRIES  FLAGS\n"
	      "xfs          259:0             1            8  live\n"
	      "\n"
	      "The list is not complete: more uses than fit, or a lock was not to be had in "
	      "time.\n");
	check(print_holders, "{\"Device\":\"pmem0\",\"Holders\":[]}", "No process uses pmem0.\n");
}

static const char simulation[] =
	"{\"Device\":\"pmem0\",\"Held\":false,\"Truncated\":true,\"DeadlineUsec\":20000000,"
	"\"ReserveUsec\":6000000,\"NotLookedAt\":2,\"Outcome\":\"detached-pinned\","
	"\"DeviceRule\":\"2.device\",\"DeviceRulePath\":\"/etc/2.device\","
	"\"DeviceRuleLine\":3,\"OnBusy\":\"keep\",\"BudgetMsec\":9000,\"System\":[\"/var\"],"
	"\"PolicyWarnings\":[\"/etc/1:2:3: \\u001b\"],"
	"\"DeviceRulesPassed\":[{\"Rule\":\"1.device\",\"Path\":\"/etc/1.device\",\"Line\":2,"
	"\"Key\":\"Driver\",\"Verdict\":\"differs\"}],\"DeviceRulesMore\":4,"
	"\"Mounts\":[{\"Path\":\"/mnt\",\"Type\":\"xfs\",\"Host\":true},"
	"{\"Path\":[47,255],\"Type\":\"xfs\",\"Host\":false,\"Locked\":true,\"Pid\":9}],"
	"\"Holders\":["
	"{\"Pid\":7,\"Uid\":0,\"Comm\":[120,27],\"Mapped\":1,\"MappedBytes\":4096,"
	"\"Rule\":\"1.policy\",\"RulePath\":\"/etc/1.policy\",\"RuleLine\":5,"
	"\"Actions\":[{\"Action\":\"sigbus\",\"Outcome\":\"no-handler\",\"AtUsec\":0},"
	"{\"Action\":\"kill\",\"Outcome\":\"\",\"AtUsec\":3000000}],\"End\":\"killed\"},"
	"{\"Pid\":8,\"Uid\":1,\"Comm\":\"sh\",\"Cwd\":1,\"Rule\":\"built-in:other\","
	"\"RulePath\":\"\",\"Actions\":[],\"End\":\"left\"}]}";

static void test_simulation(void **state)
{
	check(print_simulation, simulation,
	      "If pmem0 were removed now, and nobody let go before he had to:\n"
	      "Outcome      detached-pinned\n"
	      "Time         20.000 s, of which 6.000 s for the last kill, sync and unmount\n"
	      "Removals     are not held now: nobody would get anything\n"
	      "Unknown      2 processes could not be looked at in time\n"
	      "Unknown      there are more who use it than could be listed\n"
	      "Device rule  /etc/2.device:3, keep, budget 9.000 s\n"
	      "System       /var\n"
	      "Mounted      /mnt, xfs\n"
	      "             /\\xff, xfs, in the namespace of 9, locked there\n"
	      "Rule warning /etc/1:2:3: \\x1b\n"
	      "\n"
	      "PID  UID  COMMAND  USES            RULE             GETS                            "
	      "         END\n"
	      "  7    0  x\\x1b    4.0 KiB mapped  /etc/1.policy:5  sigbus (no-handler), kill "
	      "after 3.000 s  killed\n"
	      "  8    1  sh       cwd             built-in:other   -                               "
	      "         left\n"
	      "\n"
	      "NOT FOR IT       SINCE    VERDICT\n"
	      "/etc/1.device:2  Driver=  differs\n"
	      "… and 4 more.\n");
}

/* Nothing is held for it, so it matters to nobody whether removals are. */
static void test_simulation_by_user(void **state)
{
	check(print_simulation,
	      "{\"Device\":\"pmem0\",\"Source\":\"user\",\"Held\":false,"
	      "\"State\":\"stayed\",\"Outcome\":\"busy\",\"DeadlineUsec\":3600000000,"
	      "\"ReserveUsec\":6000000,\"DeviceRule\":\"built-in:device\","
	      "\"DeviceRulePath\":\"\",\"OnBusy\":\"detach\"}",
	      "If pmem0 were removed by daxguardd now, and nobody let go before he had to:\n"
	      "State        stayed\n"
	      "Outcome      busy\n"
	      "Time         60 min 0 s, of which 6.000 s for the last kill, sync and unmount\n"
	      "Device rule  built-in:device, detach\n");
}

static void test_process(void **state)
{
	check(print_process,
	      "{\"Held\":true,\"DeadlineUsec\":20000000,\"ReserveUsec\":6000000,\"Holds\":false,"
	      "\"Pid\":7,\"Uid\":5,\"Comm\":[120,27],\"Exempt\":\"none\","
	      "\"Rule\":\"1.policy\",\"RulePath\":[47,254],\"RuleLine\":5,\"Scope\":\"unit\","
	      "\"DryRun\":true,\"Unit\":\"a.service\",\"GracePermille\":466,"
	      "\"Actions\":[{\"Action\":\"term\",\"Outcome\":\"dry-run\",\"AtUsec\":0,"
	      "\"GraceMsec\":14000}],\"End\":\"left\","
	      "\"Passed\":[{\"Rule\":\"built-in:protected\",\"Path\":\"\",\"Key\":\"\","
	      "\"Verdict\":\"not-protected\"}]}",
	      "Process      x\\x1b (7), user 5\n"
	      "Uses         nothing there now; this is what it would get if it did\n"
	      "Unit         a.service\n"
	      "Time         20.000 s, of which 6.000 s for the last kill, sync and unmount\n"
	      "Rule         /\\xfe:5\n"
	      "Scope        its unit as a whole\n"
	      "Dry run      the ladder is told, and nothing of it done\n"
	      "Graces       cut to 46.6 %\n"
	      "End          left\n"
	      "\n"
	      "    AT  ACTION     GRACE  OUTCOME\n"
	      "0.0 ms  term    14.000 s  dry-run\n"
	      "\n"
	      "NOT FOR IT          SINCE  VERDICT\n"
	      "built-in:protected  -      not-protected\n");
}

/* A newer or broken daemon must not make the tool crash. */
static void test_nonsense(void **state)
{
	static const print_func prints[] = {print_status,       print_devices, print_holders,
					    print_incidents,    print_story,   print_signal,
					    print_simulation,   print_process, print_failures,
					    print_failures_each};
	static const char *const texts[] = {
		"{}",
		"[]",
		"3",
		"\"x\"",
		"[1,\"x\",null,[]]",
		"{\"Holders\":{},\"States\":3,\"Id\":\"x\",\"Comm\":[1000,\"y\"],\"Notes\":[[]]}"};

	for (size_t p = 0; p < sizeof(prints) / sizeof(prints[0]); p++) {
		for (size_t t = 0; t < sizeof(texts) / sizeof(texts[0]); t++) {
			json_object *value = json_tokener_parse(texts[t]);
			FILE *f = fopen("/dev/null", "w");

			assert_int_equal(prints[p](f, &(struct table_style){.legend = true}, value),
					 0);
			fclose(f);
			json_object_put(value);
		}
	}
}

static void test_check(void **state)
{
	check(print_check, "{\"Files\":[],\"Errors\":[],\"MoreErrors\":false,\"Warnings\":[]}",
	      "0 rule files without an error.\n");
	check(print_check,
	      "{\"Files\":[{\"Path\":\"/etc/a.policy\",\"Kind\":\"policy\",\"State\":\"read\"},"
	      "{\"Path\":\"/etc/b.policy\",\"Kind\":\"policy\",\"State\":\"masked\"},"
	      "{\"Path\":\"/etc/c.device\",\"Kind\":\"device\",\"State\":\"wrong\"}],"
	      "\"Errors\":[{\"Path\":[47,255],\"Line\":3,\"Column\":7,\"Reason\":\"bad\\nkey\"},"
	      "{\"Path\":\"/etc/c.device\",\"Line\":0,\"Column\":0,\"Reason\":\"refused\"}],"
	      "\"MoreErrors\":true,\"Warnings\":[{\"Path\":\"/etc/"
	      "a.policy\",\"Line\":1,\"Column\":2,"
	      "\"Reason\":\"there is no user\"}]}",
	      "/\\xff:3:7: bad\\nkey\n"
	      "/etc/c.device: refused\n"
	      "/etc/a.policy:1:2: warning: there is no user\n"
	      "1 rule file without an error, 1 masked; 2 errors and more, so none of them "
	      "counts.\n");
}

static void test_policy(void **state)
{
	check(print_policy,
	      "{\"Rules\":[{\"Name\":\"built-in:protected\",\"Path\":\"\",\"Protected\":true,"
	      "\"Match\":[],\"Policy\":[\"Action=leave\"]},"
	      "{\"Name\":\"a.policy\",\"Path\":\"/etc/p/a.policy\","
	      "\"Match\":[\"Unit=a\\\\x2db.mount\",[69,61,255]],\"Policy\":[\"Action=kill@1s\"]}],"
	      "\"DeviceRules\":[{\"Name\":\"built-in:device\",\"Path\":\"\",\"Match\":[],"
	      "\"Device\":[\"OnBusy=detach\"]}]}",
	      "# built-in:protected\n"
	      "# For processes that are never signalled, see daxguardctl status.\n"
	      "[Policy]\nAction=leave\n\n"
	      "# /etc/p/a.policy\n"
	      "[Match]\nUnit=a\\x2db.mount\nE=\\xff\n[Policy]\nAction=kill@1s\n\n"
	      "# built-in:device\n[Device]\nOnBusy=detach\n\n"
	      "2 rules and 1 device rule, the built-in ones included.\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_policy),         cmocka_unit_test(test_status_held),
		cmocka_unit_test(test_status_trouble), cmocka_unit_test(test_devices),
		cmocka_unit_test(test_simulation),     cmocka_unit_test(test_simulation_by_user),
		cmocka_unit_test(test_process),        cmocka_unit_test(test_holders),
		cmocka_unit_test(test_check),          cmocka_unit_test(test_nonsense),
	};

	return cmocka_run_group_tests(tests, set_zone, NULL);
}
