// SPDX-License-Identifier: GPL-2.0-only
/* The family's dumps: pending requests, failures, and the two halves of a snapshot. */
#include <linux/netlink.h>
#include <net/genetlink.h>

#include "compat.h"
#include "failure.h"
#include "genl.h"

static int dg_refuse_dump(struct netlink_callback *cb, int error, const char *why)
{
	atomic64_inc(&dg_counters.refused);
	/* 6.1 gives dumps none */
	if (cb->extack)
		cb->extack->_msg = why;
	return error;
}

int dg_start_pending(struct netlink_callback *cb)
{
	if (!netlink_capable(cb->skb, CAP_SYS_ADMIN))
		return dg_refuse_dump(cb, -EPERM, "CAP_SYS_ADMIN is needed");
	cb->min_dump_alloc = DG_EVENT_SIZE;
	return 0;
}

int dg_dump_pending(struct sk_buff *skb, struct netlink_callback *cb)
{
	u64 last = *(u64 *)cb->ctx;
	struct dg_request *req;

	mutex_lock(&dg_lock);
	list_for_each_entry(req, &dg_requests, node) {
		/* Revoking may take a while, and is not over before DONE says so. */
		if (!req->held || req->id <= last || req->state == DAXGUARD_STATE_CLOSING)
			continue;
		if (dg_msg_fill_request(skb, req, NETLINK_CB(cb->skb).portid,
					cb->nlh->nlmsg_seq, NLM_F_MULTI,
					DAXGUARD_CMD_GET_PENDING))
			break;
		*(u64 *)cb->ctx = req->id;
	}
	mutex_unlock(&dg_lock);
	return skb->len;
}

/* State of a snapshot's dump, in cb->ctx. */
struct dg_dump {
	struct dg_snapshot *snap;
	unsigned int at;
};

int dg_start_snapshot(struct netlink_callback *cb)
{
	struct nlattr *token = dg_dump_attrs(cb)[DAXGUARD_A_TOKEN];
	struct dg_dump *dump = (void *)cb->ctx;
	struct dg_snapshot *snap;
	int ret = dg_start_pending(cb);

	if (ret)
		return ret;
	if (!token)
		return dg_refuse_dump(cb, -EINVAL, "TOKEN is missing");
	snap = dg_snapshot_get(NETLINK_CB(cb->skb).portid, nla_get_u32(token));
	if (IS_ERR(snap))
		return dg_refuse_dump(cb, PTR_ERR(snap),
				      "no such snapshot of this socket, or not ready");
	dump->snap = snap;
	dump->at = 0;
	return 0;
}

int dg_done_snapshot(struct netlink_callback *cb)
{
	struct dg_dump *dump = (void *)cb->ctx;

	if (dump->snap)
		dg_snapshot_put(dump->snap);
	return 0;
}

int dg_dump_holders(struct sk_buff *skb, struct netlink_callback *cb)
{
	struct dg_dump *dump = (void *)cb->ctx;

	for (; dump->at < dump->snap->nr_usages; dump->at++)
		if (dg_msg_fill_usage(skb, &dump->snap->usages[dump->at],
				      NETLINK_CB(cb->skb).portid, cb->nlh->nlmsg_seq))
			break;
	return skb->len;
}

int dg_dump_fs(struct sk_buff *skb, struct netlink_callback *cb)
{
	struct dg_dump *dump = (void *)cb->ctx;

	for (; dump->at < dump->snap->nr_fs; dump->at++)
		if (dg_msg_fill_fs(skb, &dump->snap->fs[dump->at],
				   NETLINK_CB(cb->skb).portid, cb->nlh->nlmsg_seq))
			break;
	return skb->len;
}

struct dg_failure_dump {
	struct sk_buff *skb;
	struct netlink_callback *cb;
};

static int dg_dump_failure(const struct dg_failure *failure, void *ctx)
{
	struct dg_failure_dump *dump = ctx;
	int ret = dg_msg_fill_failure(dump->skb, failure, false, NETLINK_CB(dump->cb->skb).portid,
				      dump->cb->nlh->nlmsg_seq, NLM_F_MULTI,
				      DAXGUARD_CMD_GET_FAILURES);

	if (!ret)
		*(u64 *)dump->cb->ctx = failure->serial;
	return ret;
}

/* Of one that does not fit the dump would be over: 32 KiB, with what an skb has besides. */
int dg_start_failures(struct netlink_callback *cb)
{
	int ret = dg_start_pending(cb);

	cb->min_dump_alloc = DG_FAILURE_SIZE(DAXGUARD_TOLD_MAX);
	return ret;
}

int dg_dump_failures(struct sk_buff *skb, struct netlink_callback *cb)
{
	struct dg_failure_dump dump = { .skb = skb, .cb = cb };

	dg_records_each(*(u64 *)cb->ctx, dg_dump_failure, &dump);
	return skb->len;
}
