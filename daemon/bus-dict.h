/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Writing a{sv} and aa{sv} into a message, entry by entry.
 *
 * The first error sticks and makes the rest do nothing, so that a list of
 * entries reads as one; it is returned by dict_error().
 *
 * What others named (files, processes, texts with such names in them) goes out
 * as bytes, "ay": it need not be UTF-8, and D-Bus strings must be.
 *
 * The same list of entries serves a property: with `only` set, nothing is
 * written but the value of the entry of that name, without its key.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <systemd/sd-bus.h>

#include "core/event.h"

struct dict {
	sd_bus_message *m;
	int error;
	const char *only; /* NULL: all */
	unsigned depth;   /* of dictionaries in lists */
	bool skips;       /* in an entry that is not wanted */
};

void dict_begin(struct dict *d); /* a{sv} */
void dict_end(struct dict *d);

void dict_bool(struct dict *d, const char *key, bool value);
void dict_u32(struct dict *d, const char *key, uint32_t value);
void dict_i32(struct dict *d, const char *key, int32_t value);
void dict_u64(struct dict *d, const char *key, uint64_t value);
void dict_word(struct dict *d, const char *key, const char *word);  /* s; ours */
void dict_bytes(struct dict *d, const char *key, const char *text); /* ay; theirs */
void dict_dev(struct dict *d, const char *key, dg_dev_t dev);       /* s: "259:0" */

/* as: words with their bit in set, in order of the bits. */
void dict_flags(struct dict *d, const char *key, uint32_t set, const char *const words[],
		size_t n_words);
/* aay: n texts, or up to NULL if n is SIZE_MAX. */
void dict_texts(struct dict *d, const char *key, const char *const texts[], size_t n);

/* An entry that is a{sv} itself. */
void dict_part_begin(struct dict *d, const char *key);
void dict_part_end(struct dict *d);

/* An entry that is aa{sv}; between them dict_begin() and dict_end() for each. */
void dict_list_begin(struct dict *d, const char *key);
void dict_list_end(struct dict *d);

/* aa{sv} as an argument of its own. */
void dict_array_begin(struct dict *d);
void dict_array_end(struct dict *d);

int dict_error(const struct dict *d);
/* Queues the message, if all of it could be written. Frees it. */
int dict_reply(const struct dict *d);
