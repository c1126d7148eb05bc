/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the parts of the fake link share. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "io/klink.h"

struct packet {
	struct packet *next;
	size_t n;
	char data[];
};

struct fake_answer {
	struct packet *packet;
	size_t offset;
};

/* Say it and wait for the answer, at most 5 s. */
int fake_ask(struct klink *link, struct fake_answer *ret, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
/* A copy of the next message, or NULL at the end. */
void *fake_next_message(struct fake_answer *answer, size_t *ret_n);
int fake_only_message(struct fake_answer *answer, int (*decode)(const void *, size_t, uint32_t *),
		      uint32_t *ret);
