/* SPDX-License-Identifier: GPL-2.0-only */
/* Between the commands (genl.c), the dumps (dump.c) and the messages (message.c). */
#ifndef _DAXGUARD_GENL_H
#define _DAXGUARD_GENL_H

#include <net/genetlink.h>

#include "daxguard.h"

extern struct genl_family dg_genl_family;

/* A region may have many targets, some 200 bytes each and 40 for each layer. */
#define DG_EVENT_SIZE	(16 * 1024)

/* A record of a failure, and so many who were told of it. */
#define DG_TOLD_SIZE	nla_total_size(nla_total_size(sizeof(u32)) + \
				       3 * nla_total_size_64bit(sizeof(u64)))
#define DG_FAILURE_SIZE(nr_told)	(1024 + (nr_told) * DG_TOLD_SIZE)

struct sk_buff *dg_msg_registered(struct genl_info *info);	/* or ERR_PTR */
/* -EMSGSIZE: no room; the message is left as it was */
int dg_msg_fill_request(struct sk_buff *skb, struct dg_request *req, u32 port, u32 seq,
			int flags, u8 cmd);
int dg_msg_fill_usage(struct sk_buff *skb, const struct dg_usage *usage, u32 port, u32 seq);
int dg_msg_fill_fs(struct sk_buff *skb, const struct dg_fs *fs, u32 port, u32 seq);

struct dg_failure;
/* more: the dump has others that were not sent */
int dg_msg_fill_failure(struct sk_buff *skb, const struct dg_failure *failure, bool more,
			u32 port, u32 seq, int flags, u8 cmd);

int dg_start_pending(struct netlink_callback *cb);
int dg_dump_pending(struct sk_buff *skb, struct netlink_callback *cb);
int dg_start_snapshot(struct netlink_callback *cb);
int dg_done_snapshot(struct netlink_callback *cb);
int dg_dump_holders(struct sk_buff *skb, struct netlink_callback *cb);
int dg_dump_fs(struct sk_buff *skb, struct netlink_callback *cb);
int dg_start_failures(struct netlink_callback *cb);
int dg_dump_failures(struct sk_buff *skb, struct netlink_callback *cb);

#endif
