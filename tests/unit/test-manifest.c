/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/crc32c.h"
#include "core/manifest.h"
#include "test.h"

static struct dg_manifest_process processes[] = {
	{4711, 1, 123000000, "count er", false},
	{4712, 4711, 124000000, "child=\n", true},
};
static struct dg_manifest_mount mounts[] = {
	{"/mnt/a b", "ext4", "pmem0", "0b1cf8cc-4a2a-4e3a-9b33-1f5e7a1d0001", DG_DEV(259, 0)},
	{"/mnt/c", "xfs", "dm-1", "", DG_DEV(253, 1)},
};
static struct dg_manifest_file files[] = {
	{"/mnt/a b/data\xff", UINT64_MAX, 65536, 1700000000123456789, DG_DEV(259, 0), true},
	{"/mnt/c/log", 12, 0, 0, DG_DEV(253, 1), false},
};
static const struct dg_manifest manifest = {
	.id = "0123abcd-17-4711",
	.boot_id = "0123abcd-89ab-cdef-0123-456789abcdef",
	.comm = "count er",
	.unit = "counter.service",
	.cgroup = "/system.slice/counter.service",
	.rule = "/etc/daxguard/policy.d/50-a.policy:3",
	.criu = "4.1.1",
	.incident = 17,
	.time_us = 1700000000000000,
	.start_ns = 123000000,
	.bytes = 126976,
	.dump_us = 240000,
	.pid = 4711,
	.uid = 1000,
	.scope = DG_SCOPE_UNIT,
	.restore = true,
	.shell_job = true,
	.journal = 123456789,
	.processes = processes,
	.n_processes = 2,
	.mounts = mounts,
	.n_mounts = 2,
	.files = files,
	.n_files = 2,
};

static void an_id_and_back(void **state)
{
	char text[DG_CHECKPOINT_ID_MAX];
	struct dg_checkpoint_id id;

	assert_int_equal(dg_checkpoint_id_parse("0123abcd-18446744073709551615-2147483647", &id),
			 0);
	assert_string_equal(id.boot, "0123abcd");
	assert_true(id.incident == UINT64_MAX && id.pid == INT32_MAX);
	dg_checkpoint_id_format(&id, text);
	assert_string_equal(text, "0123abcd-18446744073709551615-2147483647");
}

/* It becomes a path, and the name of a unit. */
static void what_is_no_id(void **state)
{
	static const char *const wrong[] = {
		"",
		"0123abcd",
		"0123abcd-1",
		"0123abcd-1-",
		"0123abcd-1-2-",
		"0123abcd-1-2 ",
		"0123abcd-01-2",
		"0123abcd-1-02",
		"0123abcd-0-2",
		"0123abcd-1-0",
		"0123abcd--1-2",
		"0123abcd-1-+2",
		"0123ABCD-1-2",
		"0123abc-1-2",
		"0123abcd1-1-2",
		"../3abcd-1-2",
		"0123abcd-../-2",
		"0123abcd-18446744073709551616-2",
		"0123abcd-1-2147483648",
	};
	struct dg_checkpoint_id id = {.pid = 9};

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		assert_int_equal(dg_checkpoint_id_parse(wrong[i], &id), -EINVAL);
	assert_int_equal(id.pid, 9);
}

static void assert_same(const struct dg_manifest *a, const struct dg_manifest *b)
{
	assert_string_equal(a->id, b->id);
	assert_string_equal(a->boot_id, b->boot_id);
	assert_string_equal(a->comm, b->comm);
	assert_string_equal(a->cgroup, b->cgroup);
	assert_string_equal(a->rule, b->rule);
	assert_string_equal(a->criu, b->criu);
	assert_true(a->incident == b->incident && a->time_us == b->time_us);
	assert_true(a->start_ns == b->start_ns && a->bytes == b->bytes);
	assert_true(a->dump_us == b->dump_us && a->pid == b->pid && a->uid == b->uid);
	assert_true(a->scope == b->scope && a->restore == b->restore);
	assert_int_equal(a->shell_job, b->shell_job);
	assert_int_equal(a->journal, b->journal);
}

static void there_and_back(void **state)
{
	struct dg_record_writer writer = DG_RECORD_WRITER_INIT;
	struct dg_manifest back;

	assert_int_equal(dg_manifest_write(&manifest, &writer), 0);
	assert_int_equal(dg_manifest_read(writer.data, writer.n, &back), 0);
	dg_record_writer_done(&writer);
	assert_same(&back, &manifest);
	assert_string_equal(back.unit, "counter.service");
	assert_int_equal(back.n_processes, 2);
	assert_string_equal(back.processes[1].comm, "child=\n");
	assert_true(back.processes[1].ppid == 4711 && back.processes[1].stopped);
	assert_false(back.processes[0].stopped);
	assert_true(back.processes[1].start_ns == 124000000);
	assert_int_equal(back.n_mounts, 2);
	assert_string_equal(back.mounts[0].path, "/mnt/a b");
	assert_string_equal(back.mounts[0].device, "pmem0");
	assert_string_equal(back.mounts[0].ns_uuid, "0b1cf8cc-4a2a-4e3a-9b33-1f5e7a1d0001");
	assert_string_equal(back.mounts[1].type, "xfs");
	assert_true(back.mounts[1].fs_dev == DG_DEV(253, 1));
	assert_int_equal(back.n_files, 2);
	assert_string_equal(back.files[0].path, "/mnt/a b/data\xff");
	assert_true(back.files[0].ino == UINT64_MAX && back.files[0].size == 65536);
	assert_true(back.files[0].mtime_ns == 1700000000123456789);
	assert_true(back.files[0].fs_dev == DG_DEV(259, 0));
	assert_true(back.files[0].sync && !back.files[1].sync);
	dg_manifest_done(&back);
	assert_null(back.text);
}

static void of_no_unit(void **state)
{
	struct dg_record_writer writer = DG_RECORD_WRITER_INIT;
	struct dg_manifest alone = manifest, back;

	alone.unit = NULL;
	alone.scope = DG_SCOPE_PROCESS;
	alone.restore = alone.shell_job = false;
	alone.n_mounts = alone.n_files = 0;
	assert_int_equal(dg_manifest_write(&alone, &writer), 0);
	assert_int_equal(dg_manifest_read(writer.data, writer.n, &back), 0);
	assert_same(&back, &alone);
	assert_null(back.unit);
	dg_manifest_done(&back);
	dg_record_writer_done(&writer);
}

/* Half a manifest is none, and each byte of it matters. */
static void a_manifest_that_was_changed(void **state)
{
	struct dg_record_writer writer = DG_RECORD_WRITER_INIT;
	struct dg_manifest back;
	char *copy;

	assert_int_equal(dg_manifest_write(&manifest, &writer), 0);
	for (size_t cut = 0; cut < writer.n; cut++) {
		/* Of exactly that size, so that a read too far is seen. */
		copy = malloc(cut + !cut);
		memcpy(copy, writer.data, cut);
		assert_int_equal(dg_manifest_read(copy, cut, &back), -EBADMSG);
		free(copy);
	}
	copy = malloc(writer.n + 1);
	for (size_t i = 0; i < writer.n; i++)
		for (int bit = 0; bit < 8; bit++) {
			memcpy(copy, writer.data, writer.n);
			copy[i] = (char)(copy[i] ^ 1 << bit);
			assert_int_equal(dg_manifest_read(copy, writer.n, &back), -EBADMSG);
		}
	memcpy(copy, writer.data, writer.n);
	copy[writer.n] = 'x';
	assert_int_equal(dg_manifest_read(copy, writer.n + 1, &back), -EBADMSG);
	free(copy);
	dg_record_writer_done(&writer);
}

/* Of a manifest that is sealed: what is wrong was written so. '|' stands for NUL. */
static int read_sealed(const char *records, struct dg_manifest *ret)
{
	size_t n = strlen(records);
	char text[2048], sum[32];
	int len;

	assert_true(n < sizeof(text) - sizeof(sum));
	for (size_t i = 0; i <= n; i++)
		text[i] = (char)(records[i] == '|' ? 0 : records[i]);
	len = snprintf(sum, sizeof(sum), "CRC=%08x", dg_crc32c(text, n));
	memcpy(text + n, "END=ok", 7);
	memcpy(text + n + 7, sum, (size_t)len + 1);
	text[n + 7 + (size_t)len + 1] = 0;
	return dg_manifest_read(text, n + 7 + (size_t)len + 2, ret);
}

#define HEAD                                                                                       \
	"ID=0123abcd-17-4711|INCIDENT=17|BOOT_ID=0123abcd-89ab|TIME_USEC=1|PID=4711|START_NS=5|"   \
	"COMM=a|UID=0|CGROUP=/|SCOPE=process|RULE=r|BYTES=1|DUMP_USEC=2|CRIU=4|"
#define PROCESS "|PROCESS=4711|PPID=1|START_NS=5|COMM=a||"

static void versions(void **state)
{
	struct dg_manifest back;

	assert_int_equal(read_sealed("VERSION=1|" HEAD PROCESS, &back), 0);
	dg_manifest_done(&back);
	assert_int_equal(read_sealed("VERSION=2|WHATEVER=1||", &back), -EPROTONOSUPPORT);
	assert_int_equal(read_sealed(HEAD PROCESS, &back), -EBADMSG);
	assert_int_equal(read_sealed("", &back), -EBADMSG);
}

static void what_is_not_known_is_passed_over(void **state)
{
	struct dg_manifest back;

	assert_int_equal(
		read_sealed("COLOUR=red|VERSION=1|" HEAD PROCESS "SOCKET=1|KIND=a||", &back), 0);
	assert_int_equal(back.n_processes, 1);
	dg_manifest_done(&back);
}

/* Of a version that did not look whether a file was mapped with MAP_SYNC. */
static void without_sync(void **state)
{
	struct dg_manifest back;

	assert_int_equal(read_sealed("VERSION=1|" HEAD PROCESS
				     "FILE=/a|INO=1|SIZE=1|MTIME_NS=1|FS_DEV=1:2||",
				     &back),
			 0);
	assert_int_equal(back.n_files, 1);
	assert_false(back.files[0].sync);
	dg_manifest_done(&back);
}

static void what_is_missing(void **state)
{
	static const char *const wrong[] = {
		"VERSION=1|" HEAD "|",                                        /* no process */
		"VERSION=1|" HEAD "|PROCESS=4712|PPID=1|START_NS=5|COMM=a||", /* not the root */
		"VERSION=1|" HEAD "|PROCESS=4711|PPID=1|COMM=a||",            /* since when */
		"VERSION=1|" HEAD PROCESS "MOUNT=/a|TYPE=ext4|DEVICE=pmem0|NS_UUID=||",
		"VERSION=1|" HEAD PROCESS "FILE=/a|INO=1|SIZE=1|MTIME_NS=-1|FS_DEV=1:2||",
		"VERSION=1|ID=0123abcd-17-4711|INCIDENT=17||PROCESS=4711|PPID=1|START_NS=5|COMM=a|"
		"|",
	};
	struct dg_manifest back = {.pid = 9};

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		assert_int_equal(read_sealed(wrong[i], &back), -EBADMSG);
	assert_int_equal(back.pid, 9);
}

/* A child of the root was the one that held. */
static void an_id_of_a_child(void **state)
{
	struct dg_record_writer writer = DG_RECORD_WRITER_INIT;
	struct dg_manifest of_child = manifest, back;

	of_child.id = "0123abcd-17-4712";
	assert_int_equal(dg_manifest_write(&of_child, &writer), 0);
	assert_int_equal(dg_manifest_read(writer.data, writer.n, &back), 0);
	assert_int_equal(back.pid, 4711);
	dg_manifest_done(&back);
	dg_record_writer_done(&writer);
}

/* A name that is another's would have that one's directory removed. */
static void an_id_of_another(void **state)
{
	struct dg_record_writer writer = DG_RECORD_WRITER_INIT;
	static const char *const ids[] = {"0123abcd-18-4711", "0123abcd-17-4713",
					  "0123abce-17-4711", "../../etc"};
	struct dg_manifest other = manifest;

	for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
		other.id = ids[i];
		assert_int_equal(dg_manifest_write(&other, &writer), -EINVAL);
	}
	assert_int_equal(writer.n, 0);
	dg_record_writer_done(&writer);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_id_and_back),
		cmocka_unit_test(what_is_no_id),
		cmocka_unit_test(there_and_back),
		cmocka_unit_test(of_no_unit),
		cmocka_unit_test(a_manifest_that_was_changed),
		cmocka_unit_test(versions),
		cmocka_unit_test(what_is_not_known_is_passed_over),
		cmocka_unit_test(without_sync),
		cmocka_unit_test(what_is_missing),
		cmocka_unit_test(an_id_of_a_child),
		cmocka_unit_test(an_id_of_another),
	};

	return cmocka_run_group_tests_name("manifest", tests, NULL, NULL);
}
