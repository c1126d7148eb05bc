/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bus-dict.h"

#include <stdio.h>
#include <string.h>

static void keep(struct dict *d, int r)
{
	if (r < 0 && d->error == 0)
		d->error = r;
}

static bool writes(const struct dict *d)
{
	return d->error == 0 && !d->skips;
}

static void open_container(struct dict *d, char type, const char *contents)
{
	if (writes(d))
		keep(d, sd_bus_message_open_container(d->m, type, contents));
}

static void close_container(struct dict *d)
{
	if (writes(d))
		keep(d, sd_bus_message_close_container(d->m));
}

static void append_string(struct dict *d, const char *s)
{
	if (writes(d))
		keep(d, sd_bus_message_append_basic(d->m, 's', s));
}

static void append_text(struct dict *d, const char *text)
{
	if (writes(d))
		keep(d, sd_bus_message_append_array(d->m, 'y', text, strlen(text)));
}

static bool is_bare(const struct dict *d)
{
	return d->only && d->depth == 0;
}

static void open_entry(struct dict *d, const char *key, const char *type)
{
	if (is_bare(d)) {
		d->skips = strcmp(key, d->only) != 0;
		return;
	}
	open_container(d, 'e', "sv");
	append_string(d, key);
	open_container(d, 'v', type);
}

static void close_entry(struct dict *d)
{
	if (is_bare(d)) {
		d->skips = false;
		return;
	}
	close_container(d);
	close_container(d);
}

void dict_begin(struct dict *d)
{
	open_container(d, 'a', "{sv}");
	d->depth++;
}

void dict_end(struct dict *d)
{
	d->depth--;
	close_container(d);
}

static void append_value(struct dict *d, const char *key, char type, const void *value)
{
	open_entry(d, key, (char[]){type, '\0'});
	if (writes(d))
		keep(d, sd_bus_message_append_basic(d->m, type, value));
	close_entry(d);
}

void dict_bool(struct dict *d, const char *key, bool value)
{
	append_value(d, key, 'b', &(int){value});
}

void dict_u32(struct dict *d, const char *key, uint32_t value)
{
	append_value(d, key, 'u', &value);
}

void dict_i32(struct dict *d, const char *key, int32_t value)
{
	append_value(d, key, 'i', &value);
}

void dict_u64(struct dict *d, const char *key, uint64_t value)
{
	append_value(d, key, 't', &value);
}

void dict_word(struct dict *d, const char *key, const char *word)
{
	append_value(d, key, 's', word);
}

void dict_bytes(struct dict *d, const char *key, const char *text)
{
	open_entry(d, key, "ay");
	append_text(d, text ? text : "");
	close_entry(d);
}

void dict_dev(struct dict *d, const char *key, dg_dev_t dev)
{
	char text[sizeof("4294967295:4294967295")];

	snprintf(text, sizeof(text), "%u:%u", DG_DEV_MAJOR(dev), DG_DEV_MINOR(dev));
	dict_word(d, key, text);
}

void dict_flags(struct dict *d, const char *key, uint32_t set, const char *const words[],
		size_t n_words)
{
	open_entry(d, key, "as");
	open_container(d, 'a', "s");
	for (size_t i = 0; i < n_words; i++)
		if (set & (UINT32_C(1) << i))
			append_string(d, words[i]);
	close_container(d);
	close_entry(d);
}

void dict_texts(struct dict *d, const char *key, const char *const texts[], size_t n)
{
	open_entry(d, key, "aay");
	open_container(d, 'a', "ay");
	for (size_t i = 0; texts && i < n && texts[i]; i++)
		append_text(d, texts[i]);
	close_container(d);
	close_entry(d);
}

void dict_part_begin(struct dict *d, const char *key)
{
	open_entry(d, key, "a{sv}");
	dict_begin(d);
}

void dict_part_end(struct dict *d)
{
	dict_end(d);
	close_entry(d);
}

void dict_array_begin(struct dict *d)
{
	open_container(d, 'a', "a{sv}");
}

void dict_array_end(struct dict *d)
{
	close_container(d);
}

void dict_list_begin(struct dict *d, const char *key)
{
	open_entry(d, key, "aa{sv}");
	dict_array_begin(d);
}

void dict_list_end(struct dict *d)
{
	dict_array_end(d);
	close_entry(d);
}

int dict_error(const struct dict *d)
{
	return d->error;
}

int dict_reply(const struct dict *d)
{
	int r = dict_error(d);

	if (r >= 0)
		r = sd_bus_send(NULL, d->m, NULL);
	sd_bus_message_unref(d->m);
	return r;
}
