/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <linux/genetlink.h>
#include <netlink/genl/genl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/klink-internal.h"
#include "uapi/daxguard.h"

#define REFRESH_AGAIN_US 1000000ULL

/* What the kernel says of one generic netlink family. */
struct family {
	const char *name;
	uint16_t id;
	const struct nlattr *groups;
};

static int family_decode(const struct nlmsghdr *header, struct family *ret)
{
	struct nlattr *attrs[CTRL_ATTR_MAX + 1];
	struct nla_policy policy[CTRL_ATTR_MAX + 1] = {
		[CTRL_ATTR_FAMILY_ID] = {.type = NLA_U16},
		[CTRL_ATTR_FAMILY_NAME] = {.type = NLA_NUL_STRING, .maxlen = GENL_NAMSIZ},
		[CTRL_ATTR_MCAST_GROUPS] = {.type = NLA_NESTED},
	};

	if (nlmsg_parse((struct nlmsghdr *)header, GENL_HDRLEN, attrs, CTRL_ATTR_MAX, policy) < 0 ||
	    !attrs[CTRL_ATTR_FAMILY_ID] || !attrs[CTRL_ATTR_FAMILY_NAME])
		return -EBADMSG;
	*ret = (struct family){
		.name = nla_data(attrs[CTRL_ATTR_FAMILY_NAME]),
		.id = nla_get_u16(attrs[CTRL_ATTR_FAMILY_ID]),
		.groups = attrs[CTRL_ATTR_MCAST_GROUPS],
	};
	return 0;
}

/* 0: there is no such group. */
static uint32_t family_group(const struct family *family, const char *name)
{
	struct nla_policy policy[CTRL_ATTR_MCAST_GRP_MAX + 1] = {
		[CTRL_ATTR_MCAST_GRP_NAME] = {.type = NLA_NUL_STRING, .maxlen = GENL_NAMSIZ},
		[CTRL_ATTR_MCAST_GRP_ID] = {.type = NLA_U32},
	};
	struct nlattr *attrs[CTRL_ATTR_MCAST_GRP_MAX + 1], *group;
	int rem;

	if (!family->groups)
		return 0;
	for (group = nla_data(family->groups), rem = nla_len(family->groups);
	     rem > 0 && nla_ok(group, rem); group = nla_next(group, &rem)) {
		if (nla_parse_nested(attrs, CTRL_ATTR_MCAST_GRP_MAX, group, policy) < 0 ||
		    !attrs[CTRL_ATTR_MCAST_GRP_NAME] || !attrs[CTRL_ATTR_MCAST_GRP_ID])
			continue;
		if (strcmp(nla_data(attrs[CTRL_ATTR_MCAST_GRP_NAME]), name) == 0)
			return nla_get_u32(attrs[CTRL_ATTR_MCAST_GRP_ID]);
	}
	return 0;
}

struct families {
	struct klink *link;
	uint16_t id;            /* daxguard */
	uint32_t events;        /* its group */
	uint32_t notifications; /* of nlctrl */
};

static int families_reply(void *userdata, const struct nlmsghdr *header, bool answer)
{
	struct families *families = userdata;
	struct family family;

	if (!answer)
		return klink_queue_completed(families->link, header);
	if (header->nlmsg_type != GENL_ID_CTRL || family_decode(header, &family) < 0)
		return 0;
	if (strcmp(family.name, "nlctrl") == 0) {
		families->notifications = family_group(&family, "notify");
	} else if (strcmp(family.name, DAXGUARD_GENL_NAME) == 0) {
		families->id = family.id;
		families->events = family_group(&family, DAXGUARD_MCGRP_EVENTS);
	}
	return 0;
}

/*
 * By a dump, though one could ask for a name: for a name that it does not
 * know the kernel runs modprobe, within our own call.
 */
static int families_read(struct klink *link, struct families *ret)
{
	struct families families = {.link = link};
	char error[sizeof(link->error)];
	struct nl_msg *msg;
	int r = -EAGAIN;

	for (int attempt = 0; r == -EAGAIN && attempt < 3; attempt++) {
		msg = nlmsg_alloc();
		if (!msg || !genlmsg_put(msg, NL_AUTO_PORT, NL_AUTO_SEQ, GENL_ID_CTRL, 0,
					 NLM_F_DUMP, CTRL_CMD_GETFAMILY, 1)) {
			nlmsg_free(msg);
			return -ENOMEM;
		}
		r = klink_socket_ask(&link->command, msg, families_reply, &families, error,
				     sizeof(error));
		nlmsg_free(msg);
	}
	if (r < 0)
		return r;
	*ret = families;
	return 0;
}

/* Look whether the module is there, and listen to it. */
static int family_find(struct klink *link)
{
	struct families families;
	int r;

	r = families_read(link, &families);
	if (r < 0)
		return r;
	if (families.id != 0 && families.id != link->family) {
		r = klink_socket_join(&link->events, families.events);
		if (r < 0)
			return r;
	}
	link->family = families.id;
	return 0;
}

static void family_gone(struct klink *link)
{
	if (link->family == 0)
		return;
	link->family = 0;
	link->ops.module(link->userdata, false);
}

/* The module may have come, gone, or both. */
static void family_refresh(struct klink *link)
{
	uint16_t before = link->family;

	if (family_find(link) < 0) {
		/* Not known: what is open is not given up for that. Asked again soon. */
		link->family = before;
		if (sd_event_source_set_time_relative(link->again, REFRESH_AGAIN_US) >= 0)
			sd_event_source_set_enabled(link->again, SD_EVENT_ONESHOT);
		return;
	}
	if (link->family == before)
		return;
	if (before != 0)
		link->ops.module(link->userdata, false);
	if (link->family != 0)
		link->ops.module(link->userdata, true);
}

static int on_again(sd_event_source *source, uint64_t usec, void *userdata)
{
	family_refresh(userdata);
	return 0;
}

static void family_notified(struct klink *link, const struct nlmsghdr *header)
{
	struct family family;

	if (family_decode(header, &family) < 0 || strcmp(family.name, DAXGUARD_GENL_NAME) != 0)
		return;
	switch (((const struct genlmsghdr *)nlmsg_data(header))->cmd) {
	case CTRL_CMD_DELFAMILY:
		if (family.id == link->family)
			family_gone(link);
		break;
	case CTRL_CMD_NEWFAMILY:
		if (family.id != link->family)
			family_refresh(link);
		break;
	default:
		break;
	}
}

static void event_message(void *userdata, const struct nlmsghdr *header)
{
	struct klink *link = userdata;
	const void *data = nlmsg_data(header);
	size_t len = (size_t)nlmsg_datalen(header);
	struct dg_failure_record failure;
	struct dg_request request;
	struct dg_done done;

	if (nlmsg_datalen(header) < (int)GENL_HDRLEN)
		return;
	if (header->nlmsg_type == GENL_ID_CTRL) {
		family_notified(link, header);
		return;
	}
	/* In no other group are we: a number we do not know is the module's new one. */
	if (header->nlmsg_type != link->family)
		family_refresh(link);
	if (header->nlmsg_type != link->family)
		return;
	switch (((const struct genlmsghdr *)data)->cmd) {
	case DAXGUARD_CMD_EVENT:
		if (klink_decode_request(data, len, &request) < 0) {
			klink_queue_lost(link);
			return;
		}
		link->ops.event(link->userdata, &request);
		dg_request_done(&request);
		break;
	case DAXGUARD_CMD_DONE:
		if (klink_decode_done(data, len, &done) < 0) {
			klink_queue_lost(link);
			return;
		}
		link->ops.done(link->userdata, &done);
		break;
	case DAXGUARD_CMD_FAILURE:
		if (klink_decode_failure(data, len, &failure) < 0) {
			klink_queue_lost(link);
			return;
		}
		link->ops.failure(link->userdata, &failure);
		dg_failure_record_done(&failure);
		break;
	default: /* of a newer module */
		break;
	}
}

static int on_events(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
	struct klink *link = userdata;
	ssize_t n = klink_socket_receive(&link->events);

	if (n >= 0) {
		klink_socket_walk(&link->events, (size_t)n, event_message, link);
	} else if (n != -EAGAIN) {
		/* What was dropped may have been the module's own coming or going. */
		family_refresh(link);
		klink_queue_lost(link);
	}
	return 0;
}

int klink_queue_completed(struct klink *link, const struct nlmsghdr *header)
{
	const void *data = nlmsg_data(header);
	struct klink_completed completed, *grown;

	if (link->family == 0 || header->nlmsg_type != link->family ||
	    nlmsg_datalen(header) < (int)GENL_HDRLEN ||
	    ((const struct genlmsghdr *)data)->cmd != DAXGUARD_CMD_COMPLETED)
		return 0;
	grown = reallocarray(link->completed, link->n_completed + 1, sizeof(*grown));
	if (!grown) {
		klink_queue_lost(link);
		return -ENOMEM;
	}
	link->completed = grown;
	if (klink_decode_completed(data, (size_t)nlmsg_datalen(header), &completed) < 0) {
		klink_queue_lost(link);
		return 0;
	}
	grown[link->n_completed++] = completed;
	sd_event_source_set_enabled(link->deferred, SD_EVENT_ONESHOT);
	return 0;
}

void klink_queue_lost(struct klink *link)
{
	link->lost = true;
	sd_event_source_set_enabled(link->deferred, SD_EVENT_ONESHOT);
}

static void command_message(void *userdata, const struct nlmsghdr *header)
{
	klink_queue_completed(userdata, header);
}

/* Nobody waits for an answer now: what comes is COMPLETED, or late. */
static int on_command(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
	struct klink *link = userdata;
	ssize_t n = klink_socket_receive(&link->command);

	if (n >= 0)
		klink_socket_walk(&link->command, (size_t)n, command_message, link);
	else if (n != -EAGAIN)
		klink_queue_lost(link);
	return 0;
}

static int on_deferred(sd_event_source *source, void *userdata)
{
	struct klink *link = userdata;

	/* The callbacks ask questions, and more may arrive meanwhile. */
	if (link->n_completed > 0) {
		struct klink_completed completed = link->completed[0];

		memmove(link->completed, link->completed + 1,
			--link->n_completed * sizeof(*link->completed));
		link->ops.completed(link->userdata, completed.token, completed.error,
				    completed.truncated);
	} else if (link->lost) {
		link->lost = false;
		link->ops.lost(link->userdata);
	}
	if (link->n_completed > 0 || link->lost)
		sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
	return 0;
}

static int add_sources(struct klink *link)
{
	int r;

	r = sd_event_add_defer(link->event, &link->deferred, on_deferred, link);
	if (r < 0)
		return r;
	r = sd_event_source_set_enabled(link->deferred, SD_EVENT_OFF);
	if (r < 0)
		return r;
	r = sd_event_add_time(link->event, &link->again, CLOCK_MONOTONIC, 0, 0, on_again, link);
	if (r < 0)
		return r;
	r = sd_event_source_set_enabled(link->again, SD_EVENT_OFF);
	if (r < 0)
		return r;
	r = sd_event_add_io(link->event, &link->command_source, klink_socket_fd(&link->command),
			    EPOLLIN, on_command, link);
	if (r < 0)
		return r;
	r = sd_event_add_io(link->event, &link->events_source, klink_socket_fd(&link->events),
			    EPOLLIN, on_events, link);
	if (r < 0)
		return r;
	return sd_event_source_set_priority(link->events_source, KLINK_PRIORITY_EVENTS);
}

/* Listen for families first, then look: one that comes in between is seen twice, not never. */
static int listen_and_find(struct klink *link)
{
	struct families families;
	int r;

	r = families_read(link, &families);
	if (r < 0)
		return r;
	r = klink_socket_join(&link->events, families.notifications);
	if (r < 0)
		return r;
	return family_find(link);
}

int klink_new(sd_event *event, const struct klink_ops *ops, void *userdata, struct klink **ret)
{
	struct klink *link;
	int r;

	link = calloc(1, sizeof(*link));
	if (!link)
		return -ENOMEM;
	link->event = sd_event_ref(event);
	link->ops = *ops;
	link->userdata = userdata;
	r = klink_socket_open(&link->command);
	if (r >= 0)
		r = klink_socket_open(&link->events);
	if (r >= 0)
		r = add_sources(link);
	if (r >= 0)
		r = listen_and_find(link);
	if (r < 0) {
		klink_free(link);
		return r;
	}
	*ret = link;
	return 0;
}

struct klink *klink_free(struct klink *link)
{
	if (!link)
		return NULL;
	sd_event_source_disable_unref(link->events_source);
	sd_event_source_disable_unref(link->command_source);
	sd_event_source_disable_unref(link->deferred);
	sd_event_source_disable_unref(link->again);
	klink_socket_close(&link->events);
	klink_socket_close(&link->command);
	free(link->completed);
	sd_event_unref(link->event);
	free(link);
	return NULL;
}

bool klink_module_present(struct klink *link)
{
	return link->family != 0;
}

const char *klink_error(struct klink *link)
{
	return link->error;
}
