/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "test.h"

#include "core/story.h"

static const char record[] =
	"1000000 5000000 begin id=7 boot_id=b device=pfn0.0 bus=nd driver=nd_pmem surprise=0 "
	"taken_over=0 unbinder=99 unbinder_start_ns=5 elapsed_ms=1000 deadline_us=24000000 "
	"cap_ms=60000 reserve_us=6000000\n"
	"1000000 5000000 target name=pmem0 ns_device=pfn0.0 mode=fsdax dev=259:0 uuid= in_use=1\n"
	"1000000 5000000 state name=announced\n"
	"1000000 5000010 state name=syncing\n"
	"1000000 5000010 job name=mounts timeout_us=2000000\n"
	"1000000 5000010 job name=sync timeout_us=2000000\n"
	"1000000 5000020 mount path=/mnt/a\\x20b type=ext4 ns=4026531840 host=1 locked=0 result=\n"
	"1000000 5000020 job-end name=mounts end=ok status=0 took_us=10 error=\n"
	"1000000 5000030 job-end name=sync end=failed status=1 took_us=20 error=EIO\n"
	"this is no line\n"
	"1000000 5000035 nonsense a=b\n"
	"1000000 5000040 state name=acting\n"
	"1000000 5000040 holder pid=10 start_ns=50000000 comm=app uid=1000 rule=built-in:mapped "
	"exempt=none mapped=2 open=1 cwd=0 root=0 exe=0 bytes=8192 addr=7f0000 fs_dev=259:0 "
	"permille=500\n"
	"1000000 5000040 act pid=10 start_ns=50000000 action=sigbus grace_ms=1000 rung=0\n"
	"1000000 5000041 acted pid=10 start_ns=50000000 action=sigbus outcome=sent\n"
	"1000000 5000050 act pid=10 start_ns=50000000 action=term grace_ms=1500 rung=1\n"
	"1000000 5000060 mark name=detached-pinned\n"
	"1000000 5000060 note text=two\\x20words\n"
	"1000000 5000065 cooperate pid=10 start_ns=50000000 outcome=told\n"
	"1000000 5000070 freed pid=10 start_ns=50000000 how=exited\n"
	"1000000 5000075 mount path=/mnt/a\\x20b type=ext4 ns=4026531840 host=1 locked=0 "
	"result=ok\n";
static const char end[] =
	"1000000 5000080 done result=acked revoke=clean inodes=3 entries=4 vmas=0 pinned=0 "
	"shutdowns=0 held_us=80 revoke_us=9\n"
	"1000000 5000090 end state=done outcome=detached-pinned\n";

static const char failure[] =
	"1000000 5000000 begin id=1000000000003 kind=memory-failure boot_id=b device=pmem0\n"
	"1000000 5000000 target name=pmem0 ns_device=pfn0.0 mode=fsdax dev=259:0 uuid=\n"
	"1000000 5000000 failure serial=3 source=memory-failure flags=32 type=dax\\x20page "
	"result=Recovered start=100002000 len=4096 count=1 disk_offset=8192 fs_dev=259:0 ino=12 "
	"generation=0 file_offset=8192\n"
	"1000000 5000000 failure serial=4 source=badblocks flags=1 type= result= start=100008000 "
	"len=512 count=1\n"
	"1000000 5000010 state name=scanning\n"
	"1000000 5000020 holder pid=10 start_ns=50000000 comm=app uid=1000 "
	"rule=built-in:memory-failure exempt=none mapped=1 bytes=4096 addr=7f2000 fs_dev=259:0\n"
	"1000000 5000020 tell pid=10 start_ns=50000000 action=sigbus addr=7f2000 start=100002000 "
	"len=4096 map=7f2000:1000\n"
	"1000000 5000021 missed pid=10 start_ns=50000000 addr=7f2000 outcome=EBUSY start=100002000 "
	"len=4096 map=7f2000:1000\n"
	"1000000 5000040 tell pid=10 start_ns=50000000 action=sigbus addr=7f2000 start=100002000 "
	"len=4096 map=7f2000:1000 map=7e2000:1000\n"
	"1000000 5000041 told pid=10 start_ns=50000000 addr=7f2000 outcome=sent\n"
	"1000000 5000050 tell pid=11 start_ns=50000000 action=sigbus addr=7d2000 start=100002000 "
	"len=4096 map=7d2000:1000\n"
	"1000000 5000051 missed pid=11 start_ns=50000000 addr=7d2000 outcome=EBUSY start=100002000 "
	"len=4096 map=7d2000:1000\n"
	"1000000 5000055 file fs_dev=259:0 ino=12 no_path=not-found\n"
	"1000000 5000055 file fs_dev=259:0 ino=12 path=/mnt/a\\x20b deleted=1\n"
	"1000000 5000055 place offset=8192 len=4096 kind=file fs_dev=259:0 ino=12 "
	"file_offset=8192\n"
	"1000000 5000055 place offset=0 len=4096 kind=metadata what=xattr fs_dev=259:0 ino=12\n"
	"1000000 5000056 place offset=4096 len=12288 kind=file fs_dev=259:0 ino=12 "
	"file_offset=4096\n"
	"1000000 5000056 place offset=16384 len=4096 kind=file fs_dev=259:0 ino=12 "
	"file_offset=0\n"
	"1000000 5000056 place offset=18446744073709547520 len=8192 kind=free\n"
	"1000000 5000060 end state=done outcome=untold\n";

static const char reactions[] =
	"1000000 5000000 begin id=1000000000003 kind=memory-failure boot_id=b device=pmem0\n"
	"1000000 5000000 limit bad=1 new=0 count=1 pages=2 within_us=60000000 reached=0\n"
	"1000000 5000000 reaction cause=metadata action=sync rule=1.device outcome=waiting "
	"output=\n"
	"1000000 5000010 reaction cause=metadata action=sync rule=1.device outcome=failed status=3 "
	"took_us=20 output=no\\x20way\n"
	"1000000 5000020 limit bad=3 new=2 count=2 pages=2 within_us=60000000 reached=1\n"
	"1000000 5000020 reaction cause=limit action=remove rule=1.device outcome=asked "
	"removal=1000000123\n"
	"1000000 5000030 reaction cause=other action=remove outcome=begun output=x\n"
	"1000000 5000030 reaction cause=limit action=other outcome=begun output=x\n";

static void tells_of_reactions(void **state)
{
	const struct dg_story_reaction *reaction;
	struct dg_story story;

	assert_int_equal(dg_story_read(reactions, strlen(reactions), &story), 0);
	assert_true(story.limit.known && story.limit.reached);
	assert_int_equal(story.limit.bad, 3);
	assert_int_equal(story.limit.new, 2);
	assert_int_equal(story.limit.count, 2);
	assert_int_equal(story.limit.limit.pages, 2);
	assert_int_equal(story.limit.limit.within_us, 60000000);
	assert_int_equal(story.limit.at_us, 5000020);
	reaction = &story.reactions[DG_CAUSE_METADATA];
	assert_int_equal(reaction->action, DG_REACTION_SYNC);
	assert_string_equal(reaction->outcome, "failed");
	assert_string_equal(reaction->output, "no way");
	assert_int_equal(reaction->status, 3);
	reaction = &story.reactions[DG_CAUSE_LIMIT];
	assert_int_equal(reaction->action, DG_REACTION_REMOVE);
	assert_string_equal(reaction->outcome, "asked");
	assert_int_equal(reaction->removal, 1000000123);
	assert_null(reaction->output);
	dg_story_done(&story);
}

static void tells_of_failures(void **state)
{
	struct dg_story story;

	assert_int_equal(dg_story_read(failure, strlen(failure), &story), 0);
	assert_int_equal(story.kind, DG_STORY_FAILURE);
	assert_int_equal(story.id, 1000000000003);
	assert_int_equal(story.n_failed, 2);
	assert_int_equal(story.failed_bytes, 4608);
	assert_int_equal(story.n_failures, 2);
	assert_string_equal(story.failures[0].type, "dax page");
	assert_int_equal(story.failures[0].source, DG_FAILURE_HANDLED);
	assert_true(story.failures[0].range.start == 0x100002000);
	assert_int_equal(story.failures[0].ino, 12);
	assert_true(story.failures[0].has_disk_offset);
	assert_int_equal(story.failures[1].source, DG_FAILURE_BADBLOCKS);
	assert_false(story.failures[1].has_disk_offset);
	assert_int_equal(story.n_holders, 1);
	assert_int_equal(story.holders[0].n_told, 1);
	assert_int_equal(story.holders[0].n_actions, 2);
	assert_string_equal(story.holders[0].actions[1].outcome, "sent");
	assert_string_equal(story.holders[0].actions[0].outcome, "EBUSY");
	assert_string_equal(story.outcome, "untold");
	dg_story_done(&story);
}

/* What is said twice, and neighbours, are one; a path that is known later is known. */
static void tells_what_it_was_used_for(void **state)
{
	struct dg_story story;
	const struct dg_story_file *file;

	assert_int_equal(dg_story_read(failure, strlen(failure), &story), 0);
	assert_int_equal(story.n_places, 3);
	assert_int_equal(story.places[0].kind, DG_PLACE_FILE);
	assert_int_equal(story.places[0].offset, 4096);
	assert_int_equal(story.places[0].len, 12288);
	assert_int_equal(story.places[0].file_offset, 4096);
	assert_int_equal(story.places[1].kind, DG_PLACE_METADATA);
	assert_string_equal(story.places[1].what, "xattr");
	assert_int_equal(story.places[2].offset, 16384);
	assert_int_equal(story.n_files, 1);
	file = dg_story_find_file(&story, DG_DEV(259, 0), 12);
	assert_string_equal(file->path, "/mnt/a b");
	assert_true(file->deleted);
	assert_false(file->elsewhere);
	assert_null(dg_story_find_file(&story, DG_DEV(259, 0), 13));
	dg_story_done(&story);
}

static void places_are_bounded(void **state)
{
	struct dg_story story = {};
	char offset[24];
	struct dg_history_event event = {.kind = "place", .n_pairs = 2};

	event.pairs[0] = (struct dg_pair){"len", "1"};
	event.pairs[1] = (struct dg_pair){"offset", offset};
	for (unsigned i = 0; i < DG_STORY_PLACES_MAX + 2; i++) {
		snprintf(offset, sizeof(offset), "%u", i * 2);
		assert_int_equal(dg_story_add(&story, &event),
				 i < DG_STORY_PLACES_MAX ? 0 : DG_STORY_LEFT_OUT);
	}
	assert_int_equal(story.n_places, DG_STORY_PLACES_MAX);
	assert_int_equal(story.n_left_out, 2);
	dg_story_done(&story);
}

/* Whom the record names is not told again; who was missed is. */
static void remembers_who_was_told(void **state)
{
	struct dg_told told = {{10, 50000000}, 0x7f2000, 4096, {0x100002000, 4096}};
	struct dg_told_list list;
	uint64_t addr;

	dg_told_init(&list, 0);
	assert_int_equal(dg_told_read(&list, failure, strlen(failure)), 0);
	assert_false(dg_told_misses(&list, &told, &addr));
	told.addr = 0x7e2000;
	assert_false(dg_told_misses(&list, &told, &addr));
	told.pages.start = 0x100008000;
	assert_true(dg_told_misses(&list, &told, &addr));
	told = (struct dg_told){{11, 50000000}, 0x7d2000, 4096, {0x100002000, 4096}};
	assert_true(dg_told_misses(&list, &told, &addr));
	dg_told_done(&list);
}

static void tells_all(void **state)
{
	char text[sizeof(record) + sizeof(end)];
	struct dg_story story;

	strcpy(text, record);
	strcat(text, end);
	assert_int_equal(dg_story_read(text, strlen(text), &story), 0);
	assert_int_equal(story.id, 7);
	assert_string_equal(story.device, "pfn0.0");
	assert_int_equal(story.began_us, 4000000);
	assert_int_equal(story.unbinder_pid, 99);
	assert_int_equal(story.n_targets, 1);
	assert_int_equal(story.targets[0].dev, DG_DEV(259, 0));
	assert_int_equal(story.targets[0].mode, DG_MODE_FSDAX);
	assert_int_equal(story.n_states, 3);
	assert_int_equal(story.states[0].took_us, 10);
	assert_int_equal(story.states[1].took_us, 30);
	assert_int_equal(story.states[2].took_us, 50);
	assert_int_equal(story.n_jobs, 2);
	assert_true(story.jobs[0].over);
	assert_string_equal(story.jobs[1].end, "failed");
	assert_string_equal(story.jobs[1].error, "EIO");
	assert_int_equal(story.n_mounts, 1);
	assert_string_equal(story.mounts[0].path, "/mnt/a b");
	assert_string_equal(story.mounts[0].result, "ok");
	assert_true(story.knows_mounts);
	assert_string_equal(story.notes[0], "two words");
	assert_int_equal(story.marks, 1U << DG_MARK_DETACHED);
	assert_int_equal(story.state, DG_STATE_DONE);
	assert_string_equal(story.outcome, "detached-pinned");
	assert_true(story.has_done);
	assert_int_equal(story.done.result, DG_RESULT_ACKED);
	assert_int_equal(story.done.revoke, DG_REVOKE_CLEAN);
	assert_int_equal(story.done.entries, 4);
	assert_int_equal(story.ended_us, 5000090);
	dg_story_done(&story);
}

static void tells_of_holders(void **state)
{
	const struct dg_story_holder *holder;
	struct dg_story story;

	assert_int_equal(dg_story_read(record, strlen(record), &story), 0);
	holder = dg_story_find_holder(&story, (struct dg_process){10, 50000003});
	assert_non_null(holder);
	assert_string_equal(holder->comm, "app");
	assert_int_equal(holder->counts[DG_USE_MAPPED], 2);
	assert_int_equal(holder->addr, 0x7f0000);
	assert_int_equal(holder->permille, 500);
	assert_int_equal(holder->n_actions, 2);
	assert_string_equal(holder->actions[0].outcome, "sent");
	assert_int_equal(holder->actions[1].action, DG_ACTION_TERM);
	assert_int_equal(holder->actions[1].rung, 1);
	assert_string_equal(holder->actions[1].outcome, "");
	assert_string_equal(holder->how, "exited");
	assert_string_equal(holder->cooperation, "told");
	assert_null(dg_story_find_holder(&story, (struct dg_process){10, 1}));
	dg_story_done(&story);
}

static const char of_rules[] =
	"1 5000000 rule name=1.policy path=/etc/a\\x20b/1.policy line=5 text=[Match]\\x0a\n"
	"1 5000000 rule name=1.policy path=/other line=6 text=other\n"
	"1 5000001 rule name=2.policy text=a\n"
	"1 5000001 rule name=3.policy path=/etc/3.policy line=5\n"
	"1 5000002 rule path=/etc/4.policy line=5 text=a\n";

/* The first of a name is the one; without what it says it is none. */
static void tells_of_rules(void **state)
{
	const struct dg_story_rule *rule;
	struct dg_story story;

	assert_int_equal(dg_story_read(of_rules, strlen(of_rules), &story), 0);
	assert_int_equal(story.n_rules, 2);
	rule = dg_story_find_rule(&story, "1.policy");
	assert_string_equal(rule->path, "/etc/a b/1.policy");
	assert_int_equal(rule->line, 5);
	assert_string_equal(rule->text, "[Match]\n");
	rule = dg_story_find_rule(&story, "2.policy");
	assert_string_equal(rule->path, "");
	assert_int_equal(rule->line, 0);
	assert_null(dg_story_find_rule(&story, "3.policy"));
	dg_story_done(&story);
}

static const char of_units[] =
	"1 5000000 holder pid=10 start_ns=50000000 comm=app uid=0 rule=a.policy\n"
	"1 5000001 act pid=10 start_ns=50000000 action=exec grace_ms=5000 rung=0\n"
	"1 5000002 acted pid=10 start_ns=50000000 action=exec outcome=waiting rung=0 "
	"unit=a.service\n"
	"1 5000003 act pid=10 start_ns=50000000 action=freeze grace_ms=1000 rung=1\n"
	"1 5000003 unit action=freeze cgroup=/a\\x20b.service boot_ns=60000000\n"
	"1 5000004 acted pid=10 start_ns=50000000 action=freeze outcome=frozen rung=1\n"
	"1 5000005 acted pid=10 start_ns=50000000 action=exec outcome=hook-failed rung=0 status=3 "
	"took_us=7 output=no\\x0away\n"
	"1 5000006 unit action=term cgroup=/c.service boot_ns=70000000\n"
	"1 5000007 unit action=freeze cgroup=/d.service boot_ns=70000000\n"
	"1 5000008 unit action=thaw cgroup=/d.service boot_ns=80000000\n"
	"1 5000009 unit action=dance cgroup=/e.service boot_ns=80000000\n"
	"1 5000009 unit action=kill\n";

static const char of_checkpoints[] =
	"1 5000000 holder pid=10 start_ns=50000000 comm=app uid=0 rule=a.policy\n"
	"1 5000001 act pid=10 start_ns=50000000 action=checkpoint grace_ms=9000 rung=0\n"
	"1 5000002 acted pid=10 start_ns=50000000 action=checkpoint outcome=waiting rung=0 "
	"unit=a.service checkpoint=0b1cf8cc-17-9 root_ns=40000000\n"
	"1 5000003 acted pid=10 start_ns=50000000 action=checkpoint outcome=checkpointed-with "
	"rung=0 took_us=7\n"
	"1 5000004 mount path=/mnt type=ext4 dev=259:1 ns=4\n"
	"1 5000005 mount path=/mnt ns=4 result=ok\n"
	"1 5000006 device-rule name=1.device on_busy=keep restore=1\n";

static void tells_of_checkpoints(void **state)
{
	const struct dg_story_action *action;
	struct dg_story story;

	assert_int_equal(dg_story_read(of_checkpoints, strlen(of_checkpoints), &story), 0);
	action = &story.holders[0].actions[0];
	assert_int_equal(action->action, DG_ACTION_CHECKPOINT);
	assert_string_equal(action->outcome, "checkpointed-with");
	assert_string_equal(action->checkpoint, "0b1cf8cc-17-9");
	assert_int_equal(action->root_ns, 40000000);
	assert_true(story.mounts[0].dev == DG_DEV(259, 1));
	assert_true(story.restore);
	dg_story_done(&story);
}

static void tells_of_units(void **state)
{
	const struct dg_story_action *actions;
	struct dg_story story;

	assert_int_equal(dg_story_read(of_units, strlen(of_units), &story), 0);
	assert_int_equal(story.n_holders, 1);
	actions = story.holders[0].actions;
	assert_int_equal(story.holders[0].n_actions, 2);
	/* What came of the first was known after the second had begun. */
	assert_string_equal(actions[0].outcome, "hook-failed");
	assert_string_equal(actions[0].unit, "a.service");
	assert_string_equal(actions[0].output, "no\nway");
	assert_int_equal(actions[0].status, 3);
	assert_int_equal(actions[0].took_us, 7);
	assert_string_equal(actions[1].outcome, "frozen");
	assert_null(actions[1].unit);
	assert_int_equal(story.n_units, 3);
	assert_string_equal(story.units[0].cgroup, "/a b.service");
	assert_int_equal(story.units[0].boot_ns, 60000000);
	assert_true(story.units[0].frozen);
	assert_false(story.units[1].frozen);
	assert_false(story.units[2].frozen);
	assert_ptr_equal(dg_story_find_unit(&story, "/c.service", DG_ACTION_TERM), &story.units[1]);
	assert_null(dg_story_find_unit(&story, "/c.service", DG_ACTION_KILL));
	assert_null(dg_story_find_unit(&story, "/c", DG_ACTION_TERM));
	dg_story_done(&story);
}

/* The daemon died in the middle of a line: the rest of the record counts. */
static void cut_anywhere(void **state)
{
	for (size_t n = 0; n <= strlen(record); n++) {
		struct dg_story story;

		assert_int_equal(dg_story_read(record, n, &story), 0);
		assert_true(story.n_holders <= 1);
		dg_story_done(&story);
	}
}

static void parts_are_bounded(void **state)
{
	struct dg_history_event event = {.kind = "note", .pairs = {{"text", "x"}}, .n_pairs = 1};
	struct dg_story story = {};

	for (unsigned i = 0; i < DG_STORY_PARTS_MAX + 5; i++)
		assert_int_equal(dg_story_add(&story, &event),
				 i < DG_STORY_PARTS_MAX ? 0 : DG_STORY_LEFT_OUT);
	assert_int_equal(story.n_notes, DG_STORY_PARTS_MAX);
	assert_int_equal(story.n_left_out, 5);
	dg_story_done(&story);
}

static int tell_of(struct dg_story *story, const char *kind, unsigned pid)
{
	struct dg_history_event event = {.kind = kind, .n_pairs = 3};
	char text[16];

	snprintf(text, sizeof(text), "%u", pid);
	event.pairs[0] = (struct dg_pair){"pid", text};
	event.pairs[1] = (struct dg_pair){"start_ns", "1"};
	event.pairs[2] = (struct dg_pair){"action", "term"};
	return dg_story_add(story, &event);
}

/* Who is left out is counted once, and what happens to him is left out, too. */
static void holders_are_bounded(void **state)
{
	static const char *const kinds[] = {"act", "acted", "cooperate", "freed"};
	struct dg_story story = {};

	for (unsigned pid = 1; pid <= DG_STORY_HOLDERS_MAX; pid++)
		assert_int_equal(tell_of(&story, "holder", pid), 0);
	assert_int_equal(tell_of(&story, "holder", 5000), DG_STORY_LEFT_OUT);
	for (unsigned i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		assert_int_equal(tell_of(&story, kinds[i], 5000), DG_STORY_LEFT_OUT);
		assert_int_equal(tell_of(&story, kinds[i], 1), 0);
	}
	assert_int_equal(story.n_holders, DG_STORY_HOLDERS_MAX);
	assert_int_equal(story.n_left_out, 1);
	dg_story_done(&story);
}

static void names(void **state)
{
	enum dg_state s;
	enum dg_mark mark;

	for (unsigned i = 0; i < _DG_STATE_MAX; i++) {
		assert_int_equal(dg_state_from_name(dg_state_name(i), &s), 0);
		assert_int_equal(s, i);
	}
	for (unsigned i = 0; i < _DG_MARK_MAX; i++) {
		assert_int_equal(dg_mark_from_name(dg_mark_name(i), &mark), 0);
		assert_int_equal(mark, i);
	}
	assert_int_equal(dg_state_from_name("unknown", &s), -EINVAL);
	assert_int_equal(dg_mark_from_name("", &mark), -EINVAL);
	assert_string_equal(dg_state_name(99), "unknown");
	assert_true(dg_state_is_final(DG_STATE_EXPIRED));
	assert_false(dg_state_is_final(DG_STATE_ACKED));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tells_all),
		cmocka_unit_test(tells_of_failures),
		cmocka_unit_test(tells_what_it_was_used_for),
		cmocka_unit_test(places_are_bounded),
		cmocka_unit_test(tells_of_reactions),
		cmocka_unit_test(remembers_who_was_told),
		cmocka_unit_test(tells_of_holders),
		cmocka_unit_test(tells_of_rules),
		cmocka_unit_test(tells_of_units),
		cmocka_unit_test(tells_of_checkpoints),
		cmocka_unit_test(cut_anywhere),
		cmocka_unit_test(parts_are_bounded),
		cmocka_unit_test(holders_are_bounded),
		cmocka_unit_test(names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
