/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "core/history.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/escape.h"

struct sink {
	char *buffer;
	size_t size, n;
};

/* Room for the NUL is kept; n counts on past the end, so that overflow shows. */
static void put(struct sink *sink, char c)
{
	if (sink->n + 1 < sink->size)
		sink->buffer[sink->n] = c;
	sink->n++;
}

static void put_text(struct sink *sink, const char *text)
{
	while (*text)
		put(sink, *text++);
}

static void put_escaped(struct sink *sink, const char *text)
{
	size_t room = sink->n < sink->size ? sink->size - sink->n : 0;

	sink->n += dg_escape(text, room > 0 ? sink->buffer + sink->n : NULL, room);
}

static bool is_word(const char *text)
{
	return *text && text[strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789_-")] == '\0';
}

int dg_history_format(const struct dg_history_event *event, char *buffer, size_t size)
{
	struct sink sink = {.buffer = buffer, .size = size};
	char times[48];

	if (!is_word(event->kind) || event->n_pairs > DG_HISTORY_PAIRS_MAX)
		return -EINVAL;
	snprintf(times, sizeof(times), "%" PRIu64 " %" PRIu64 " ", event->wall_us, event->mono_us);
	put_text(&sink, times);
	put_text(&sink, event->kind);
	for (size_t i = 0; i < event->n_pairs; i++) {
		if (!is_word(event->pairs[i].key))
			return -EINVAL;
		put(&sink, ' ');
		put_text(&sink, event->pairs[i].key);
		put(&sink, '=');
		put_escaped(&sink, event->pairs[i].value);
	}
	put(&sink, '\n');
	if (sink.n + 1 > size || sink.n >= DG_HISTORY_LINE_MAX)
		return -ENOBUFS;
	buffer[sink.n] = '\0';
	return (int)sink.n;
}

/* Digits only, up to a space. */
static bool take_time(char **cursor, uint64_t *ret)
{
	uint64_t value = 0;
	char *p = *cursor;

	for (; *p >= '0' && *p <= '9'; p++) {
		uint64_t digit = (uint64_t)(*p - '0');

		if (value > (UINT64_MAX - digit) / 10)
			return false;
		value = value * 10 + digit;
	}
	if (p == *cursor || *p != ' ')
		return false;
	*cursor = p + 1;
	*ret = value;
	return true;
}

int dg_history_parse(char *line, struct dg_history_event *ret)
{
	struct dg_history_event event = {};
	char *cursor = line, *word;

	if (!take_time(&cursor, &event.wall_us) || !take_time(&cursor, &event.mono_us))
		return -EBADMSG;
	word = strsep(&cursor, " ");
	if (!is_word(word))
		return -EBADMSG;
	event.kind = word;
	while ((word = strsep(&cursor, " "))) {
		char *value = strchr(word, '=');

		if (!value || event.n_pairs >= DG_HISTORY_PAIRS_MAX)
			return -EBADMSG;
		*value++ = '\0';
		if (!is_word(word) || !dg_unescape(value))
			return -EBADMSG;
		event.pairs[event.n_pairs++] = (struct dg_pair){.key = word, .value = value};
	}
	*ret = event;
	return 0;
}

bool dg_history_next(const char **at, const char *end, char line[static DG_HISTORY_LINE_MAX],
		     struct dg_history_event *ret)
{
	const char *newline;

	while (*at < end && (newline = memchr(*at, '\n', (size_t)(end - *at)))) {
		const char *begin = *at;
		size_t n = (size_t)(newline - begin);

		*at = newline + 1;
		if (n >= DG_HISTORY_LINE_MAX || memchr(begin, 0, n))
			continue;
		memcpy(line, begin, n);
		line[n] = '\0';
		if (dg_history_parse(line, ret) >= 0)
			return true;
	}
	return false;
}

const char *dg_history_get(const struct dg_history_event *event, const char *key)
{
	for (size_t i = 0; i < event->n_pairs; i++)
		if (strcmp(event->pairs[i].key, key) == 0)
			return event->pairs[i].value;
	return NULL;
}

uint64_t dg_history_number(const struct dg_history_event *event, const char *key, int base,
			   uint64_t fallback)
{
	const char *text = dg_history_get(event, key);
	unsigned long long value;
	char *end;

	if (!text || !strchr("0123456789abcdef", text[0]) || !text[0])
		return fallback;
	errno = 0;
	value = strtoull(text, &end, base);
	return errno != 0 || *end ? fallback : value;
}
