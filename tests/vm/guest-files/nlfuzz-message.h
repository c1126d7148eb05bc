/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What nlfuzz says: messages of the module's family, right and spoiled, with
 * values that were learnt from answers or are odd.
 */
#pragma once

#include <linux/genetlink.h>
#include <linux/netlink.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "daxguard.h"

#define KEPT 8

enum kind { OTHER, U8, U32, U64, BYTES };

static const uint8_t kinds[DAXGUARD_A_MAX + 1] = {
	[DAXGUARD_A_ID] = U64,      [DAXGUARD_A_COOKIE] = BYTES, [DAXGUARD_A_DEV] = U64,
	[DAXGUARD_A_TOKEN] = U32,   [DAXGUARD_A_PID] = U32,      [DAXGUARD_A_START_NS] = U64,
	[DAXGUARD_A_ADDR] = U64,    [DAXGUARD_A_LSB] = U8,       [DAXGUARD_A_CODE] = U32,
	[DAXGUARD_A_MS] = U32,      [DAXGUARD_A_START] = U64,    [DAXGUARD_A_LEN] = U64,
	[DAXGUARD_A_FAILURE] = U64,
};

static const struct {
	uint8_t cmd, weight;
	bool dump;
	uint8_t attrs[6];
} commands[] = {
	{DAXGUARD_CMD_REGISTER, 2, false, {0}},
	{DAXGUARD_CMD_TAKE, 4, false, {DAXGUARD_A_ID}},
	{DAXGUARD_CMD_ACK, 4, false, {DAXGUARD_A_ID, DAXGUARD_A_COOKIE}},
	{DAXGUARD_CMD_EXTEND, 4, false, {DAXGUARD_A_ID, DAXGUARD_A_COOKIE, DAXGUARD_A_MS}},
	{DAXGUARD_CMD_GET_PENDING, 4, true, {0}},
	{DAXGUARD_CMD_SCAN, 6, false, {DAXGUARD_A_DEV}},
	{DAXGUARD_CMD_SCAN, 6, false, {DAXGUARD_A_ID}},
	{DAXGUARD_CMD_GET_HOLDERS, 6, true, {DAXGUARD_A_TOKEN}},
	{DAXGUARD_CMD_GET_FS, 4, true, {DAXGUARD_A_TOKEN}},
	{DAXGUARD_CMD_SYNC, 3, false, {DAXGUARD_A_ID}},
	{DAXGUARD_CMD_SHUTDOWN, 1, false, {DAXGUARD_A_ID}},
	{DAXGUARD_CMD_SIGBUS,
	 4,
	 false,
	 {DAXGUARD_A_ID, DAXGUARD_A_PID, DAXGUARD_A_START_NS, DAXGUARD_A_ADDR, DAXGUARD_A_LSB,
	  DAXGUARD_A_CODE}},
	{DAXGUARD_CMD_SIGBUS,
	 2,
	 false,
	 {DAXGUARD_A_DEV, DAXGUARD_A_PID, DAXGUARD_A_START_NS, DAXGUARD_A_ADDR, DAXGUARD_A_LSB,
	  DAXGUARD_A_CODE}},
	{DAXGUARD_CMD_SCAN, 3, false, {DAXGUARD_A_DEV, DAXGUARD_A_START, DAXGUARD_A_LEN}},
	{DAXGUARD_CMD_UNMAP, 3, false, {DAXGUARD_A_DEV, DAXGUARD_A_START, DAXGUARD_A_LEN}},
	{DAXGUARD_CMD_CHECK, 2, false, {DAXGUARD_A_DEV}},
	{DAXGUARD_CMD_FORGET, 2, false, {DAXGUARD_A_FAILURE}},
	{DAXGUARD_CMD_GET_FAILURES, 4, true, {0}},
};
#define N_COMMANDS (sizeof(commands) / sizeof(*commands))
/* RELEASE is left out of these: the first right one would end the hold. */

/* Of each attribute the last values, where all workers see them. */
static struct learned {
	uint8_t values[DAXGUARD_A_MAX + 1][KEPT][16];
	uint32_t n[DAXGUARD_A_MAX + 1];
} * learned;

static uint64_t random_state;

static uint32_t chance(uint32_t below)
{
	random_state ^= random_state >> 12;
	random_state ^= random_state << 25;
	random_state ^= random_state >> 27;
	return (uint32_t)((random_state * 0x2545f4914f6cdd1d) >> 32) % below;
}

/* A message that is being built. */
struct message {
	union {
		struct nlmsghdr head;
		uint8_t bytes[32 * 1024];
	};
	size_t n;
};

static void put_attr(struct message *m, uint16_t type, const void *data, size_t n)
{
	struct nlattr attr = {(uint16_t)(NLA_HDRLEN + n), type};

	if (m->n + NLA_HDRLEN + NLA_ALIGN(n) > sizeof(m->bytes))
		return;
	memcpy(m->bytes + m->n, &attr, sizeof(attr));
	memcpy(m->bytes + m->n + NLA_HDRLEN, data, n);
	memset(m->bytes + m->n + NLA_HDRLEN + n, 0, NLA_ALIGN(n) - n);
	m->n += NLA_HDRLEN + NLA_ALIGN(n);
}

static void message_begin(struct message *m, uint16_t type, uint8_t cmd, uint16_t flags)
{
	const struct genlmsghdr genl = {.cmd = cmd, .version = 1};

	m->head = (struct nlmsghdr){.nlmsg_type = type,
				    .nlmsg_flags = NLM_F_REQUEST | flags,
				    .nlmsg_seq = chance(1000)};
	memcpy(m->bytes + NLMSG_HDRLEN, &genl, sizeof(genl));
	m->n = NLMSG_HDRLEN + GENL_HDRLEN;
}

static uint64_t odd_number(void)
{
	static const uint64_t numbers[] = {0,
					   1,
					   2,
					   12,
					   0x7f,
					   0xff,
					   0xffff,
					   0x7fffffff,
					   0xffffffff,
					   1ULL << 32,
					   INT64_MAX,
					   UINT64_MAX,
					   0xffffffff81000000};

	return numbers[chance(sizeof(numbers) / sizeof(*numbers))];
}

static void put_value(struct message *m, uint8_t attr)
{
	static const size_t sizes[] = {[OTHER] = 5, [U8] = 1, [U32] = 4, [U64] = 8, [BYTES] = 16};
	uint32_t n = learned->n[attr];
	uint64_t value[2] = {odd_number(), odd_number()};

	if (attr == DAXGUARD_A_CODE && chance(8))
		value[0] = 5; /* BUS_MCEERR_AO */
	else if (attr == DAXGUARD_A_LSB && chance(8))
		value[0] = 12 + chance(10);
	else if (attr == DAXGUARD_A_MS && chance(2))
		value[0] = 1 + chance(3000);
	else if (n > 0 && chance(8))
		memcpy(value, learned->values[attr][chance(n < KEPT ? n : KEPT)], sizeof(value));
	put_attr(m, attr, value, sizes[kinds[attr]]);
}

static void make_command(struct message *m, uint16_t family)
{
	uint32_t total = 0, pick;
	size_t i = 0;

	for (size_t k = 0; k < N_COMMANDS; k++)
		total += commands[k].weight;
	for (pick = chance(total); pick >= commands[i].weight; i++)
		pick -= commands[i].weight;
	message_begin(m, family, commands[i].cmd, NLM_F_ACK | (commands[i].dump ? NLM_F_DUMP : 0));
	for (size_t k = 0; k < 6 && commands[i].attrs[k]; k++)
		if (chance(20))
			put_value(m, commands[i].attrs[k]);
}

static void put_nests(struct message *m)
{
	uint16_t type = (uint16_t)(chance(2) ? DAXGUARD_A_TARGET : chance(DAXGUARD_A_MAX + 3));

	/* Each claims all that follows. */
	for (uint32_t depth = chance(100); depth > 0 && m->n + NLA_HDRLEN < sizeof(m->bytes);
	     depth--) {
		struct nlattr attr = {(uint16_t)(NLA_HDRLEN * depth), type | NLA_F_NESTED};

		memcpy(m->bytes + m->n, &attr, sizeof(attr));
		m->n += NLA_HDRLEN;
	}
}

static void spoil(struct message *m)
{
	struct genlmsghdr *genl = (struct genlmsghdr *)(m->bytes + NLMSG_HDRLEN);
	size_t body = NLMSG_HDRLEN + GENL_HDRLEN;
	uint8_t junk[64];

	for (size_t i = 0; i < sizeof(junk); i++)
		junk[i] = (uint8_t)chance(256);
	switch (chance(9)) {
	case 0:
		for (uint32_t k = 1 + chance(8); k > 0 && m->n > body; k--)
			m->bytes[body + chance((uint32_t)(m->n - body))] = (uint8_t)chance(256);
		break;
	case 1:
		m->n = NLMSG_HDRLEN + chance((uint32_t)(m->n - NLMSG_HDRLEN) + 1);
		break;
	case 2:
		put_attr(m, (uint16_t)chance(DAXGUARD_A_MAX + 4), junk, chance(sizeof(junk)));
		break;
	case 3:
		put_attr(m, (uint16_t)(chance(4) << 14 | chance(1 << 14)), junk,
			 chance(sizeof(junk)));
		break;
	case 4:
		put_nests(m);
		break;
	case 5:
		genl->cmd = (uint8_t)chance(chance(2) ? 24 : 256);
		genl->version = (uint8_t)chance(256);
		genl->reserved = (uint16_t)chance(2);
		break;
	case 6:
		m->head.nlmsg_flags = (uint16_t)(NLM_F_REQUEST | chance(1 << 12));
		break;
	case 7:
		for (uint32_t k = chance(3000); k > 0; k--)
			put_value(m, (uint8_t)(1 + chance(DAXGUARD_A_MAX)));
		break;
	default:
		/* An attribute that ends beyond the message, or nowhere. */
		put_attr(m, DAXGUARD_A_ID, junk, 8);
		*(uint16_t *)(m->bytes + m->n - 12) = (uint16_t)odd_number();
	}
}

static void learn(const uint8_t *data, size_t n)
{
	while (n >= NLA_HDRLEN) {
		struct nlattr attr;
		size_t type, len;

		memcpy(&attr, data, sizeof(attr));
		type = attr.nla_type & NLA_TYPE_MASK;
		len = attr.nla_len;
		if (len < NLA_HDRLEN || len > n)
			return;
		if (type == DAXGUARD_A_TARGET || type == DAXGUARD_A_RANGE)
			learn(data + NLA_HDRLEN, len - NLA_HDRLEN);
		else if (type <= DAXGUARD_A_MAX && kinds[type] && len - NLA_HDRLEN <= 16)
			memcpy(learned->values[type][learned->n[type]++ % KEPT], data + NLA_HDRLEN,
			       len - NLA_HDRLEN);
		len = NLA_ALIGN(len);
		data += len < n ? len : n;
		n -= len < n ? len : n;
	}
}
