/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <linux/genetlink.h>
#include <netlink/genl/genl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/klink-internal.h"
#include "uapi/daxguard.h"

static int answer_message(void *userdata, const struct nlmsghdr *header, bool ours)
{
	struct klink_answer *answer = userdata;
	const struct genlmsghdr *message = nlmsg_data(header);

	if (nlmsg_datalen(header) < (int)GENL_HDRLEN)
		return 0;
	/* COMPLETED may come while we wait for something else, whatever number it bears. */
	if (!ours || message->cmd == DAXGUARD_CMD_COMPLETED) {
		klink_queue_completed(answer->link, header);
		return 0;
	}
	if (header->nlmsg_type != answer->link->family || !answer->decode)
		return 0;
	answer->n_messages++;
	return answer->decode(answer->to, message, (size_t)nlmsg_datalen(header));
}

struct nl_msg *klink_command_new(struct klink *link, uint8_t command, int flags)
{
	struct nl_msg *msg = nlmsg_alloc();

	if (msg && !genlmsg_put(msg, NL_AUTO_PORT, NL_AUTO_SEQ, link->family, 0, flags, command,
				DAXGUARD_GENL_VERSION)) {
		nlmsg_free(msg);
		return NULL;
	}
	return msg;
}

int klink_ask(struct klink *link, struct nl_msg *msg, struct klink_answer *answer)
{
	bool dump;
	int r;

	answer->link = link;
	if (!msg)
		return -ENOMEM;
	dump = (nlmsg_hdr(msg)->nlmsg_flags & NLM_F_DUMP) == NLM_F_DUMP;
	r = klink_socket_ask(&link->command, msg, answer_message, answer, link->error,
			     sizeof(link->error));
	nlmsg_free(msg);
	if (r == -ENOBUFS)
		klink_queue_lost(link);
	if (r == 0 && answer->decode && !dump && answer->n_messages != 1)
		return -EBADMSG;
	return r;
}

bool klink_is_there(struct klink *link)
{
	if (link->family != 0)
		return true;
	snprintf(link->error, sizeof(link->error), "the daxguard module is not loaded");
	return false;
}

/* {ID} and, where cookie is not NULL, {COOKIE}. NULL: no memory. */
static struct nl_msg *command_for(struct klink *link, uint8_t command, uint64_t id,
				  const uint8_t *cookie)
{
	struct nl_msg *msg = klink_command_new(link, command, 0);

	if (!msg)
		return NULL;
	if (nla_put_u64(msg, DAXGUARD_A_ID, id) < 0 ||
	    (cookie && nla_put(msg, DAXGUARD_A_COOKIE, DG_COOKIE_LEN, cookie) < 0)) {
		nlmsg_free(msg);
		return NULL;
	}
	return msg;
}

static int decode_info(void *to, const void *data, size_t len)
{
	return klink_decode_info(data, len, to);
}

static int decode_token(void *to, const void *data, size_t len)
{
	return klink_decode_token(data, len, to);
}

int klink_register(struct klink *link, struct klink_info *ret)
{
	struct klink_info info;
	struct klink_answer answer = {.decode = decode_info, .to = &info};
	int r;

	if (!klink_is_there(link))
		return -ENOENT;
	r = klink_ask(link, klink_command_new(link, DAXGUARD_CMD_REGISTER, 0), &answer);
	if (r < 0)
		return r;
	*ret = info;
	return 0;
}

struct requests {
	struct dg_request *items;
	size_t n_items;
};

static void requests_done(struct requests *requests)
{
	for (size_t i = 0; i < requests->n_items; i++)
		dg_request_done(&requests->items[i]);
	free(requests->items);
	*requests = (struct requests){0};
}

static int decode_pending(void *to, const void *data, size_t len)
{
	struct requests *requests = to;
	struct dg_request *grown;
	int r;

	grown = reallocarray(requests->items, requests->n_items + 1, sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	requests->items = grown;
	r = klink_decode_request(data, len, &grown[requests->n_items]);
	if (r < 0)
		return r;
	requests->n_items++;
	return 0;
}

int klink_get_pending(struct klink *link,
		      void (*func)(void *userdata, const struct dg_request *request),
		      void *userdata)
{
	struct requests requests = {0};
	int r = -EAGAIN;

	if (!klink_is_there(link))
		return -ENOENT;
	/* A dump that changes under our hands is begun again, not for ever. */
	for (int attempt = 0; r == -EAGAIN && attempt < 3; attempt++) {
		struct klink_answer answer = {.decode = decode_pending, .to = &requests};

		requests_done(&requests);
		r = klink_ask(link, klink_command_new(link, DAXGUARD_CMD_GET_PENDING, NLM_F_DUMP),
			      &answer);
	}
	/* All of it first: func will TAKE, on this very socket. */
	for (size_t i = 0; r == 0 && i < requests.n_items; i++)
		func(userdata, &requests.items[i]);
	requests_done(&requests);
	return r;
}

static int simple(struct klink *link, uint8_t command, uint64_t id, const uint8_t *cookie)
{
	struct klink_answer answer = {0};

	if (!klink_is_there(link))
		return -ENOENT;
	return klink_ask(link, command_for(link, command, id, cookie), &answer);
}

int klink_take(struct klink *link, uint64_t id)
{
	return simple(link, DAXGUARD_CMD_TAKE, id, NULL);
}

int klink_ack(struct klink *link, uint64_t id, const uint8_t cookie[DG_COOKIE_LEN])
{
	return simple(link, DAXGUARD_CMD_ACK, id, cookie);
}

int klink_release(struct klink *link, uint64_t id, const uint8_t cookie[DG_COOKIE_LEN])
{
	return simple(link, DAXGUARD_CMD_RELEASE, id, cookie);
}

int klink_extend(struct klink *link, uint64_t id, const uint8_t cookie[DG_COOKIE_LEN], uint32_t ms)
{
	struct klink_answer answer = {0};
	struct nl_msg *msg;

	if (!klink_is_there(link))
		return -ENOENT;
	msg = command_for(link, DAXGUARD_CMD_EXTEND, id, cookie);
	if (msg && nla_put_u32(msg, DAXGUARD_A_MS, ms) < 0) {
		nlmsg_free(msg);
		msg = NULL;
	}
	return klink_ask(link, msg, &answer);
}

int klink_ask_token(struct klink *link, struct nl_msg *msg, uint32_t *ret_token)
{
	uint32_t token = 0;
	struct klink_answer answer = {.decode = decode_token, .to = &token};
	int r;

	r = klink_ask(link, msg, &answer);
	if (r < 0)
		return r;
	*ret_token = token;
	return 0;
}

int klink_scan_request(struct klink *link, uint64_t id, uint32_t *ret_token)
{
	if (!klink_is_there(link))
		return -ENOENT;
	return klink_ask_token(link, command_for(link, DAXGUARD_CMD_SCAN, id, NULL), ret_token);
}

int klink_scan_device(struct klink *link, dg_dev_t dev, uint32_t *ret_token)
{
	struct nl_msg *msg;

	if (!klink_is_there(link))
		return -ENOENT;
	msg = klink_command_new(link, DAXGUARD_CMD_SCAN, 0);
	if (msg && nla_put_u64(msg, DAXGUARD_A_DEV, dev) < 0) {
		nlmsg_free(msg);
		msg = NULL;
	}
	return klink_ask_token(link, msg, ret_token);
}

int klink_sync(struct klink *link, uint64_t id, uint32_t *ret_token)
{
	if (!klink_is_there(link))
		return -ENOENT;
	return klink_ask_token(link, command_for(link, DAXGUARD_CMD_SYNC, id, NULL), ret_token);
}

int klink_shutdown(struct klink *link, uint64_t id, uint32_t *ret_token)
{
	if (!klink_is_there(link))
		return -ENOENT;
	return klink_ask_token(link, command_for(link, DAXGUARD_CMD_SHUTDOWN, id, NULL), ret_token);
}

static int decode_usages(void *to, const void *data, size_t len)
{
	struct dg_usage_list *list = to;
	struct dg_usage *grown;
	int r;

	grown = reallocarray(list->items, list->n_items + 1, sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	list->items = grown;
	r = klink_decode_usage(data, len, &grown[list->n_items]);
	if (r < 0)
		return r;
	list->n_items++;
	return 0;
}

static int decode_fses(void *to, const void *data, size_t len)
{
	struct dg_fs_list *list = to;
	struct dg_fs *grown;
	int r;

	grown = reallocarray(list->items, list->n_items + 1, sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	list->items = grown;
	r = klink_decode_fs(data, len, &grown[list->n_items]);
	if (r < 0)
		return r;
	list->n_items++;
	return 0;
}

static struct nl_msg *dump_of(struct klink *link, uint8_t command, uint32_t token)
{
	struct nl_msg *msg = klink_command_new(link, command, NLM_F_DUMP);

	if (msg && nla_put_u32(msg, DAXGUARD_A_TOKEN, token) < 0) {
		nlmsg_free(msg);
		return NULL;
	}
	return msg;
}

int klink_get_holders(struct klink *link, uint32_t token, struct dg_usage_list *ret)
{
	struct dg_usage_list list = {0};
	struct klink_answer answer = {.decode = decode_usages, .to = &list};
	int r;

	if (!klink_is_there(link))
		return -ENOENT;
	r = klink_ask(link, dump_of(link, DAXGUARD_CMD_GET_HOLDERS, token), &answer);
	if (r < 0) {
		dg_usage_list_done(&list);
		return r;
	}
	*ret = list;
	return 0;
}

int klink_get_fs(struct klink *link, uint32_t token, struct dg_fs_list *ret)
{
	struct dg_fs_list list = {0};
	struct klink_answer answer = {.decode = decode_fses, .to = &list};
	int r;

	if (!klink_is_there(link))
		return -ENOENT;
	r = klink_ask(link, dump_of(link, DAXGUARD_CMD_GET_FS, token), &answer);
	if (r < 0) {
		dg_fs_list_done(&list);
		return r;
	}
	*ret = list;
	return 0;
}

int klink_sigbus(struct klink *link, uint64_t id, pid_t pid, uint64_t start_ns, uint64_t addr,
		 uint8_t lsb, int code)
{
	struct klink_answer answer = {0};
	struct nl_msg *msg;

	if (!klink_is_there(link))
		return -ENOENT;
	msg = command_for(link, DAXGUARD_CMD_SIGBUS, id, NULL);
	if (msg && (nla_put_u32(msg, DAXGUARD_A_PID, (uint32_t)pid) < 0 ||
		    nla_put_u64(msg, DAXGUARD_A_START_NS, start_ns) < 0 ||
		    nla_put_u64(msg, DAXGUARD_A_ADDR, addr) < 0 ||
		    nla_put_u8(msg, DAXGUARD_A_LSB, lsb) < 0 ||
		    nla_put_u32(msg, DAXGUARD_A_CODE, (uint32_t)code) < 0)) {
		nlmsg_free(msg);
		msg = NULL;
	}
	return klink_ask(link, msg, &answer);
}
