/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <assert.h>
#include <errno.h>
#include <linux/genetlink.h>
#include <stdlib.h>
#include <string.h>

#include "io/klink-attr.h"
#include "io/klink-decode.h"
#include "uapi/daxguard.h"

/* The core has the numbers of its own; this is where they must agree. */
static_assert((int)DG_RESULT_STOPPING == (int)DAXGUARD_RESULT_STOPPING &&
		      (int)_DG_RESULT_MAX == (int)DG_RESULT_STOPPING + 1,
	      "enum dg_result");
static_assert((int)DG_REVOKE_BUSY == (int)DAXGUARD_REVOKE_BUSY, "enum dg_revoke");
static_assert((int)DG_MODE_DEVDAX == (int)DAXGUARD_MODE_DEVDAX, "enum dg_mode");
static_assert((int)DG_KSTATE_CLOSING == (int)DAXGUARD_STATE_CLOSING, "enum dg_kstate");
static_assert((int)DG_USE_KERNEL == (int)DAXGUARD_USE_KERNEL, "enum dg_use");
static_assert(DG_HOLDER_SHARED == DAXGUARD_H_SHARED && DG_HOLDER_WRITE == DAXGUARD_H_WRITE &&
		      DG_HOLDER_EXEC == DAXGUARD_H_EXEC &&
		      DG_HOLDER_ZOMBIE_LEADER == DAXGUARD_H_ZOMBIE_LEADER &&
		      DG_HOLDER_STOPPED == DAXGUARD_H_STOPPED &&
		      DG_HOLDER_TRACED == DAXGUARD_H_TRACED &&
		      DG_HOLDER_UNBINDER == DAXGUARD_H_UNBINDER &&
		      DG_HOLDER_BLOCKED == DAXGUARD_H_BLOCKED,
	      "DG_HOLDER_*");
static_assert(DG_FS_LIVE == DAXGUARD_FS_LIVE && DG_FS_MOUNTED == DAXGUARD_FS_MOUNTED &&
		      DG_FS_DYING == DAXGUARD_FS_DYING && DG_FS_FROZEN == DAXGUARD_FS_FROZEN &&
		      DG_FS_RDONLY == DAXGUARD_FS_RDONLY && DG_FS_DAX == DAXGUARD_FS_DAX &&
		      DG_FS_UNKNOWN == DAXGUARD_FS_UNKNOWN,
	      "DG_FS_*");
static_assert((int)DG_FAILURE_BADBLOCKS == (int)DAXGUARD_SOURCE_BADBLOCKS,
	      "enum dg_failure_source");
static_assert(DG_FAIL_NO_FILE == DAXGUARD_FAIL_NO_FILE && DG_FAIL_SHARED == DAXGUARD_FAIL_SHARED &&
		      DG_FAIL_WIDENED == DAXGUARD_FAIL_WIDENED &&
		      DG_FAIL_REMOVING == DAXGUARD_FAIL_REMOVING &&
		      DG_FAIL_TOLD_MORE == DAXGUARD_FAIL_TOLD_MORE &&
		      DG_FAIL_MORE == DAXGUARD_FAIL_MORE,
	      "DG_FAIL_*");
static_assert(DG_NAME_MAX == DAXGUARD_NAME_MAX && DG_COOKIE_LEN == DAXGUARD_COOKIE_LEN &&
		      DG_UUID_LEN == DAXGUARD_UUID_LEN,
	      "lengths");

static int decode_message(const void *data, size_t len, const struct klink_layout *layout,
			  void *base, int (*other)(void *base, const struct nlattr *attr))
{
	if (len < GENL_HDRLEN)
		return -EBADMSG;
	return klink_attr_decode((const char *)data + GENL_HDRLEN, len - GENL_HDRLEN, layout, base,
				 other);
}

/* One more zeroed element at the end of an array; NULL: no memory. */
static void *array_grow(void *array, size_t n, size_t size)
{
	char *grown = reallocarray(array, n + 1, size);

	if (grown)
		memset(grown + n * size, 0, size);
	return grown;
}

static int target_range(struct dg_target *target, const struct nlattr *nest)
{
	static const struct klink_field fields[] = {
		KLINK_FIELD(START, U64, true, dg_range, start, 0),
		KLINK_FIELD(LEN, U64, true, dg_range, len, 0),
	};
	static const struct klink_layout layout = KLINK_LAYOUT(fields);
	struct dg_range *grown;

	grown = array_grow(target->ranges, target->n_ranges, sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	target->ranges = grown;
	return klink_attr_decode_nest(nest, &layout, &grown[target->n_ranges++], NULL);
}

static int target_layer(struct dg_target *target, const struct nlattr *nest)
{
	static const struct klink_field fields[] = {
		KLINK_FIELD(NAME, STRING, true, dg_layer, name, DG_NAME_MAX),
		KLINK_FIELD(DEV, U64, true, dg_layer, dev, 0),
	};
	static const struct klink_layout layout = KLINK_LAYOUT(fields);
	struct dg_layer *grown;

	grown = array_grow(target->layers, target->n_layers, sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	target->layers = grown;
	return klink_attr_decode_nest(nest, &layout, &grown[target->n_layers++], NULL);
}

static int target_other(void *base, const struct nlattr *attr)
{
	struct dg_target *target = base;

	switch (nla_type(attr)) {
	case DAXGUARD_A_RANGE:
		return target_range(target, attr);
	case DAXGUARD_A_STACK:
		return target_layer(target, attr);
	case DAXGUARD_A_NS_UUID:
		if (nla_len(attr) != DG_UUID_LEN)
			return -EBADMSG;
		memcpy(target->uuid, nla_data(attr), DG_UUID_LEN);
		target->has_uuid = true;
		return 0;
	default:
		return 0;
	}
}

static int request_target(struct dg_request *request, const struct nlattr *nest)
{
	static const struct klink_field fields[] = {
		KLINK_FIELD(NAME, STRING, true, dg_target, name, DG_NAME_MAX),
		KLINK_FIELD(DEV, U64, true, dg_target, dev, 0),
		KLINK_FIELD(MODE, U8_MODE, false, dg_target, mode, _DG_MODE_MAX),
		KLINK_FIELD(NS_DEVICE, STRING, false, dg_target, ns_device, DG_NAME_MAX),
		KLINK_FIELD(IN_USE, FLAG, false, dg_target, in_use, 0),
	};
	static const struct klink_layout layout = KLINK_LAYOUT(fields);
	struct dg_target *grown;

	grown = array_grow(request->targets, request->n_targets, sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	request->targets = grown;
	return klink_attr_decode_nest(nest, &layout, &grown[request->n_targets++], target_other);
}

static int request_other(void *base, const struct nlattr *attr)
{
	struct dg_request *request = base;
	uint32_t flags;

	switch (nla_type(attr)) {
	case DAXGUARD_A_TARGET:
		return request_target(request, attr);
	case DAXGUARD_A_FLAGS:
		if (nla_len(attr) != sizeof(flags))
			return -EBADMSG;
		memcpy(&flags, nla_data(attr), sizeof(flags));
		request->surprise = flags & DAXGUARD_F_SURPRISE;
		request->taken_over = flags & DAXGUARD_F_TAKEN_OVER;
		return 0;
	default:
		return 0;
	}
}

int klink_decode_request(const void *data, size_t len, struct dg_request *ret)
{
	static const struct klink_field fields[] = {
		KLINK_FIELD(ID, U64, true, dg_request, id, 0),
		KLINK_FIELD(BOOT_ID, STRING, true, dg_request, boot_id, DG_BOOT_ID_LEN),
		KLINK_FIELD(COOKIE, BYTES, true, dg_request, cookie, DG_COOKIE_LEN),
		KLINK_FIELD(DEVICE, STRING, true, dg_request, device, DG_NAME_MAX),
		KLINK_FIELD(BUS, STRING, false, dg_request, bus, DG_NAME_MAX),
		KLINK_FIELD(DRIVER, STRING, false, dg_request, driver, DG_NAME_MAX),
		KLINK_FIELD(STATE, U8_ENUM, true, dg_request, state, _DG_KSTATE_MAX),
		KLINK_FIELD(DEADLINE_MS, U32, true, dg_request, deadline_ms, 0),
		KLINK_FIELD(ELAPSED_MS, U32, false, dg_request, elapsed_ms, 0),
		KLINK_FIELD(CAP_MS, U32, true, dg_request, cap_ms, 0),
		KLINK_FIELD(UNBINDER_PID, U32, false, dg_request, unbinder_pid, 0),
		KLINK_FIELD(UNBINDER_START_NS, U64, false, dg_request, unbinder_start_ns, 0),
	};
	static const struct klink_layout layout = KLINK_LAYOUT(fields);
	struct dg_request request = {0};
	int r;

	r = decode_message(data, len, &layout, &request, request_other);
	if (r == 0 && request.unbinder_pid < 0)
		r = -EBADMSG;
	if (r < 0) {
		dg_request_done(&request);
		return r;
	}
	*ret = request;
	return 0;
}

int klink_decode_done(const void *data, size_t len, struct dg_done *ret)
{
	static const struct klink_field fields[] = {
		KLINK_FIELD(ID, U64, true, dg_done, id, 0),
		KLINK_FIELD(RESULT, U8_ENUM, true, dg_done, result, _DG_RESULT_MAX),
		KLINK_FIELD(REVOKE, U8_ENUM, true, dg_done, revoke, _DG_REVOKE_MAX),
		KLINK_FIELD(INODES, U64, false, dg_done, inodes, 0),
		KLINK_FIELD(ENTRIES, U64, false, dg_done, entries, 0),
		KLINK_FIELD(VMAS, U64, false, dg_done, vmas, 0),
		KLINK_FIELD(PAGES_PINNED, U64, false, dg_done, pages_pinned, 0),
		KLINK_FIELD(SHUTDOWNS, U32, false, dg_done, shutdowns, 0),
		KLINK_FIELD(HELD_US, U64, false, dg_done, held_us, 0),
		KLINK_FIELD(REVOKE_US, U64, false, dg_done, revoke_us, 0),
	};
	static const struct klink_layout layout = KLINK_LAYOUT(fields);
	struct dg_done done = {0};
	int r;

	r = decode_message(data, len, &layout, &done, NULL);
	if (r < 0)
		return r;
	*ret = done;
	return 0;
}

int klink_decode_completed(const void *data, size_t len, struct klink_completed *ret)
{
	static const struct klink_field fields[] = {
		KLINK_FIELD(TOKEN, U32, true, klink_completed, token, 0),
		KLINK_FIELD(ERROR, U32, false, klink_completed, error, 0),
		KLINK_FIELD(TRUNCATED, FLAG, false, klink_completed, truncated, 0),
	};
	static const struct klink_layout layout = KLINK_LAYOUT(fields);
	struct klink_completed completed = {0};
	int r;

	r = decode_message(data, len, &layout, &completed, NULL);
	if (r < 0)
		return r;
	if (completed.error < 0)
		return -EBADMSG;
	*ret = completed;
	return 0;
}

int klink_decode_usage(const void *data, size_t len, struct dg_usage *ret)
{
	static const struct klink_field fields[] = {
		KLINK_FIELD(PID, U32, true, dg_usage, pid, 0),
		KLINK_FIELD(TID, U32, false, dg_usage, tid, 0),
		KLINK_FIELD(SHARED_WITH, U32, false, dg_usage, shared_with, 0),
		KLINK_FIELD(START_NS, U64, false, dg_usage, start_ns, 0),
		KLINK_FIELD(COMM, STRING, false, dg_usage, comm, DG_COMM_LEN),
		KLINK_FIELD(UID, U32, false, dg_usage, uid, 0),
		KLINK_FIELD(SIG_CAUGHT, U64, false, dg_usage, sig_caught, 0),
		KLINK_FIELD(SIG_BLOCKED, U64, false, dg_usage, sig_blocked, 0),
		KLINK_FIELD(SIG_IGNORED, U64, false, dg_usage, sig_ignored, 0),
		KLINK_FIELD(HOLDER_USE, U8_ENUM, true, dg_usage, use, _DG_USE_MAX),
		KLINK_FIELD(HOLDER_FLAGS, U32, false, dg_usage, flags, 0),
		KLINK_FIELD(FS_DEV, U64, false, dg_usage, fs_dev, 0),
		KLINK_FIELD(INO, U64, false, dg_usage, ino, 0),
		KLINK_FIELD(ADDR, U64, false, dg_usage, addr, 0),
		KLINK_FIELD(LEN, U64, false, dg_usage, len, 0),
		KLINK_FIELD(OFFSET, U64, false, dg_usage, offset, 0),
		KLINK_FIELD(COUNT, U32, false, dg_usage, count, 0),
	};
	static const struct klink_layout layout = KLINK_LAYOUT(fields);
	struct dg_usage usage = {.count = 1};
	int r;

	r = decode_message(data, len, &layout, &usage, NULL);
	if (r < 0)
		return r;
	/*
	 * A pid goes into kill() one day: negative ones mean groups there. And
	 * a process is named by pid and start time, never by pid alone.
	 */
	if (usage.pid < 0 || usage.tid < 0 || (usage.pid > 0 && usage.start_ns == 0))
		return -EBADMSG;
	*ret = usage;
	return 0;
}

int klink_decode_fs(const void *data, size_t len, struct dg_fs *ret)
{
	static const struct klink_field fields[] = {
		KLINK_FIELD(FS_DEV, U64, false, dg_fs, fs_dev, 0),
		KLINK_FIELD(DEV, U64, false, dg_fs, block_dev, 0),
		KLINK_FIELD(FS_TYPE, STRING, false, dg_fs, type, DG_NAME_MAX),
		KLINK_FIELD(FS_FLAGS, U32, true, dg_fs, flags, 0),
		KLINK_FIELD(INODES, U64, false, dg_fs, inodes, 0),
		KLINK_FIELD(ENTRIES, U64, false, dg_fs, entries, 0),
	};
	static const struct klink_layout layout = KLINK_LAYOUT(fields);
	struct dg_fs found = {0};
	int r;

	r = decode_message(data, len, &layout, &found, NULL);
	if (r < 0)
		return r;
	*ret = found;
	return 0;
}

int klink_decode_info(const void *data, size_t len, struct klink_info *ret)
{
	static const struct klink_field fields[] = {
		KLINK_FIELD(VERSION, STRING, true, klink_info, version, DG_NAME_MAX),
		KLINK_FIELD(BOOT_ID, STRING, true, klink_info, boot_id, DG_BOOT_ID_LEN),
		KLINK_FIELD(HOLD_MS, U32, false, klink_info, hold_ms, 0),
		KLINK_FIELD(CAP_MS, U32, false, klink_info, cap_ms, 0),
		KLINK_FIELD(ACTIVATION_MS, U32, false, klink_info, activation_ms, 0),
	};
	static const struct klink_layout layout = KLINK_LAYOUT(fields);
	struct klink_info info = {0};
	int r;

	r = decode_message(data, len, &layout, &info, NULL);
	if (r < 0)
		return r;
	*ret = info;
	return 0;
}

int klink_decode_token(const void *data, size_t len, uint32_t *ret)
{
	static const struct klink_field fields[] = {
		{.type = DAXGUARD_A_TOKEN, .kind = KLINK_U32, .required = true},
	};
	static const struct klink_layout layout = KLINK_LAYOUT(fields);
	uint32_t token = 0;
	int r;

	r = decode_message(data, len, &layout, &token, NULL);
	if (r < 0)
		return r;
	*ret = token;
	return 0;
}

static int failure_start(void *base, const struct nlattr *attr)
{
	struct dg_failure_record *record = base;

	if (nla_type(attr) != DAXGUARD_A_START)
		return 0;
	if (nla_len(attr) != sizeof(record->range.start))
		return -EBADMSG;
	memcpy(&record->range.start, nla_data(attr), sizeof(record->range.start));
	record->unaddressed = false;
	return 0;
}

static int failure_range(struct dg_failure_record *record, const struct nlattr *nest)
{
	static const struct klink_field fields[] = {
		KLINK_FIELD(LEN, U64, true, dg_failure_record, range.len, 0),
	};
	static const struct klink_layout layout = KLINK_LAYOUT(fields);

	record->range = (struct dg_range){};
	record->unaddressed = true;
	return klink_attr_decode_nest(nest, &layout, record, failure_start);
}

static int failure_told(struct dg_failure_record *record, const struct nlattr *nest)
{
	static const struct klink_field fields[] = {
		KLINK_FIELD(PID, U32, true, dg_failure_told, process.pid, 0),
		KLINK_FIELD(START_NS, U64, true, dg_failure_told, process.start_ns, 0),
		KLINK_FIELD(ADDR, U64, true, dg_failure_told, addr, 0),
		KLINK_FIELD(LEN, U64, true, dg_failure_told, len, 0),
	};
	static const struct klink_layout layout = KLINK_LAYOUT(fields);
	struct dg_failure_told *told;
	int r;

	told = array_grow(record->told, record->n_told, sizeof(*told));
	if (!told)
		return -ENOMEM;
	record->told = told;
	told += record->n_told++;
	r = klink_attr_decode_nest(nest, &layout, told, NULL);
	if (r < 0)
		return r;
	return told->process.pid > 0 && told->len <= UINT64_MAX - told->addr ? 0 : -EBADMSG;
}

static int failure_other(void *base, const struct nlattr *attr)
{
	struct dg_failure_record *record = base;

	switch (nla_type(attr)) {
	case DAXGUARD_A_RANGE:
		return failure_range(record, attr);
	case DAXGUARD_A_TOLD:
		return failure_told(record, attr);
	case DAXGUARD_A_DISK_OFFSET:
		if (nla_len(attr) != sizeof(record->disk_offset))
			return -EBADMSG;
		memcpy(&record->disk_offset, nla_data(attr), sizeof(record->disk_offset));
		record->has_disk_offset = true;
		return 0;
	case DAXGUARD_A_NS_UUID:
		if (nla_len(attr) != DG_UUID_LEN)
			return -EBADMSG;
		memcpy(record->uuid, nla_data(attr), DG_UUID_LEN);
		record->has_uuid = true;
		return 0;
	default:
		return 0;
	}
}

int klink_decode_failure(const void *data, size_t len, struct dg_failure_record *ret)
{
	static const struct klink_field fields[] = {
		KLINK_FIELD(FAILURE, U64, true, dg_failure_record, serial, 0),
		KLINK_FIELD(SOURCE, U8_ENUM, true, dg_failure_record, source,
			    _DG_FAILURE_SOURCE_MAX),
		KLINK_FIELD(MF_TYPE, STRING, false, dg_failure_record, type, DG_FAILURE_WORD),
		KLINK_FIELD(MF_RESULT, STRING, false, dg_failure_record, result, DG_FAILURE_WORD),
		KLINK_FIELD(FAILURE_FLAGS, U32, false, dg_failure_record, flags, 0),
		KLINK_FIELD(NAME, STRING, true, dg_failure_record, name, DG_NAME_MAX),
		KLINK_FIELD(DEV, U64, true, dg_failure_record, dev, 0),
		KLINK_FIELD(MODE, U8_MODE, false, dg_failure_record, mode, _DG_MODE_MAX),
		KLINK_FIELD(NS_DEVICE, STRING, false, dg_failure_record, ns_device, DG_NAME_MAX),
		KLINK_FIELD(COUNT, U32, false, dg_failure_record, count, 0),
		KLINK_FIELD(TIME_NS, U64, false, dg_failure_record, time_ns, 0),
		KLINK_FIELD(FS_DEV, U64, false, dg_failure_record, fs_dev, 0),
		KLINK_FIELD(INO, U64, false, dg_failure_record, ino, 0),
		KLINK_FIELD(GENERATION, U32, false, dg_failure_record, generation, 0),
		KLINK_FIELD(OFFSET, U64, false, dg_failure_record, file_offset, 0),
	};
	static const struct klink_layout layout = KLINK_LAYOUT(fields);
	struct dg_failure_record record = {};
	int r;

	r = decode_message(data, len, &layout, &record, failure_other);
	if (r == 0 && (record.serial == 0 || record.range.len == 0 ||
		       record.range.len > UINT64_MAX - record.range.start))
		r = -EBADMSG;
	if (r < 0) {
		dg_failure_record_done(&record);
		return r;
	}
	/* There is no inode 0. */
	record.has_file = record.ino != 0;
	dg_failure_clean_words(&record);
	*ret = record;
	return 0;
}

static int decode_any(const void *data, size_t len)
{
	struct dg_failure_record failure;
	struct dg_request request;
	struct klink_completed completed;
	struct dg_usage usage;
	struct klink_info info;
	struct dg_done done;
	struct dg_fs fs;
	uint32_t number;
	int r;

	switch (((const struct genlmsghdr *)data)->cmd) {
	case DAXGUARD_CMD_EVENT:
	case DAXGUARD_CMD_GET_PENDING:
		r = klink_decode_request(data, len, &request);
		if (r == 0)
			dg_request_done(&request);
		return r;
	case DAXGUARD_CMD_DONE:
		return klink_decode_done(data, len, &done);
	case DAXGUARD_CMD_COMPLETED:
		return klink_decode_completed(data, len, &completed);
	case DAXGUARD_CMD_GET_HOLDERS:
		return klink_decode_usage(data, len, &usage);
	case DAXGUARD_CMD_GET_FS:
		return klink_decode_fs(data, len, &fs);
	case DAXGUARD_CMD_REGISTER:
		return klink_decode_info(data, len, &info);
	case DAXGUARD_CMD_FAILURE:
	case DAXGUARD_CMD_GET_FAILURES:
		r = klink_decode_failure(data, len, &failure);
		if (r == 0)
			dg_failure_record_done(&failure);
		return r;
	case DAXGUARD_CMD_SCAN:
	case DAXGUARD_CMD_SYNC:
	case DAXGUARD_CMD_SHUTDOWN:
	case DAXGUARD_CMD_UNMAP:
	case DAXGUARD_CMD_CHECK:
		return klink_decode_token(data, len, &number);
	default:
		return -EOPNOTSUPP;
	}
}

int klink_decode(const void *data, size_t len)
{
	void *copy;
	int r;

	if (len < GENL_HDRLEN)
		return -EBADMSG;
	copy = malloc(len);
	if (!copy)
		return -ENOMEM;
	memcpy(copy, data, len);
	r = decode_any(copy, len);
	free(copy);
	return r;
}
