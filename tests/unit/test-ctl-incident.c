/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What daxguardctl writes for people of incidents, and of the memory that has failed. */
#include "printed.h"

#include "ctl/json.h"
#include "ctl/text.h"

static void test_incidents(void **state)
{
	check(print_incidents,
	      "[{\"Id\":3,\"BeganUsec\":1927771200000000,\"Device\":\"pfn0.0\",\"State\":"
	      "\"done\",\"Outcome\":\"unmounted\",\"Result\":\"acked\",\"Revoke\":\"clean\","
	      "\"HeldUsec\":3214000,\"HolderCount\":2}]",
	      "ID  BEGAN                DEVICE  RESULT  REVOKE     HELD  HOLDERS\n"
	      " 3  2031-02-02 04:00:00  pfn0.0  acked   clean   3.214 s        2\n"
	      "\n1 incident.\n");
	/* Nothing is held for what has failed. */
	check(print_incidents,
	      "[{\"Id\":1000000000003,\"Kind\":\"memory-failure\",\"BeganUsec\":1927771200000000,"
	      "\"Device\":\"pmem0\",\"State\":\"done\",\"Outcome\":\"told\",\"Result\":\"none\","
	      "\"Revoke\":\"none\",\"HeldUsec\":0,\"HolderCount\":2}]",
	      "           ID  BEGAN                DEVICE  RESULT  REVOKE  HELD  HOLDERS\n"
	      "1000000000003  2031-02-02 04:00:00  pmem0   told    -          -        2\n"
	      "\n1 incident.\n");
	/* Numbers as users' removals have them, and the longest words there are: 80 columns. */
	check_style(print_incidents, &(struct table_style){.legend = true, .width = 80},
		    "[{\"Id\":9003,\"BeganUsec\":1927771200000000,\"Device\":\"namespace0.0\","
		    "\"State\":\"expired\",\"Outcome\":\"expired\",\"Result\":\"no-daemon\","
		    "\"Revoke\":\"pinned\",\"HeldUsec\":59214000,\"HolderCount\":16384},"
		    "{\"Id\":1000009004,\"BeganUsec\":1927771200000000,\"Device\":\"pfn0.0\","
		    "\"State\":\"stayed\",\"Outcome\":\"busy\",\"Result\":\"none\","
		    "\"Revoke\":\"none\",\"HeldUsec\":0,\"HolderCount\":1},"
		    "{\"Id\":1000009005,\"BeganUsec\":1927771200000000,\"Device\":\"pfn0.0\","
		    "\"State\":\"unmounting\",\"Outcome\":\"\",\"Result\":\"none\","
		    "\"Revoke\":\"none\",\"HeldUsec\":0,\"HolderCount\":0}]",
		    "        ID  BEGAN                DEVICE    RESU"
		    "LT      REVOKE      HELD  HOLDERS\n"
		    "      9003  2031-02-02 04:00:00  namespa…  no-d"
		    "aemon   pinned  59.214 s    16384\n"
		    "1000009004  2031-02-02 04:00:00  pfn0.0    stay"
		    "ed      -              -        1\n"
		    "1000009005  2031-02-02 04:00:00  pfn0.0    unmo"
		    "unting  -              -        0\n"
		    "\n3 incidents.\n");
}

static const char story[] =
	"{\"Id\":3,\"Device\":\"pfn0.0\",\"Bus\":\"nd\",\"Driver\":\"nd_pmem\",\"State\":\"done\","
	"\"Outcome\":\"busy\",\"Result\":\"acked\",\"Revoke\":\"clean\","
	"\"BeganUsec\":1927771200000000,\"HeldUsec\":3214000,\"HolderCount\":3,"
	"\"Marks\":[\"sync-failed\",\"busy\",\"acked\"],\"UnbinderPid\":55,\"TakenOver\":true,"
	"\"RevokeUsec\":12000,"
	"\"Inodes\":2,"
	"\"Entries\":4096,\"Notes\":[\"graces shrank\"],"
	"\"Targets\":[{\"Name\":\"pmem0\",\"Device\":\"pfn0.0\",\"Mode\":\"fsdax\","
	"\"DevNum\":\"259:0\",\"Uuid\":\"\"}],"
	"\"States\":[{\"State\":\"announced\",\"AtUsec\":0,\"TookUsec\":400},"
	"{\"State\":\"syncing\",\"AtUsec\":400,\"TookUsec\":31000}],"
	"\"Steps\":[{\"Step\":\"sync\",\"AtUsec\":500,\"TookUsec\":30000,\"End\":\"failed\","
	"\"Error\":\"no\\tway\"}],"
	"\"Holders\":[{\"Pid\":7,\"Uid\":0,\"Comm\":\"redis\",\"Mapped\":1,\"MappedBytes\":4096,"
	"\"Rule\":\"1.policy\",\"RulePath\":\"/etc/1.policy\",\"RuleLine\":5,"
	"\"Actions\":[{\"Action\":\"sigbus\",\"AtUsec\":40000,\"Outcome\":\"no-handler\"},"
	"{\"Action\":\"term\",\"AtUsec\":41000,\"Outcome\":\"sent\"}],"
	"\"End\":\"exited\",\"EndUsec\":90000},"
	"{\"Pid\":8,\"Uid\":0,\"Comm\":\"sh\",\"Cwd\":1,\"Rule\":\"built-in:other\","
	"\"Cooperation\":\"done\","
	"\"RulePath\":\"\",\"RuleLine\":0,\"End\":\"left\",\"EndUsec\":0}],"
	"\"Mounts\":[{\"Path\":\"/mnt/p\",\"Type\":\"ext4\",\"Namespace\":1,\"Host\":true,"
	"\"Result\":\"ok\"}]}";

static void test_story(void **state)
{
	check(print_story, story,
	      "Incident 3: pfn0.0 loses its driver nd_pmem on nd\n"
	      "Began        2031-02-02 04:00:00\n"
	      "Removed by   process 55\n"
	      "Taken over   from a daemon that died or was stopped\n"
	      "Outcome      busy; also sync-failed\n"
	      "Result       acked after 3.214 s\n"
	      "Revoke       clean in 12 ms: 0 mappings left to remove, 4096 DAX entries dropped "
	      "in 2 inodes\n"
	      "Note         graces shrank\n"
	      "\n"
	      "What was removed\n"
	      "  NAME   DEVICE  MODE   MAJ:MIN  UUID\n"
	      "  pmem0  pfn0.0  fsdax  259:0    -\n"
	      "\n"
	      "States\n"
	      "       AT  STATE        TOOK\n"
	      "  +0.0 ms  announced  0.4 ms\n"
	      "  +0.4 ms  syncing     31 ms\n"
	      "\n"
	      "Processes\n"
	      "  PID  UID  COMMAND  USED                AT  GOT         OUTCOME\n"
	      "    7    0  redis    4.0 KiB mapped  +40 ms  sigbus      no-handler\n"
	      "                                     +41 ms  term        sent\n"
	      "                                     +90 ms  then        exited\n"
	      "    8    0  sh       cwd                     registered  done\n"
	      "                                             then        left\n"
	      "  (and 1 more)\n"
	      "\n"
	      "Rules\n"
	      "  PID  RULE\n"
	      "    7  /etc/1.policy:5\n"
	      "    8  built-in:other\n"
	      "\n"
	      "Mounts\n"
	      "  MOUNTED ON  TYPE  NAMESPACE  RESULT\n"
	      "  /mnt/p      ext4  host       ok\n"
	      "\n"
	      "Steps\n"
	      "       AT  STEP   TOOK  END     SAID\n"
	      "  +0.5 ms  sync  30 ms  failed  no\\tway\n");
}

static void test_story_of_units(void **state)
{
	check(print_story,
	      "{\"Id\":4,\"Device\":\"pfn0.0\",\"Driver\":\"nd_pmem\",\"Bus\":\"nd\","
	      "\"State\":\"acting\",\"Result\":\"none\",\"DeviceRule\":\"20-db.device\","
	      "\"OnBusy\":\"keep\",\"BudgetMsec\":45000,\"Holders\":[{\"Pid\":7,\"Uid\":0,"
	      "\"Comm\":\"db\",\"Mapped\":1,\"MappedBytes\":4096,\"Rule\":\"1.policy\","
	      "\"RulePath\":[47,27],\"RuleLine\":9,\"Actions\":["
	      "{\"Action\":\"exec\",\"AtUsec\":40000,\"Outcome\":\"hook-failed\",\"Status\":3,"
	      "\"TookUsec\":2000,\"Output\":\"no\\tway\"},"
	      "{\"Action\":\"kill\",\"AtUsec\":41000,\"Outcome\":\"sent-to-unit\","
	      "\"Unit\":\"db.service\"}]}]}",
	      "Incident 4: pfn0.0 loses its driver nd_pmem on nd\n"
	      "Began        1970-01-01 00:00:00\n"
	      "Removed by   the kernel itself\n"
	      "Rule         20-db.device: keep, budget 45.000 s\n"
	      "State        acting\n"
	      "\n"
	      "Processes\n"
	      "  PID  UID  COMMAND  USED                AT  GOT   OUTCOME\n"
	      "    7    0  db       4.0 KiB mapped  +40 ms  exec  hook-failed\n"
	      "                                     +41 ms  kill  sent-to-unit\n"
	      "                                             then  -\n"
	      "\n"
	      "Rules\n"
	      "  PID  RULE\n"
	      "    7  /\\x1b:9\n"
	      "\n"
	      "Units and programs\n"
	      "  PID  GOT   UNIT          TOOK  SAID\n"
	      "    7  exec  -           2.0 ms  no\\tway\n"
	      "    7  kill  db.service       -  -\n");
}

static void test_story_open(void **state)
{
	check(print_story,
	      "{\"Id\":4,\"Device\":\"region0\",\"Driver\":\"nd_region\",\"Bus\":\"nd\","
	      "\"State\":\"acting\",\"Result\":\"none\",\"Surprise\":true,"
	      "\"DeviceRule\":\"built-in:device\",\"OnBusy\":\"detach\",\"BudgetMsec\":0}",
	      "Incident 4: region0 loses its driver nd_region on nd (surprise removal)\n"
	      "Began        1970-01-01 00:00:00\n"
	      "Removed by   the kernel itself\n"
	      "State        acting\n");
}

static void test_story_of_failure(void **state)
{
	check(print_story,
	      "{\"Id\":1000000000003,\"Kind\":\"memory-failure\",\"Device\":\"pmem0\","
	      "\"State\":\"done\",\"Outcome\":\"told\",\"Result\":\"none\","
	      "\"FailedRanges\":2,\"FailedBytes\":4608,\"Failures\":["
	      "{\"Source\":\"memory-failure\",\"Start\":4294975488,\"Length\":4096,"
	      "\"DeviceOffset\":8192,\"FileSystem\":\"259:0\",\"Inode\":12,\"FileOffset\":0},"
	      "{\"Source\":\"badblocks\",\"Start\":4294967296,\"Length\":512},"
	      "{\"Source\":\"badblocks\",\"Length\":512,\"DeviceOffset\":512}],\"Places\":["
	      "{\"DeviceOffset\":8192,\"Length\":4096,\"Content\":\"file\",\"What\":\"\","
	      "\"FileSystem\":\"259:0\",\"Inode\":12,\"FileOffset\":0,\"Path\":[47,97],"
	      "\"Deleted\":true},"
	      "{\"DeviceOffset\":0,\"Length\":512,\"Content\":\"metadata\",\"What\":\"xattr\","
	      "\"FileSystem\":\"259:0\",\"Inode\":13,\"Path\":[],\"NoPath\":\"stale\"},"
	      "{\"DeviceOffset\":512,\"Length\":512,\"Content\":\"free\",\"What\":\"\"}]}",
	      "Incident 1000000000003: memory of pmem0 has failed\n"
	      "Began        1970-01-01 00:00:00\n"
	      "Outcome      told\n"
	      "Failed       2 ranges, 4608 bytes\n"
	      "\n"
	      "What has failed\n"
	      "     PHYSICAL  BYTES  ON DEVICE  FILE SYSTEM  INODE  IN FILE  SOURCE\n"
	      "  0x100002000   4096       8192  259:0           12        0  memory-failure\n"
	      "  0x100000000    512          -  -                -        -  badblocks\n"
	      "            -    512        512  -                -        -  badblocks\n"
	      "\n"
	      "What it was used for\n"
	      "  ON DEVICE  BYTES  CONTENT   WHAT   IN FILE  FILE\n"
	      "       8192   4096  file      -            0  /a (deleted)\n"
	      "          0    512  metadata  xattr        -  inode 13 on 259:0 (stale)\n"
	      "        512    512  free      -            -  -\n");
}

static void test_story_of_a_limit(void **state)
{
	static const struct table_style style = {.legend = true, .colour = true};

	check(print_story,
	      "{\"Id\":5,\"Kind\":\"memory-failure\",\"Device\":\"pmem0\",\"State\":\"done\","
	      "\"Outcome\":\"told\",\"FailureLimit\":10,\"LimitCount\":3,\"Reactions\":["
	      "{\"Cause\":\"metadata\",\"Action\":\"remove\",\"Rule\":\"a.device\","
	      "\"Outcome\":\"begun\",\"Removal\":9}]}",
	      "Incident 5: memory of pmem0 has failed\n"
	      "Began        1970-01-01 00:00:00\n"
	      "Outcome      told\n"
	      "Failed       0 ranges, 0 bytes\n"
	      "Limit        3 of 10 pages\n"
	      "Reaction     remove for metadata by a.device: begun, incident 9\n");
	check_style(print_story, &style,
		    "{\"Id\":5,\"Kind\":\"memory-failure\",\"Device\":\"pmem0\",\"State\":"
		    "\"done\",\"Outcome\":\"told\",\"FailureLimit\":10,\"LimitCount\":10,"
		    "\"FailureLimitUsec\":300000000,\"LimitReached\":true,\"Reactions\":["
		    "{\"Cause\":\"limit\",\"Action\":\"remove\",\"Rule\":\"a.device\","
		    "\"Outcome\":\"no-driver\"}]}",
		    "Incident 5: memory of pmem0 has failed\n"
		    "Began        1970-01-01 00:00:00\n"
		    "Outcome      \033[32mtold\033[0m\n"
		    "Failed       0 ranges, 0 bytes\n"
		    "Limit        \033[1;31m10 of 10 pages in 5 min 0 s\033[0m\n"
		    "Reaction     \033[1;31mremove for limit by a.device: no-driver\033[0m\n");
}

static void test_signals(void **state)
{
	check(print_signal,
	      "{\"Signal\":\"FailureSeen\",\"TimeUsec\":0,\"Id\":3,\"FailedRanges\":2,"
	      "\"FailedBytes\":8192,\"HolderCount\":5}",
	      "1970-01-01 00:00:00  #3  2 ranges, 8192 bytes, 5 holders\n");
	check(print_signal,
	      "{\"Signal\":\"FailuresRepaired\",\"TimeUsec\":0,\"Id\":0,\"Device\":\"pmem0\","
	      "\"RepairedRanges\":2,\"RepairedBytes\":8192}",
	      "1970-01-01 00:00:00  #0  pmem0: 2 ranges, 8192 bytes are good again\n");
	check(print_signal,
	      "{\"Signal\":\"IncidentEnded\",\"TimeUsec\":0,\"Id\":3,"
	      "\"Kind\":\"memory-failure\",\"Outcome\":\"told\"}",
	      "1970-01-01 00:00:00  #3  told\n");
	check(print_signal,
	      "{\"Signal\":\"HolderActed\",\"TimeUsec\":0,\"Id\":3,\"Pid\":7,\"Comm\":\"redis\","
	      "\"Action\":\"sigbus\",\"Outcome\":\"sent\"}",
	      "1970-01-01 00:00:00  #3  redis (7): sigbus: sent\n");
	check(print_signal,
	      "{\"Signal\":\"IncidentEnded\",\"Id\":3,\"Result\":\"acked\",\"HeldUsec\":2000,"
	      "\"Revoke\":\"clean\"}",
	      "1970-01-01 00:00:00  #3  acked after 2.0 ms, revoke clean\n");
	check(print_signal, "{\"Signal\":\"Newer\",\"Id\":3}", "1970-01-01 00:00:00  #3  Newer\n");
}

#define FAILURES                                                                                   \
	"[{\"Namespace\":\"0b1cf8cc-4a2a-4e3a-9b33-1f5e7a1d0001\",\"Device\":\"pmem0\","           \
	"\"Offset\":1048576,\"Length\":4096,\"Sources\":[\"memory-failure\",\"badblocks\"],"       \
	"\"Type\":\"dax page\",\"Result\":\"Recovered\",\"Content\":\"file\","                     \
	"\"FirstSeenUsec\":1000000,\"LastSeenUsec\":61000000,\"Times\":3,\"Told\":2,"              \
	"\"State\":\"active\",\"Coarse\":false,\"Written\":true,\"Path\":\"/mnt/a\\u001b[2J\","    \
	"\"FileDevNum\":\"259:0\",\"Inode\":12,\"FileOffset\":8192},"                              \
	"{\"Namespace\":\"pmem1\",\"Device\":\"\",\"Offset\":0,\"Length\":1073741824,"             \
	"\"Sources\":[\"badblocks\"],\"Content\":\"metadata\",\"Told\":0,\"Times\":1,"             \
	"\"State\":\"active\",\"Coarse\":true,\"Written\":false},"                                 \
	"{\"Namespace\":\"pmem1\",\"Device\":\"\",\"Offset\":4096,\"Length\":512,"                 \
	"\"Sources\":[\"badblocks\"],\"Content\":\"file\",\"Inode\":7,\"FileDevNum\":\"259:1\","   \
	"\"FileOffset\":0,\"Told\":1,\"Times\":1,\"State\":\"repaired\","                          \
	"\"RepairedUsec\":120000000,\"Written\":true}]"

static void test_failures(void **state)
{
	check(print_failures, "[]", "0 bad ranges.\n");
	check(print_failures, FAILURES,
	      "DEVICE    OFFSET      SIZE  LAST SEEN         TOLD  WHERE\n"
	      "pmem0   0x100000   4.0 KiB  1970-01-01 00:01     2  /mnt/a\\x1b[2J+0x2000\n"
	      "pmem1        0x0  ~1.0 GiB  1970-01-01 00:00     0  metadata\n"
	      "\n"
	      "DEVICE  OFFSET   SIZE  REPAIRED          TOLD  WHERE IT WAS\n"
	      "pmem1   0x1000  512 B  1970-01-01 00:02     1  inode 7 on 259:1+0x0\n"
	      "\n"
	      "2 bad ranges, 1 repaired, 1 not on the disk as yet.\n");
	check(print_failures_each, FAILURES,
	      "Range        0x100000 to 0x100fff, 4.0 KiB\n"
	      "Namespace    0b1cf8cc-4a2a-4e3a-9b33-1f5e7a1d0001 (pmem0)\n"
	      "Where        /mnt/a\\x1b[2J+0x2000\n"
	      "Kernel       dax page, Recovered\n"
	      "Found by     memory-failure badblocks\n"
	      "First seen   1970-01-01 00:00:01\n"
	      "Last seen    1970-01-01 00:01:01, 3 times in all\n"
	      "Told         2 processes\n"
	      "\n"
	      "Range        0x0 to 0x3fffffff, 1.0 GiB\n"
	      "Namespace    pmem1\n"
	      "Where        metadata\n"
	      "Found by     badblocks\n"
	      "First seen   1970-01-01 00:00:00\n"
	      "Told         0 processes\n"
	      "Coarse       bad somewhere in there; there were too many ranges\n"
	      "Ledger       not on the disk as yet, see daxguardctl status\n"
	      "\n"
	      "Range        0x1000 to 0x11ff, 512 B\n"
	      "Namespace    pmem1\n"
	      "Where        inode 7 on 259:1+0x0\n"
	      "Found by     badblocks\n"
	      "First seen   1970-01-01 00:00:00\n"
	      "Told         1 process\n"
	      "Repaired     1970-01-01 00:02:00\n"
	      "\n"
	      "2 bad ranges, 1 repaired, 1 not on the disk as yet.\n");
}

/* As wide as a terminal, however long its names are. */
static void test_failures_fit(void **state)
{
	json_object *failures = json_tokener_parse(FAILURES), *first = json_at(failures, 0);
	char path[300], *text = NULL;
	size_t n = 0;
	FILE *f;

	memset(path, 'x', sizeof(path) - 1);
	path[sizeof(path) - 1] = '\0';
	json_object_object_add(first, "Path", json_object_new_string(path));
	json_object_object_add(first, "Device", json_object_new_string(""));
	json_object_object_add(first, "Offset", json_object_new_int64(INT64_C(0x7fffffff000)));
	f = open_memstream(&text, &n);
	assert_int_equal(
		print_failures(f, &(struct table_style){.legend = true, .width = 80}, failures), 0);
	fclose(f);
	for (char *line = strtok(text, "\n"); line && strncmp(line, "2 bad", 5) != 0;
	     line = strtok(NULL, "\n"))
		assert_in_range(text_width(line), 1, 80);
	free(text);
	json_object_put(failures);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_incidents),      cmocka_unit_test(test_story),
		cmocka_unit_test(test_story_open),     cmocka_unit_test(test_story_of_failure),
		cmocka_unit_test(test_story_of_units), cmocka_unit_test(test_story_of_a_limit),
		cmocka_unit_test(test_signals),        cmocka_unit_test(test_failures),
		cmocka_unit_test(test_failures_fit),
	};

	return cmocka_run_group_tests(tests, set_zone, NULL);
}
