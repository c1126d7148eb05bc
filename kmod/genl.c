// SPDX-License-Identifier: GPL-2.0-only
/*
 * The generic netlink family: commands in. What they do is elsewhere; here
 * they are checked. Handlers run under locks that all of generic netlink
 * shares and never block on anything but dg_lock.
 */
#include <linux/netlink.h>
#include <linux/slab.h>
#include <net/genetlink.h>
#include <net/net_namespace.h>

#include "compat.h"
#include "failure.h"
#include "genl.h"

static u32 dg_port;			/* dg_lock; the registered daemon */

u32 dg_registered_port(void)
{
	lockdep_assert_held(&dg_lock);
	return dg_port;
}

void dg_unregister_port(u32 port)
{
	lockdep_assert_held(&dg_lock);
	if (dg_port == port)
		dg_port = 0;
}

/* @why outlives the call: the answer is made after the handler has returned. */
static int dg_refuse(struct genl_info *info, int error, const char *why)
{
	atomic64_inc(&dg_counters.refused);
	if (info->extack)
		info->extack->_msg = why;
	return error;
}

/* GENL_ADMIN_PERM asks for CAP_NET_ADMIN, which containers may have. */
static int dg_check_admin(struct sk_buff *skb, struct genl_info *info)
{
	if (netlink_capable(skb, CAP_SYS_ADMIN))
		return 0;
	return dg_refuse(info, -EPERM, "CAP_SYS_ADMIN is needed");
}

static int dg_check_daemon(struct sk_buff *skb, struct genl_info *info)
{
	u32 port;
	int ret = dg_check_admin(skb, info);

	if (ret)
		return ret;
	mutex_lock(&dg_lock);
	port = dg_port;
	mutex_unlock(&dg_lock);
	if (port != info->snd_portid)
		return dg_refuse(info, -EACCES, "only the registered daemon may say this");
	return 0;
}

static int dg_missing(struct genl_info *info, int attr, const char *why)
{
	if (info->attrs[attr])
		return 0;
	return dg_refuse(info, -EINVAL, why);
}

/* The open request a command names, referenced. */
static int dg_named_request(struct genl_info *info, bool cookie, struct dg_request **ret)
{
	struct dg_request *req;

	if (dg_missing(info, DAXGUARD_A_ID, "ID is missing"))
		return -EINVAL;
	if (cookie && dg_missing(info, DAXGUARD_A_COOKIE, "COOKIE is missing"))
		return -EINVAL;
	req = dg_request_get(nla_get_u64(info->attrs[DAXGUARD_A_ID]));
	if (!req)
		return dg_refuse(info, -ENOENT, "no such request");
	if (cookie && memcmp(nla_data(info->attrs[DAXGUARD_A_COOKIE]), req->cookie,
			     DAXGUARD_COOKIE_LEN)) {
		dg_request_put(req);
		return dg_refuse(info, -ENOENT, "the cookie is not this request's");
	}
	*ret = req;
	return 0;
}

/* As above, and only for the registered daemon. */
static int dg_daemon_request(struct sk_buff *skb, struct genl_info *info, bool cookie,
			     struct dg_request **ret)
{
	return dg_check_daemon(skb, info) ?: dg_named_request(info, cookie, ret);
}

static int dg_reply_u32(struct genl_info *info, u8 cmd, int attr, u32 value)
{
	struct sk_buff *msg = genlmsg_new(NLMSG_DEFAULT_SIZE, GFP_KERNEL);
	void *hdr;

	if (!msg)
		return -ENOMEM;
	hdr = genlmsg_put_reply(msg, info, &dg_genl_family, 0, cmd);
	if (!hdr || nla_put_u32(msg, attr, value)) {
		nlmsg_free(msg);
		return -EMSGSIZE;
	}
	genlmsg_end(msg, hdr);
	return genlmsg_reply(msg, info);
}

static int dg_do_register(struct sk_buff *skb, struct genl_info *info)
{
	struct sk_buff *msg;
	int ret = dg_check_admin(skb, info);

	if (ret)
		return ret;
	mutex_lock(&dg_lock);
	if (dg_port && dg_port != info->snd_portid)
		ret = -EBUSY;
	else
		dg_port = info->snd_portid;
	mutex_unlock(&dg_lock);
	if (ret)
		return dg_refuse(info, ret, "another daemon is registered");
	msg = dg_msg_registered(info);
	return IS_ERR(msg) ? PTR_ERR(msg) : genlmsg_reply(msg, info);
}

static int dg_do_take(struct sk_buff *skb, struct genl_info *info)
{
	struct dg_request *req;
	int ret = dg_daemon_request(skb, info, false, &req);

	if (ret)
		return ret;
	mutex_lock(&dg_lock);
	ret = dg_request_take(req, info->snd_portid);
	mutex_unlock(&dg_lock);
	dg_request_put(req);
	return ret ? dg_refuse(info, ret, "the hold has ended") : 0;
}

static int dg_end_by_daemon(struct genl_info *info, struct dg_request *req, u8 result)
{
	int ret = 0;

	mutex_lock(&dg_lock);
	if (req->result == DAXGUARD_RESULT_NONE &&
	    (req->state != DAXGUARD_STATE_TAKEN || req->port != info->snd_portid))
		ret = -EACCES;
	else if (!dg_request_end(req, result) && req->result != result)
		ret = -ENOENT;	/* the same may be said again while the teardown runs */
	mutex_unlock(&dg_lock);
	if (ret == -EACCES)
		return dg_refuse(info, ret, "take the request first");
	if (ret)
		return dg_refuse(info, ret, "the hold has ended otherwise");
	return 0;
}

static int dg_do_ack(struct sk_buff *skb, struct genl_info *info)
{
	const char *why = NULL;
	struct dg_request *req;
	int ret = dg_daemon_request(skb, info, true, &req);

	if (ret)
		return ret;
	if (READ_ONCE(req->result) == DAXGUARD_RESULT_NONE)
		why = dg_request_live_fs(req);
	ret = why ? dg_refuse(info, -EBUSY, why) :
		    dg_end_by_daemon(info, req, DAXGUARD_RESULT_ACKED);
	dg_request_put(req);
	return ret;
}

static int dg_do_release(struct sk_buff *skb, struct genl_info *info)
{
	struct dg_request *req;
	int ret = dg_daemon_request(skb, info, true, &req);

	if (ret)
		return ret;
	ret = dg_end_by_daemon(info, req, DAXGUARD_RESULT_RELEASED);
	dg_request_put(req);
	return ret;
}

static int dg_do_extend(struct sk_buff *skb, struct genl_info *info)
{
	struct dg_request *req;
	u32 left = 0;
	int ret = dg_check_daemon(skb, info) ?: dg_missing(info, DAXGUARD_A_MS, "MS is missing") ?:
		  dg_named_request(info, true, &req);

	if (ret)
		return ret;
	mutex_lock(&dg_lock);
	if (req->result != DAXGUARD_RESULT_NONE || req->state != DAXGUARD_STATE_TAKEN) {
		ret = -ENOENT;
	} else {
		dg_request_extend(req, nla_get_u32(info->attrs[DAXGUARD_A_MS]));
		left = dg_request_left_ms(req);
	}
	mutex_unlock(&dg_lock);
	dg_request_put(req);
	if (ret)
		return dg_refuse(info, ret, "the hold has ended, or is not taken");
	return dg_reply_u32(info, DAXGUARD_CMD_EXTEND, DAXGUARD_A_DEADLINE_MS, left);
}

/* 0, which is no device, for a number that this kernel does not have. */
static dev_t dg_get_dev(const struct nlattr *attr)
{
	u64 dev = nla_get_u64(attr);
	u32 major = dev >> 32, minor = dev;

	if (major >> (32 - MINORBITS) || minor > MINORMASK)
		return 0;
	return MKDEV(major, minor);
}

static int dg_named_target(struct genl_info *info, struct dg_target **ret)
{
	struct dg_target *target;

	if (dg_missing(info, DAXGUARD_A_DEV, "DEV is missing"))
		return -EINVAL;
	target = dg_target_by_dev(dg_get_dev(info->attrs[DAXGUARD_A_DEV]));
	if (IS_ERR(target))
		return dg_refuse(info, PTR_ERR(target),
				 "the device is being opened or closed, try again");
	if (!target)
		return dg_refuse(info, -ENODEV, "not a device that daxguard guards");
	*ret = target;
	return 0;
}

/* One of the two. */
static int dg_named_either(struct genl_info *info, struct dg_request **ret_req,
			   struct dg_target **ret_target)
{
	*ret_req = NULL;
	*ret_target = NULL;
	if (info->attrs[DAXGUARD_A_DEV] && info->attrs[DAXGUARD_A_ID])
		return dg_refuse(info, -EINVAL, "ID or DEV, not both");
	if (info->attrs[DAXGUARD_A_DEV])
		return dg_named_target(info, ret_target);
	return dg_named_request(info, false, ret_req);
}

/* START and LEN on the target. */
static int dg_named_range(struct genl_info *info, const struct dg_target *target,
			  struct dg_range *ret)
{
	if (dg_missing(info, DAXGUARD_A_START, "START is missing") ||
	    dg_missing(info, DAXGUARD_A_LEN, "LEN is missing"))
		return -EINVAL;
	if (dg_range_cut(target, nla_get_u64(info->attrs[DAXGUARD_A_START]),
			 nla_get_u64(info->attrs[DAXGUARD_A_LEN]), ret))
		return dg_refuse(info, -ERANGE, "the device has no such memory");
	return 0;
}

static int dg_do_scan(struct sk_buff *skb, struct genl_info *info)
{
	bool ranged = info->attrs[DAXGUARD_A_START] || info->attrs[DAXGUARD_A_LEN];
	struct dg_range range = {};
	struct dg_target *target;
	struct dg_request *req;
	u32 token;
	int ret = dg_check_admin(skb, info) ?: dg_named_either(info, &req, &target);

	if (ret)
		return ret;
	if (ranged && req)
		ret = dg_refuse(info, -EINVAL, "START and LEN go with DEV");
	else if (ranged)
		ret = dg_named_range(info, target, &range);
	if (ret) {
		if (req)
			dg_request_put(req);
		dg_target_free(target);
		return ret;
	}
	ret = dg_snapshot_queue(info->snd_portid, req, target, &range, &token);
	if (ret == -EBUSY)
		return dg_refuse(info, ret, "this socket's last scan is still running");
	if (ret == -ENOSPC)
		return dg_refuse(info, ret, "too many sockets keep a snapshot");
	if (ret)
		return ret;
	return dg_reply_u32(info, DAXGUARD_CMD_SCAN, DAXGUARD_A_TOKEN, token);
}

static int dg_do_save(struct sk_buff *skb, struct genl_info *info)
{
	struct dg_request *req;
	u32 token;
	int ret = dg_daemon_request(skb, info, false, &req);

	if (ret)
		return ret;
	ret = dg_save_queue(info->snd_portid, req,
			    info->genlhdr->cmd == DAXGUARD_CMD_SHUTDOWN, &token);
	if (ret == -EINPROGRESS)
		return dg_refuse(info, ret, "a sync or shutdown of this request is under way");
	if (ret)
		return ret;
	return dg_reply_u32(info, info->genlhdr->cmd, DAXGUARD_A_TOKEN, token);
}

static const int dg_sigbus_attrs[] = {
	DAXGUARD_A_PID, DAXGUARD_A_START_NS, DAXGUARD_A_ADDR, DAXGUARD_A_LSB, DAXGUARD_A_CODE,
};

static int dg_do_sigbus(struct sk_buff *skb, struct genl_info *info)
{
	struct nlattr **attrs = info->attrs;
	struct dg_target *target;
	struct dg_request *req;
	const char *why;
	unsigned int i;
	int ret = dg_check_daemon(skb, info);

	if (ret)
		return ret;
	for (i = 0; i < ARRAY_SIZE(dg_sigbus_attrs); i++)
		if (dg_missing(info, dg_sigbus_attrs[i],
			       "PID, START_NS, ADDR, LSB and CODE are needed"))
			return -EINVAL;
	/* AR would say that the receiver's current instruction did it. */
	if (nla_get_u32(attrs[DAXGUARD_A_CODE]) != BUS_MCEERR_AO)
		return dg_refuse(info, -EINVAL, "CODE is not BUS_MCEERR_AO");
	if (nla_get_u8(attrs[DAXGUARD_A_LSB]) < PAGE_SHIFT ||
	    nla_get_u8(attrs[DAXGUARD_A_LSB]) >= BITS_PER_LONG)
		return dg_refuse(info, -EINVAL, "LSB is not between PAGE_SHIFT and 63");
	ret = dg_named_either(info, &req, &target);
	if (ret)
		return ret;
	ret = dg_sigbus(req, target, nla_get_u32(attrs[DAXGUARD_A_PID]),
			nla_get_u64(attrs[DAXGUARD_A_START_NS]),
			nla_get_u64(attrs[DAXGUARD_A_ADDR]),
			nla_get_u8(attrs[DAXGUARD_A_LSB]), &why);
	if (req)
		dg_request_put(req);
	dg_target_free(target);
	return ret ? dg_refuse(info, ret, why) : 0;
}

static int dg_do_forget(struct sk_buff *skb, struct genl_info *info)
{
	int ret = dg_check_daemon(skb, info) ?:
		  dg_missing(info, DAXGUARD_A_FAILURE, "FAILURE is missing");

	if (!ret)
		dg_records_forget(nla_get_u64(info->attrs[DAXGUARD_A_FAILURE]));
	return ret;
}

static int dg_do_unmap(struct sk_buff *skb, struct genl_info *info)
{
	struct dg_target *target;
	struct dg_range range;
	u32 token;
	int ret = dg_check_daemon(skb, info) ?: dg_named_target(info, &target);

	if (ret)
		return ret;
	ret = dg_named_range(info, target, &range);
	if (ret) {
		dg_target_free(target);
		return ret;
	}
	ret = dg_unmap_queue(info->snd_portid, target, &range,
			     nla_get_flag(info->attrs[DAXGUARD_A_BADBLOCKS]), &token);
	return ret ?: dg_reply_u32(info, DAXGUARD_CMD_UNMAP, DAXGUARD_A_TOKEN, token);
}

static int dg_do_check(struct sk_buff *skb, struct genl_info *info)
{
	struct dg_target *target;
	u32 token;
	int ret = dg_check_daemon(skb, info) ?: dg_named_target(info, &target) ?:
		  dg_check_queue(info->snd_portid, target, &token);

	return ret ?: dg_reply_u32(info, DAXGUARD_CMD_CHECK, DAXGUARD_A_TOKEN, token);
}

static const struct nla_policy dg_policy[DAXGUARD_A_MAX + 1] = {
	[DAXGUARD_A_ID] = { .type = NLA_U64 },
	[DAXGUARD_A_COOKIE] = NLA_POLICY_EXACT_LEN(DAXGUARD_COOKIE_LEN),
	[DAXGUARD_A_DEV] = { .type = NLA_U64 },
	[DAXGUARD_A_TOKEN] = { .type = NLA_U32 },
	[DAXGUARD_A_PID] = { .type = NLA_U32 },
	[DAXGUARD_A_START_NS] = { .type = NLA_U64 },
	[DAXGUARD_A_ADDR] = { .type = NLA_U64 },
	[DAXGUARD_A_LSB] = { .type = NLA_U8 },
	[DAXGUARD_A_CODE] = { .type = NLA_U32 },
	[DAXGUARD_A_MS] = NLA_POLICY_MIN(NLA_U32, 1),
	[DAXGUARD_A_START] = { .type = NLA_U64 },
	[DAXGUARD_A_LEN] = { .type = NLA_U64 },
	[DAXGUARD_A_FAILURE] = { .type = NLA_U64 },
	[DAXGUARD_A_BADBLOCKS] = { .type = NLA_FLAG },
};

static const struct genl_ops dg_ops[] = {
	{ .cmd = DAXGUARD_CMD_REGISTER, .doit = dg_do_register },
	{ .cmd = DAXGUARD_CMD_TAKE, .doit = dg_do_take },
	{ .cmd = DAXGUARD_CMD_ACK, .doit = dg_do_ack },
	{ .cmd = DAXGUARD_CMD_RELEASE, .doit = dg_do_release },
	{ .cmd = DAXGUARD_CMD_EXTEND, .doit = dg_do_extend },
	{ .cmd = DAXGUARD_CMD_SCAN, .doit = dg_do_scan },
	{ .cmd = DAXGUARD_CMD_SYNC, .doit = dg_do_save },
	{ .cmd = DAXGUARD_CMD_SHUTDOWN, .doit = dg_do_save },
	{ .cmd = DAXGUARD_CMD_SIGBUS, .doit = dg_do_sigbus },
	{ .cmd = DAXGUARD_CMD_FORGET, .doit = dg_do_forget },
	{ .cmd = DAXGUARD_CMD_UNMAP, .doit = dg_do_unmap },
	{ .cmd = DAXGUARD_CMD_CHECK, .doit = dg_do_check },
	{ .cmd = DAXGUARD_CMD_GET_PENDING, .start = dg_start_pending,
	  .dumpit = dg_dump_pending },
	{ .cmd = DAXGUARD_CMD_GET_HOLDERS, .start = dg_start_snapshot,
	  .dumpit = dg_dump_holders, .done = dg_done_snapshot },
	{ .cmd = DAXGUARD_CMD_GET_FS, .start = dg_start_snapshot,
	  .dumpit = dg_dump_fs, .done = dg_done_snapshot },
	{ .cmd = DAXGUARD_CMD_GET_FAILURES, .start = dg_start_failures,
	  .dumpit = dg_dump_failures },
};

static const struct genl_multicast_group dg_groups[] = {
	{ .name = DAXGUARD_MCGRP_EVENTS, .flags = GENL_MCAST_CAP_SYS_ADMIN },
};

struct genl_family dg_genl_family __ro_after_init = {
	.name = DAXGUARD_GENL_NAME,
	.version = DAXGUARD_GENL_VERSION,
	.maxattr = DAXGUARD_A_MAX,
	.policy = dg_policy,
	.parallel_ops = true,
	.module = THIS_MODULE,
	.ops = dg_ops,
	.n_ops = ARRAY_SIZE(dg_ops),
	.mcgrps = dg_groups,
	.n_mcgrps = ARRAY_SIZE(dg_groups),
};

static int dg_netlink_event(struct notifier_block *nb, unsigned long event, void *data)
{
	struct netlink_notify *notify = data;

	if (event != NETLINK_URELEASE || notify->protocol != NETLINK_GENERIC ||
	    !net_eq(notify->net, &init_net))
		return NOTIFY_DONE;
	dg_snapshot_drop_port(notify->portid);
	dg_daemon_gone(notify->portid);
	return NOTIFY_OK;
}

static struct notifier_block dg_netlink_notifier = { .notifier_call = dg_netlink_event };

int dg_genl_init(void)
{
	int ret = genl_register_family(&dg_genl_family);

	if (ret)
		return ret;
	ret = netlink_register_notifier(&dg_netlink_notifier);
	if (ret)
		genl_unregister_family(&dg_genl_family);
	return ret;
}

void dg_genl_exit(void)
{
	netlink_unregister_notifier(&dg_netlink_notifier);
	genl_unregister_family(&dg_genl_family);
}
