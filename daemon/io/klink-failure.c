/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What is said of memory failures. */
#include <errno.h>
#include <netlink/genl/genl.h>

#include "io/klink-internal.h"
#include "uapi/daxguard.h"

struct failures {
	void (*func)(void *userdata, const struct dg_failure_record *record);
	void *userdata;
};

static int decode_failure(void *to, const void *data, size_t len)
{
	const struct failures *failures = to;
	struct dg_failure_record record;
	int r;

	r = klink_decode_failure(data, len, &record);
	if (r < 0)
		return r;
	failures->func(failures->userdata, &record);
	dg_failure_record_done(&record);
	return 0;
}

int klink_get_failures(struct klink *link,
		       void (*func)(void *userdata, const struct dg_failure_record *record),
		       void *userdata)
{
	struct failures failures = {func, userdata};
	int r = -EAGAIN;

	if (!klink_is_there(link))
		return -ENOENT;
	for (int attempt = 0; r == -EAGAIN && attempt < 3; attempt++) {
		struct klink_answer answer = {.decode = decode_failure, .to = &failures};

		r = klink_ask(link, klink_command_new(link, DAXGUARD_CMD_GET_FAILURES, NLM_F_DUMP),
			      &answer);
	}
	return r;
}

/* {DEV} and, where range is not NULL, {START, LEN}. NULL: no memory. */
static struct nl_msg *command_at(struct klink *link, uint8_t command, dg_dev_t dev,
				 const struct dg_range *range)
{
	struct nl_msg *msg = klink_command_new(link, command, 0);

	if (msg && (nla_put_u64(msg, DAXGUARD_A_DEV, dev) < 0 ||
		    (range && (nla_put_u64(msg, DAXGUARD_A_START, range->start) < 0 ||
			       nla_put_u64(msg, DAXGUARD_A_LEN, range->len) < 0)))) {
		nlmsg_free(msg);
		return NULL;
	}
	return msg;
}

int klink_forget(struct klink *link, uint64_t serial)
{
	struct klink_answer answer = {0};
	struct nl_msg *msg;

	if (!klink_is_there(link))
		return -ENOENT;
	msg = klink_command_new(link, DAXGUARD_CMD_FORGET, 0);
	if (msg && nla_put_u64(msg, DAXGUARD_A_FAILURE, serial) < 0) {
		nlmsg_free(msg);
		msg = NULL;
	}
	return klink_ask(link, msg, &answer);
}

int klink_scan_range(struct klink *link, dg_dev_t dev, const struct dg_range *range,
		     uint32_t *ret_token)
{
	if (!klink_is_there(link))
		return -ENOENT;
	return klink_ask_token(link, command_at(link, DAXGUARD_CMD_SCAN, dev, range), ret_token);
}

int klink_sigbus_device(struct klink *link, dg_dev_t dev, struct dg_process process, uint64_t addr,
			uint8_t lsb, int code)
{
	struct klink_answer answer = {0};
	struct nl_msg *msg;

	if (!klink_is_there(link))
		return -ENOENT;
	msg = command_at(link, DAXGUARD_CMD_SIGBUS, dev, NULL);
	if (msg && (nla_put_u32(msg, DAXGUARD_A_PID, (uint32_t)process.pid) < 0 ||
		    nla_put_u64(msg, DAXGUARD_A_START_NS, process.start_ns) < 0 ||
		    nla_put_u64(msg, DAXGUARD_A_ADDR, addr) < 0 ||
		    nla_put_u8(msg, DAXGUARD_A_LSB, lsb) < 0 ||
		    nla_put_u32(msg, DAXGUARD_A_CODE, (uint32_t)code) < 0)) {
		nlmsg_free(msg);
		msg = NULL;
	}
	return klink_ask(link, msg, &answer);
}

int klink_unmap(struct klink *link, dg_dev_t dev, const struct dg_range *range, bool badblocks,
		uint32_t *ret_token)
{
	struct nl_msg *msg;

	if (!klink_is_there(link))
		return -ENOENT;
	msg = command_at(link, DAXGUARD_CMD_UNMAP, dev, range);
	if (msg && badblocks && nla_put_flag(msg, DAXGUARD_A_BADBLOCKS) < 0) {
		nlmsg_free(msg);
		msg = NULL;
	}
	return klink_ask_token(link, msg, ret_token);
}

int klink_check(struct klink *link, dg_dev_t dev, uint32_t *ret_token)
{
	if (!klink_is_there(link))
		return -ENOENT;
	return klink_ask_token(link, command_at(link, DAXGUARD_CMD_CHECK, dev, NULL), ret_token);
}
