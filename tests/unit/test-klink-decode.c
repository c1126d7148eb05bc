/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Messages as the module makes them, and as it must never make them. */
#include <errno.h>
#include <linux/genetlink.h>
#include <netlink/genl/genl.h>
#include <netlink/msg.h>
#include <stdlib.h>
#include <string.h>

#include "io/klink-decode.h"
#include "test.h"
#include "uapi/daxguard.h"

static struct nl_msg *begin(uint8_t command)
{
	struct nl_msg *msg = nlmsg_alloc_size(65536);

	assert_non_null(msg);
	assert_non_null(genlmsg_put(msg, 1, 1, 30, 0, 0, command, 1));
	return msg;
}

/* Decodes a copy of exactly its size, so that a read too far is seen. */
#define DECODE(msg, func, ret)                                                                     \
	({                                                                                         \
		size_t _n = (size_t)nlmsg_datalen(nlmsg_hdr(msg));                                 \
		void *_copy = malloc(_n);                                                          \
		memcpy(_copy, nlmsg_data(nlmsg_hdr(msg)), _n);                                     \
		int _r = func(_copy, _n, ret);                                                     \
		free(_copy);                                                                       \
		_r;                                                                                \
	})

static void put_target(struct nl_msg *msg, const char *name, int layers)
{
	static const uint8_t uuid[DG_UUID_LEN] = {1, 2, 3};
	struct nlattr *target = nla_nest_start(msg, DAXGUARD_A_TARGET), *nest;

	nla_put_string(msg, DAXGUARD_A_NAME, name);
	nla_put_u64(msg, DAXGUARD_A_DEV, DG_DEV(259, 0));
	nla_put_u8(msg, DAXGUARD_A_MODE, DAXGUARD_MODE_FSDAX);
	nla_put_string(msg, DAXGUARD_A_NS_DEVICE, "pfn0.0");
	nla_put(msg, DAXGUARD_A_NS_UUID, sizeof(uuid), uuid);
	nla_put_flag(msg, DAXGUARD_A_IN_USE);
	nest = nla_nest_start(msg, DAXGUARD_A_RANGE);
	/* As the kernel aligns u64. */
	nla_put(msg, DAXGUARD_A_PAD, 0, NULL);
	nla_put_u64(msg, DAXGUARD_A_START, 1ULL << 32);
	nla_put_u64(msg, DAXGUARD_A_LEN, 1ULL << 30);
	nla_nest_end(msg, nest);
	for (int i = 0; i < layers; i++) {
		nest = nla_nest_start(msg, DAXGUARD_A_STACK);
		nla_put_string(msg, DAXGUARD_A_NAME, i ? "dm-0" : "pmem0p1");
		nla_put_u64(msg, DAXGUARD_A_DEV, DG_DEV(259, i + 1));
		nla_nest_end(msg, nest);
	}
	nla_nest_end(msg, target);
}

/* Without the attribute skip, if any. */
static struct nl_msg *request(int skip)
{
	static const uint8_t cookie[DG_COOKIE_LEN] = "0123456789abcde";
	struct nl_msg *msg = begin(DAXGUARD_CMD_EVENT);

	if (skip != DAXGUARD_A_ID)
		nla_put_u64(msg, DAXGUARD_A_ID, 7);
	if (skip != DAXGUARD_A_BOOT_ID)
		nla_put_string(msg, DAXGUARD_A_BOOT_ID, "03eb5375-1ae9-4f82-9cab-a13d6cf027ab");
	if (skip != DAXGUARD_A_COOKIE)
		nla_put(msg, DAXGUARD_A_COOKIE, sizeof(cookie), cookie);
	if (skip != DAXGUARD_A_DEVICE)
		nla_put_string(msg, DAXGUARD_A_DEVICE, "pfn0.0");
	if (skip != DAXGUARD_A_STATE)
		nla_put_u8(msg, DAXGUARD_A_STATE, DAXGUARD_STATE_TAKEN);
	if (skip != DAXGUARD_A_DEADLINE_MS)
		nla_put_u32(msg, DAXGUARD_A_DEADLINE_MS, 20000);
	if (skip != DAXGUARD_A_CAP_MS)
		nla_put_u32(msg, DAXGUARD_A_CAP_MS, 60000);
	return msg;
}

static void test_request(void **state)
{
	struct nl_msg *msg = request(0);
	struct dg_request req;

	nla_put_string(msg, DAXGUARD_A_BUS, "nd");
	nla_put_string(msg, DAXGUARD_A_DRIVER, "nd_pmem");
	nla_put_u32(msg, DAXGUARD_A_FLAGS, DAXGUARD_F_SURPRISE | 1U << 30);
	nla_put_u32(msg, DAXGUARD_A_UNBINDER_PID, 4711);
	nla_put_u64(msg, DAXGUARD_A_UNBINDER_START_NS, 99);
	put_target(msg, "pmem0", 2);
	put_target(msg, "pmem1", 0);
	nla_put_string(msg, DAXGUARD_A_MAX + 5, "of a newer module");
	assert_int_equal(DECODE(msg, klink_decode_request, &req), 0);
	assert_int_equal(req.id, 7);
	assert_string_equal(req.device, "pfn0.0");
	assert_string_equal(req.driver, "nd_pmem");
	assert_true(req.surprise);
	assert_false(req.taken_over);
	assert_int_equal(req.state, DG_KSTATE_TAKEN);
	assert_int_equal(req.unbinder_pid, 4711);
	assert_int_equal(req.n_targets, 2);
	assert_string_equal(req.targets[0].name, "pmem0");
	assert_string_equal(req.targets[0].ns_device, "pfn0.0");
	assert_true(req.targets[0].has_uuid && req.targets[0].in_use);
	assert_int_equal(req.targets[0].mode, DG_MODE_FSDAX);
	assert_int_equal(req.targets[0].n_ranges, 1);
	assert_true(req.targets[0].ranges[0].start == 1ULL << 32);
	assert_int_equal(req.targets[0].n_layers, 2);
	assert_string_equal(req.targets[0].layers[1].name, "dm-0");
	assert_int_equal(req.targets[1].n_layers, 0);
	dg_request_done(&req);
	nlmsg_free(msg);
}

static void test_what_is_missing(void **state)
{
	static const int required[] = {
		DAXGUARD_A_ID,    DAXGUARD_A_BOOT_ID,     DAXGUARD_A_COOKIE, DAXGUARD_A_DEVICE,
		DAXGUARD_A_STATE, DAXGUARD_A_DEADLINE_MS, DAXGUARD_A_CAP_MS,
	};
	struct dg_request req = {.id = 99};

	for (size_t i = 0; i < sizeof(required) / sizeof(required[0]); i++) {
		struct nl_msg *msg = request(required[i]);

		put_target(msg, "pmem0", 1);
		assert_int_equal(DECODE(msg, klink_decode_request, &req), -EBADMSG);
		nlmsg_free(msg);
	}
	assert_int_equal(req.id, 99);
}

static void assert_refused(int type, size_t len, const void *data)
{
	struct nl_msg *msg = request(type);
	struct dg_request req;

	nla_put(msg, type, (int)len, data);
	assert_int_equal(DECODE(msg, klink_decode_request, &req), -EBADMSG);
	nlmsg_free(msg);
}

static void test_wrong_forms(void **state)
{
	static const char zeros[128];
	char text[128];

	memset(text, 'x', sizeof(text));
	assert_refused(DAXGUARD_A_ID, 4, zeros);
	assert_refused(DAXGUARD_A_ID, 12, zeros);
	assert_refused(DAXGUARD_A_COOKIE, 15, zeros);
	assert_refused(DAXGUARD_A_COOKIE, 17, zeros);
	assert_refused(DAXGUARD_A_DEVICE, 0, zeros);
	assert_refused(DAXGUARD_A_DEVICE, 10, text);  /* no NUL */
	assert_refused(DAXGUARD_A_DEVICE, 10, zeros); /* more than one */
	text[DG_NAME_MAX] = 0;
	assert_refused(DAXGUARD_A_DEVICE, DG_NAME_MAX + 1, text);
	assert_refused(DAXGUARD_A_STATE, 4, zeros);
	assert_refused(DAXGUARD_A_STATE, 1, "\x7f");
	assert_refused(DAXGUARD_A_UNBINDER_PID, 4, "\xff\xff\xff\xff");
	assert_refused(DAXGUARD_A_TARGET, 3, zeros);
	assert_refused(DAXGUARD_A_TARGET, 0, zeros);
}

static void test_usage(void **state)
{
	struct nl_msg *msg = begin(DAXGUARD_CMD_GET_HOLDERS);
	struct dg_usage usage;

	nla_put_u32(msg, DAXGUARD_A_PID, 0);
	nla_put_u8(msg, DAXGUARD_A_HOLDER_USE, DAXGUARD_USE_KERNEL);
	assert_int_equal(DECODE(msg, klink_decode_usage, &usage), 0);
	assert_int_equal(usage.count, 1);
	nlmsg_free(msg);

	/* A process is never named by its pid alone. */
	msg = begin(DAXGUARD_CMD_GET_HOLDERS);
	nla_put_u32(msg, DAXGUARD_A_PID, 17);
	nla_put_u8(msg, DAXGUARD_A_HOLDER_USE, DAXGUARD_USE_MAPPED);
	assert_int_equal(DECODE(msg, klink_decode_usage, &usage), -EBADMSG);
	nla_put_u64(msg, DAXGUARD_A_START_NS, 1);
	assert_int_equal(DECODE(msg, klink_decode_usage, &usage), 0);
	assert_int_equal(usage.shared_with, 0);
	nla_put_u32(msg, DAXGUARD_A_SHARED_WITH, 16);
	assert_int_equal(DECODE(msg, klink_decode_usage, &usage), 0);
	assert_int_equal(usage.shared_with, 16);
	nlmsg_free(msg);

	/* kill(-1) is everybody. */
	msg = begin(DAXGUARD_CMD_GET_HOLDERS);
	nla_put_u32(msg, DAXGUARD_A_PID, UINT32_MAX);
	nla_put_u64(msg, DAXGUARD_A_START_NS, 1);
	nla_put_u8(msg, DAXGUARD_A_HOLDER_USE, DAXGUARD_USE_MAPPED);
	assert_int_equal(DECODE(msg, klink_decode_usage, &usage), -EBADMSG);
	nlmsg_free(msg);
}

static void test_small_ones(void **state)
{
	struct klink_completed completed;
	struct nl_msg *msg;
	struct dg_done done;
	struct dg_fs found;
	uint32_t token;

	msg = begin(DAXGUARD_CMD_DONE);
	nla_put_u64(msg, DAXGUARD_A_ID, 7);
	nla_put_u8(msg, DAXGUARD_A_RESULT, DAXGUARD_RESULT_ACKED);
	assert_int_equal(DECODE(msg, klink_decode_done, &done), -EBADMSG);
	nla_put_u8(msg, DAXGUARD_A_REVOKE, DAXGUARD_REVOKE_PINNED);
	nla_put_u64(msg, DAXGUARD_A_PAGES_PINNED, 3);
	assert_int_equal(DECODE(msg, klink_decode_done, &done), 0);
	assert_int_equal(done.revoke, DG_REVOKE_PINNED);
	assert_int_equal(done.pages_pinned, 3);
	nlmsg_free(msg);

	msg = begin(DAXGUARD_CMD_COMPLETED);
	nla_put_u32(msg, DAXGUARD_A_TOKEN, 5);
	nla_put_u32(msg, DAXGUARD_A_ERROR, EOPNOTSUPP);
	nla_put_flag(msg, DAXGUARD_A_TRUNCATED);
	assert_int_equal(DECODE(msg, klink_decode_completed, &completed), 0);
	assert_int_equal(completed.token, 5);
	assert_int_equal(completed.error, EOPNOTSUPP);
	assert_true(completed.truncated);
	assert_int_equal(DECODE(msg, klink_decode_token, &token), 0);
	nlmsg_free(msg);

	msg = begin(DAXGUARD_CMD_GET_FS);
	nla_put_u32(msg, DAXGUARD_A_FS_FLAGS, DAXGUARD_FS_LIVE | DAXGUARD_FS_MOUNTED);
	nla_put_string(msg, DAXGUARD_A_FS_TYPE, "xfs");
	assert_int_equal(DECODE(msg, klink_decode_token, &token), -EBADMSG);
	assert_int_equal(DECODE(msg, klink_decode_fs, &found), 0);
	assert_string_equal(found.type, "xfs");
	assert_int_equal(found.flags, DG_FS_LIVE | DG_FS_MOUNTED);
	nlmsg_free(msg);
}

static void put_told(struct nl_msg *msg, uint32_t pid, uint64_t addr, uint64_t len)
{
	struct nlattr *nest = nla_nest_start(msg, DAXGUARD_A_TOLD);

	nla_put_u32(msg, DAXGUARD_A_PID, pid);
	nla_put_u64(msg, DAXGUARD_A_START_NS, 5);
	nla_put_u64(msg, DAXGUARD_A_ADDR, addr);
	nla_put_u64(msg, DAXGUARD_A_LEN, len);
	nla_nest_end(msg, nest);
}

static void put_range(struct nl_msg *msg, uint64_t start, uint64_t len)
{
	struct nlattr *nest = nla_nest_start(msg, DAXGUARD_A_RANGE);

	nla_put_u64(msg, DAXGUARD_A_START, start);
	nla_put_u64(msg, DAXGUARD_A_LEN, len);
	nla_nest_end(msg, nest);
}

/* The least that one says. Without the attribute skip, if any. */
static struct nl_msg *failure(int skip)
{
	struct nl_msg *msg = begin(DAXGUARD_CMD_FAILURE);

	if (skip != DAXGUARD_A_FAILURE)
		nla_put_u64(msg, DAXGUARD_A_FAILURE, 3);
	if (skip != DAXGUARD_A_SOURCE)
		nla_put_u8(msg, DAXGUARD_A_SOURCE, DAXGUARD_SOURCE_BADBLOCKS);
	if (skip != DAXGUARD_A_NAME)
		nla_put_string(msg, DAXGUARD_A_NAME, "pmem0");
	if (skip != DAXGUARD_A_DEV)
		nla_put_u64(msg, DAXGUARD_A_DEV, DG_DEV(259, 0));
	if (skip != DAXGUARD_A_RANGE)
		put_range(msg, 1ULL << 32, 512);
	return msg;
}

static void test_failure(void **state)
{
	struct nl_msg *msg = failure(0);
	struct dg_failure_record record;

	assert_int_equal(DECODE(msg, klink_decode_failure, &record), 0);
	assert_int_equal(record.serial, 3);
	assert_int_equal(record.source, DG_FAILURE_BADBLOCKS);
	assert_string_equal(record.name, "pmem0");
	assert_string_equal(record.type, "");
	assert_true(record.range.start == 1ULL << 32 && record.range.len == 512);
	assert_false(record.unaddressed);
	assert_false(record.has_file || record.has_disk_offset || record.has_uuid);
	assert_int_equal(record.n_told, 0);
	dg_failure_record_done(&record);

	nla_put_string(msg, DAXGUARD_A_MF_TYPE, "dax page");
	nla_put_string(msg, DAXGUARD_A_MF_RESULT,
		       "a\x1b\xff"
		       "b");
	nla_put_u32(msg, DAXGUARD_A_FAILURE_FLAGS, DAXGUARD_FAIL_MORE);
	nla_put_u64(msg, DAXGUARD_A_DISK_OFFSET, 0);
	nla_put_u64(msg, DAXGUARD_A_FS_DEV, DG_DEV(259, 0));
	nla_put_u64(msg, DAXGUARD_A_INO, 12);
	nla_put_u64(msg, DAXGUARD_A_OFFSET, 4096);
	put_told(msg, 10, 0x7000, 4096);
	put_told(msg, 11, 0x8000, 4096);
	assert_int_equal(DECODE(msg, klink_decode_failure, &record), 0);
	assert_string_equal(record.type, "dax page");
	assert_string_equal(record.result, "a??b");
	assert_int_equal(record.flags, DG_FAIL_MORE);
	assert_true(record.has_file && record.has_disk_offset);
	assert_int_equal(record.file_offset, 4096);
	assert_int_equal(record.n_told, 2);
	assert_int_equal(record.told[1].process.pid, 11);
	assert_int_equal(record.told[1].addr, 0x8000);
	dg_failure_record_done(&record);
	nlmsg_free(msg);
}

/* A disk without struct pages: where its memory begins is not said. */
static void test_failure_without_address(void **state)
{
	struct nl_msg *msg = failure(DAXGUARD_A_RANGE);
	struct nlattr *nest = nla_nest_start(msg, DAXGUARD_A_RANGE);
	struct dg_failure_record record;

	nla_put_u64(msg, DAXGUARD_A_LEN, 1024);
	nla_nest_end(msg, nest);
	nla_put_u64(msg, DAXGUARD_A_DISK_OFFSET, 4096);
	assert_int_equal(DECODE(msg, klink_decode_failure, &record), 0);
	assert_true(record.unaddressed);
	assert_int_equal(record.range.start, 0);
	assert_int_equal(record.range.len, 1024);
	assert_int_equal(record.disk_offset, 4096);
	dg_failure_record_done(&record);
	nlmsg_free(msg);
}

static void test_failures_of_wrong_form(void **state)
{
	static const int required[] = {DAXGUARD_A_FAILURE, DAXGUARD_A_SOURCE, DAXGUARD_A_NAME,
				       DAXGUARD_A_DEV, DAXGUARD_A_RANGE};
	struct dg_failure_record record = {.serial = 99};
	struct nl_msg *msg;

	for (size_t i = 0; i < sizeof(required) / sizeof(required[0]); i++) {
		msg = failure(required[i]);
		assert_int_equal(DECODE(msg, klink_decode_failure, &record), -EBADMSG);
		nlmsg_free(msg);
	}
	msg = failure(DAXGUARD_A_SOURCE);
	nla_put_u8(msg, DAXGUARD_A_SOURCE, DAXGUARD_SOURCE_BADBLOCKS + 1);
	assert_int_equal(DECODE(msg, klink_decode_failure, &record), -EBADMSG);
	nlmsg_free(msg);
	msg = failure(DAXGUARD_A_RANGE);
	put_range(msg, UINT64_MAX - 511, 4096);
	assert_int_equal(DECODE(msg, klink_decode_failure, &record), -EBADMSG);
	nlmsg_free(msg);
	/* Everybody, and an address that goes round. */
	msg = failure(0);
	put_told(msg, UINT32_MAX, 0x7000, 4096);
	assert_int_equal(DECODE(msg, klink_decode_failure, &record), -EBADMSG);
	nlmsg_free(msg);
	msg = failure(0);
	put_told(msg, 10, UINT64_MAX, 4096);
	assert_int_equal(DECODE(msg, klink_decode_failure, &record), -EBADMSG);
	nlmsg_free(msg);
	assert_int_equal(record.serial, 99);
}

/* Every prefix of a good message, and every byte of it turned. */
static void test_torn(void **state)
{
	struct nl_msg *msg = request(0);
	size_t n, n_whole = (size_t)nlmsg_datalen(nlmsg_hdr(msg));
	char *copy;

	put_target(msg, "pmem0", 3);
	n = (size_t)nlmsg_datalen(nlmsg_hdr(msg));
	for (size_t i = 0; i < n; i++) {
		copy = malloc(i + !i);
		memcpy(copy, nlmsg_data(nlmsg_hdr(msg)), i);
		/* One that ends before its targets is whole: not all may have fitted. */
		assert_int_equal(klink_decode(copy, i), i == n_whole ? 0 : -EBADMSG);
		free(copy);
	}
	copy = malloc(n);
	for (size_t i = 0; i < n; i++) {
		memcpy(copy, nlmsg_data(nlmsg_hdr(msg)), n);
		copy[i] ^= 0x55;
		(void)klink_decode(copy, n);
	}
	free(copy);
	nlmsg_free(msg);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_request),
		cmocka_unit_test(test_what_is_missing),
		cmocka_unit_test(test_wrong_forms),
		cmocka_unit_test(test_usage),
		cmocka_unit_test(test_small_ones),
		cmocka_unit_test(test_torn),
		cmocka_unit_test(test_failure),
		cmocka_unit_test(test_failure_without_address),
		cmocka_unit_test(test_failures_of_wrong_form),
	};

	return cmocka_run_group_tests_name("klink-decode", tests, NULL, NULL);
}
