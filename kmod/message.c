// SPDX-License-Identifier: GPL-2.0-only
/* Messages out: events, answers, and the rows of dumps. */
#include <linux/slab.h>
#include <net/genetlink.h>
#include <net/net_namespace.h>

#include "compat.h"
#include "failure.h"
#include "genl.h"

static int dg_put_u64(struct sk_buff *skb, int attr, u64 value)
{
	return nla_put_u64_64bit(skb, attr, value, DAXGUARD_A_PAD);
}

static int dg_put_dev(struct sk_buff *skb, int attr, dev_t dev)
{
	return dg_put_u64(skb, attr, (u64)MAJOR(dev) << 32 | MINOR(dev));
}

static int dg_put_range(struct sk_buff *skb, const struct dg_target *target)
{
	struct nlattr *nest;

	if (!target->nr_pfns)
		return 0;
	nest = nla_nest_start(skb, DAXGUARD_A_RANGE);
	if (!nest || dg_put_u64(skb, DAXGUARD_A_START, PFN_PHYS(target->pfn)) ||
	    dg_put_u64(skb, DAXGUARD_A_LEN, (u64)target->nr_pfns << PAGE_SHIFT))
		return -EMSGSIZE;
	nla_nest_end(skb, nest);
	return 0;
}

static int dg_put_stack(struct sk_buff *skb, const struct dg_target *target)
{
	unsigned int i;

	for (i = 0; i < target->nr_stack; i++) {
		struct nlattr *nest = nla_nest_start(skb, DAXGUARD_A_STACK);

		if (!nest || nla_put_string(skb, DAXGUARD_A_NAME, target->stack[i].name) ||
		    dg_put_dev(skb, DAXGUARD_A_DEV, target->stack[i].dev))
			return -EMSGSIZE;
		nla_nest_end(skb, nest);
	}
	return 0;
}

static int dg_put_target(struct sk_buff *skb, const struct dg_target *target)
{
	struct nlattr *nest = nla_nest_start(skb, DAXGUARD_A_TARGET);

	if (!nest || nla_put_string(skb, DAXGUARD_A_NAME, dg_target_name(target)) ||
	    dg_put_dev(skb, DAXGUARD_A_DEV, target->dev->devt) ||
	    nla_put_u8(skb, DAXGUARD_A_MODE, target->mode) ||
	    nla_put_string(skb, DAXGUARD_A_NS_DEVICE, dev_name(target->nd_dev)) ||
	    (target->has_uuid &&
	     nla_put(skb, DAXGUARD_A_NS_UUID, sizeof(target->uuid), &target->uuid)) ||
	    (target->in_use && nla_put_flag(skb, DAXGUARD_A_IN_USE)) ||
	    dg_put_range(skb, target) || dg_put_stack(skb, target))
		return -EMSGSIZE;
	nla_nest_end(skb, nest);
	return 0;
}

/* false: not all fit, and there is room to say so. */
static bool dg_put_targets(struct sk_buff *skb, const struct dg_request *req)
{
	struct dg_target *target;

	list_for_each_entry(target, &req->targets, node) {
		bool last = list_is_last(&target->node, &req->targets);
		void *before = skb_tail_pointer(skb);

		if (!dg_put_target(skb, target) &&
		    (last || skb_tailroom(skb) >= nla_total_size(0)))
			continue;
		nlmsg_trim(skb, before);
		return false;
	}
	return true;
}

static int dg_put_request(struct sk_buff *skb, struct dg_request *req)
{
	u32 elapsed = ktime_ms_delta(ktime_get(), req->begin);
	u32 cap = ktime_ms_delta(req->cap, req->begin);

	if (dg_put_u64(skb, DAXGUARD_A_ID, req->id) ||
	    nla_put_string(skb, DAXGUARD_A_BOOT_ID, dg_boot_id) ||
	    nla_put(skb, DAXGUARD_A_COOKIE, sizeof(req->cookie), req->cookie) ||
	    nla_put_string(skb, DAXGUARD_A_DEVICE, req->device) ||
	    nla_put_string(skb, DAXGUARD_A_BUS, req->bus) ||
	    nla_put_string(skb, DAXGUARD_A_DRIVER, req->driver) ||
	    nla_put_u32(skb, DAXGUARD_A_FLAGS, req->flags) ||
	    nla_put_u8(skb, DAXGUARD_A_STATE, req->state) ||
	    nla_put_u32(skb, DAXGUARD_A_DEADLINE_MS, dg_request_left_ms(req)) ||
	    nla_put_u32(skb, DAXGUARD_A_ELAPSED_MS, elapsed) ||
	    nla_put_u32(skb, DAXGUARD_A_CAP_MS, cap) ||
	    nla_put_u32(skb, DAXGUARD_A_UNBINDER_PID, req->unbinder_pid) ||
	    dg_put_u64(skb, DAXGUARD_A_UNBINDER_START_NS, req->unbinder_start_ns))
		return -EMSGSIZE;
	return 0;
}

/*
 * Targets that do not fit are said to be missing, if the message is alone; all
 * of them are revoked. Behind others it does not fit.
 */
int dg_msg_fill_request(struct sk_buff *skb, struct dg_request *req, u32 port, u32 seq,
			int flags, u8 cmd)
{
	bool alone = !skb->len;
	void *hdr = genlmsg_put(skb, port, seq, &dg_genl_family, flags, cmd);

	if (!hdr)
		return -EMSGSIZE;
	if (dg_put_request(skb, req) ||
	    (!dg_put_targets(skb, req) &&
	     (!alone || nla_put_flag(skb, DAXGUARD_A_TRUNCATED)))) {
		genlmsg_cancel(skb, hdr);
		return -EMSGSIZE;
	}
	genlmsg_end(skb, hdr);
	return 0;
}

static int dg_put_process(struct sk_buff *skb, const struct dg_usage *usage)
{
	if (!usage->pid)
		return nla_put_u32(skb, DAXGUARD_A_PID, 0);
	if (nla_put_u32(skb, DAXGUARD_A_PID, usage->pid) ||
	    nla_put_u32(skb, DAXGUARD_A_TID, usage->tid) ||
	    dg_put_u64(skb, DAXGUARD_A_START_NS, usage->start_ns) ||
	    nla_put_string(skb, DAXGUARD_A_COMM, usage->comm) ||
	    nla_put_u32(skb, DAXGUARD_A_UID, usage->uid) ||
	    dg_put_u64(skb, DAXGUARD_A_SIG_CAUGHT, usage->caught) ||
	    dg_put_u64(skb, DAXGUARD_A_SIG_BLOCKED, usage->blocked) ||
	    dg_put_u64(skb, DAXGUARD_A_SIG_IGNORED, usage->ignored))
		return -EMSGSIZE;
	return 0;
}

int dg_msg_fill_usage(struct sk_buff *skb, const struct dg_usage *usage, u32 port, u32 seq)
{
	void *hdr = genlmsg_put(skb, port, seq, &dg_genl_family, NLM_F_MULTI,
				DAXGUARD_CMD_GET_HOLDERS);

	if (!hdr)
		return -EMSGSIZE;
	if (dg_put_process(skb, usage) ||
	    nla_put_u8(skb, DAXGUARD_A_HOLDER_USE, usage->use) ||
	    nla_put_u32(skb, DAXGUARD_A_HOLDER_FLAGS, usage->flags) ||
	    dg_put_dev(skb, DAXGUARD_A_FS_DEV, usage->fs_dev) ||
	    dg_put_u64(skb, DAXGUARD_A_INO, usage->ino) ||
	    dg_put_u64(skb, DAXGUARD_A_ADDR, usage->addr) ||
	    dg_put_u64(skb, DAXGUARD_A_LEN, usage->len) ||
	    dg_put_u64(skb, DAXGUARD_A_OFFSET, usage->offset) ||
	    nla_put_u32(skb, DAXGUARD_A_COUNT, usage->count) ||
	    (usage->shared_with &&
	     nla_put_u32(skb, DAXGUARD_A_SHARED_WITH, usage->shared_with))) {
		genlmsg_cancel(skb, hdr);
		return -EMSGSIZE;
	}
	genlmsg_end(skb, hdr);
	return 0;
}

int dg_msg_fill_fs(struct sk_buff *skb, const struct dg_fs *fs, u32 port, u32 seq)
{
	void *hdr = genlmsg_put(skb, port, seq, &dg_genl_family, NLM_F_MULTI,
				DAXGUARD_CMD_GET_FS);

	if (!hdr)
		return -EMSGSIZE;
	if (dg_put_dev(skb, DAXGUARD_A_FS_DEV, fs->fs_dev) ||
	    dg_put_dev(skb, DAXGUARD_A_DEV, fs->dev) ||
	    nla_put_string(skb, DAXGUARD_A_FS_TYPE, fs->type) ||
	    nla_put_u32(skb, DAXGUARD_A_FS_FLAGS, fs->flags) ||
	    dg_put_u64(skb, DAXGUARD_A_INODES, fs->inodes) ||
	    dg_put_u64(skb, DAXGUARD_A_ENTRIES, fs->entries)) {
		genlmsg_cancel(skb, hdr);
		return -EMSGSIZE;
	}
	genlmsg_end(skb, hdr);
	return 0;
}

/* The kernel's own words, of include/ras or include/trace/events. */
static const char *const dg_mf_results[] = {
	[MF_IGNORED] = "Ignored",
	[MF_FAILED] = "Failed",
	[MF_DELAYED] = "Delayed",
	[MF_RECOVERED] = "Recovered",
};

static u32 dg_failure_flags(const struct dg_failure *failure, bool more)
{
	u32 flags = failure->flags | (more ? DAXGUARD_FAIL_MORE : 0);

	switch (failure->place.kind) {
	case DG_PLACE_NONE:
		return flags | DAXGUARD_FAIL_NO_FILE;
	case DG_PLACE_SHARED:
		return flags | DAXGUARD_FAIL_SHARED;
	case DG_PLACE_UNKNOWN:
		return flags | DAXGUARD_FAIL_WIDENED;
	default:
		return flags;
	}
}

static int dg_put_kernels_words(struct sk_buff *skb, const struct dg_failure *failure)
{
	if (failure->source != DAXGUARD_SOURCE_MEMORY_FAILURE)
		return 0;
	if (nla_put_string(skb, DAXGUARD_A_MF_TYPE, "dax page") ||
	    nla_put_string(skb, DAXGUARD_A_MF_RESULT,
			   failure->result < ARRAY_SIZE(dg_mf_results) ?
			   dg_mf_results[failure->result] : "?"))
		return -EMSGSIZE;
	return 0;
}

static int dg_put_identity(struct sk_buff *skb, const struct dg_identity *id)
{
	if (nla_put_string(skb, DAXGUARD_A_NAME, id->name) ||
	    dg_put_dev(skb, DAXGUARD_A_DEV, id->dev) ||
	    nla_put_u8(skb, DAXGUARD_A_MODE, id->mode) ||
	    nla_put_string(skb, DAXGUARD_A_NS_DEVICE, id->nd_name) ||
	    (id->has_uuid && nla_put(skb, DAXGUARD_A_NS_UUID, sizeof(id->uuid), &id->uuid)))
		return -EMSGSIZE;
	return 0;
}

static int dg_put_place(struct sk_buff *skb, const struct dg_failure *failure)
{
	const struct dg_place *place = &failure->place;
	struct nlattr *nest = nla_nest_start(skb, DAXGUARD_A_RANGE);

	if (!nest ||
	    (failure->has_phys && dg_put_u64(skb, DAXGUARD_A_START, failure->phys)) ||
	    dg_put_u64(skb, DAXGUARD_A_LEN, failure->len))
		return -EMSGSIZE;
	nla_nest_end(skb, nest);
	if (dg_put_u64(skb, DAXGUARD_A_DISK_OFFSET, failure->offset))
		return -EMSGSIZE;
	if (place->kind != DG_PLACE_FILE)
		return 0;
	if (dg_put_dev(skb, DAXGUARD_A_FS_DEV, place->fs_dev) ||
	    dg_put_u64(skb, DAXGUARD_A_INO, place->ino) ||
	    nla_put_u32(skb, DAXGUARD_A_GENERATION, place->generation) ||
	    dg_put_u64(skb, DAXGUARD_A_OFFSET, place->offset))
		return -EMSGSIZE;
	return 0;
}

static int dg_put_told(struct sk_buff *skb, const struct dg_failure *failure)
{
	unsigned int i;

	for (i = 0; i < failure->nr_told; i++) {
		const struct dg_told *told = &failure->told[i];
		struct nlattr *nest = nla_nest_start(skb, DAXGUARD_A_TOLD);

		if (!nest || nla_put_u32(skb, DAXGUARD_A_PID, told->pid) ||
		    dg_put_u64(skb, DAXGUARD_A_START_NS, told->start_ns) ||
		    dg_put_u64(skb, DAXGUARD_A_ADDR, told->addr) ||
		    dg_put_u64(skb, DAXGUARD_A_LEN, told->len))
			return -EMSGSIZE;
		nla_nest_end(skb, nest);
	}
	return 0;
}

int dg_msg_fill_failure(struct sk_buff *skb, const struct dg_failure *failure, bool more,
			u32 port, u32 seq, int flags, u8 cmd)
{
	void *hdr = genlmsg_put(skb, port, seq, &dg_genl_family, flags, cmd);

	if (!hdr)
		return -EMSGSIZE;
	if (dg_put_u64(skb, DAXGUARD_A_FAILURE, failure->serial) ||
	    nla_put_u8(skb, DAXGUARD_A_SOURCE, failure->source) ||
	    dg_put_kernels_words(skb, failure) ||
	    nla_put_u32(skb, DAXGUARD_A_FAILURE_FLAGS, dg_failure_flags(failure, more)) ||
	    dg_put_identity(skb, &failure->dev->id) || dg_put_place(skb, failure) ||
	    nla_put_u32(skb, DAXGUARD_A_COUNT, failure->count) ||
	    dg_put_u64(skb, DAXGUARD_A_TIME_NS, failure->time_ns) || dg_put_told(skb, failure)) {
		genlmsg_cancel(skb, hdr);
		return -EMSGSIZE;
	}
	genlmsg_end(skb, hdr);
	return 0;
}

struct sk_buff *dg_msg_registered(struct genl_info *info)
{
	struct sk_buff *msg = genlmsg_new(NLMSG_DEFAULT_SIZE, GFP_KERNEL);
	void *hdr;

	if (!msg)
		return ERR_PTR(-ENOMEM);
	hdr = genlmsg_put_reply(msg, info, &dg_genl_family, 0, DAXGUARD_CMD_REGISTER);
	if (!hdr || nla_put_string(msg, DAXGUARD_A_VERSION, DG_VERSION) ||
	    nla_put_string(msg, DAXGUARD_A_BOOT_ID, dg_boot_id) ||
	    nla_put_u32(msg, DAXGUARD_A_HOLD_MS, dg_hold_ms) ||
	    nla_put_u32(msg, DAXGUARD_A_CAP_MS, dg_cap_ms) ||
	    nla_put_u32(msg, DAXGUARD_A_ACTIVATION_MS, dg_activation_ms)) {
		nlmsg_free(msg);
		return ERR_PTR(-EMSGSIZE);
	}
	genlmsg_end(msg, hdr);
	return msg;
}

static void dg_multicast(struct sk_buff *msg, gfp_t gfp)
{
	/* -ESRCH: nobody listens, which the activation wait deals with. */
	genlmsg_multicast(&dg_genl_family, msg, 0, 0, gfp);
}

void dg_genl_event(struct dg_request *req)
{
	struct sk_buff *msg = genlmsg_new(DG_EVENT_SIZE, GFP_KERNEL);
	int ret;

	if (!msg)
		return;
	mutex_lock(&dg_lock);
	ret = dg_msg_fill_request(msg, req, 0, 0, 0, DAXGUARD_CMD_EVENT);
	mutex_unlock(&dg_lock);
	if (ret)
		nlmsg_free(msg);
	else
		dg_multicast(msg, GFP_KERNEL);
}

int dg_genl_failure(const struct dg_failure *failure, bool more)
{
	struct sk_buff *msg = genlmsg_new(DG_FAILURE_SIZE(failure->nr_told), GFP_KERNEL);

	if (!msg)
		return -ENOMEM;
	if (dg_msg_fill_failure(msg, failure, more, 0, 0, 0, DAXGUARD_CMD_FAILURE))
		nlmsg_free(msg);
	else
		dg_multicast(msg, GFP_KERNEL);
	return 0;
}

static int dg_fill_done(struct sk_buff *msg, struct dg_request *req)
{
	void *hdr = genlmsg_put(msg, 0, 0, &dg_genl_family, 0, DAXGUARD_CMD_DONE);

	if (!hdr || dg_put_u64(msg, DAXGUARD_A_ID, req->id) ||
	    nla_put_u8(msg, DAXGUARD_A_RESULT, req->result) ||
	    nla_put_u8(msg, DAXGUARD_A_REVOKE, req->revoke) ||
	    dg_put_u64(msg, DAXGUARD_A_INODES, req->revoked.inodes) ||
	    dg_put_u64(msg, DAXGUARD_A_ENTRIES, req->revoked.entries) ||
	    dg_put_u64(msg, DAXGUARD_A_VMAS, req->revoked.vmas) ||
	    dg_put_u64(msg, DAXGUARD_A_PAGES_PINNED, req->revoked.pinned) ||
	    nla_put_u32(msg, DAXGUARD_A_SHUTDOWNS, req->revoked.shutdowns) ||
	    dg_put_u64(msg, DAXGUARD_A_HELD_US, ktime_us_delta(req->ended, req->begin)) ||
	    dg_put_u64(msg, DAXGUARD_A_REVOKE_US, req->revoke_us))
		return -EMSGSIZE;
	genlmsg_end(msg, hdr);
	return 0;
}

struct sk_buff *dg_genl_done_alloc(void)
{
	return genlmsg_new(NLMSG_DEFAULT_SIZE, GFP_KERNEL);
}

void dg_genl_done(struct dg_request *req, struct sk_buff *msg)
{
	lockdep_assert_held(&dg_lock);
	if (dg_fill_done(msg, req))
		nlmsg_free(msg);
	else
		dg_multicast(msg, GFP_ATOMIC);
}

void dg_genl_completed(u32 port, u32 token, int error, bool truncated)
{
	struct sk_buff *msg = genlmsg_new(NLMSG_DEFAULT_SIZE, GFP_KERNEL);
	void *hdr;

	if (!msg)
		return;
	hdr = genlmsg_put(msg, port, 0, &dg_genl_family, 0, DAXGUARD_CMD_COMPLETED);
	if (!hdr || nla_put_u32(msg, DAXGUARD_A_TOKEN, token) ||
	    nla_put_u32(msg, DAXGUARD_A_ERROR, error) ||
	    (truncated && nla_put_flag(msg, DAXGUARD_A_TRUNCATED))) {
		nlmsg_free(msg);
		return;
	}
	genlmsg_end(msg, hdr);
	genlmsg_unicast(&init_net, msg, port);
}
