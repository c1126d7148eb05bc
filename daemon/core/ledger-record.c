/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "core/ledger-record.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/crc32c.h"
#include "core/escape.h"

#define VERSION "1"
#define HEAD_LEN 11 /* "1 e3069283 " */

static const char *const kinds[_DG_LEDGER_KIND_MAX] = {
	[DG_LEDGER_SNAPSHOT] = "snapshot", [DG_LEDGER_BAD] = "bad",
	[DG_LEDGER_REPAIRED] = "repaired", [DG_LEDGER_TOLD] = "told",
	[DG_LEDGER_PLACE] = "place",       [DG_LEDGER_IS] = "is",
	[DG_LEDGER_WAS] = "was",
};

struct sink {
	char *buffer;
	size_t size, n;
};

static void put(struct sink *sink, const char *text)
{
	size_t n = strlen(text);

	if (n < sink->size - sink->n)
		memcpy(sink->buffer + sink->n, text, n);
	sink->n += n;
	if (sink->n >= sink->size)
		sink->n = sink->size; /* it does not fit, and nothing behind it does */
}

static void put_text(struct sink *sink, const char *key, const char *value)
{
	put(sink, key);
	if (sink->n < sink->size)
		sink->n += dg_escape(value, sink->buffer + sink->n, sink->size - sink->n);
	if (sink->n >= sink->size)
		sink->n = sink->size;
}

/* 0 is not written: it is what is read where there is nothing. */
static void put_number(struct sink *sink, const char *key, uint64_t value)
{
	char text[24];

	if (value == 0)
		return;
	snprintf(text, sizeof(text), "%" PRIu64, value);
	put(sink, key);
	put(sink, text);
}

static void put_word(struct sink *sink, const char *key, const char *word)
{
	if (*word)
		put_text(sink, key, word);
}

static void put_place(struct sink *sink, const struct dg_failure *f)
{
	put_text(sink, " content=", dg_content_name(f->content));
	put_word(sink, " path=", f->path ? f->path : "");
	put_number(sink, " dev=", f->fs_dev);
	put_number(sink, " inode=", f->ino);
	put_number(sink, " at=", f->file_offset);
}

static void put_failure(struct sink *sink, const struct dg_failure *f)
{
	for (uint32_t source = 1; source <= _DG_SOURCE_ALL; source <<= 1)
		if (f->sources & source)
			put_text(sink, " source=", dg_source_name(source));
	put_word(sink, " type=", f->type);
	put_word(sink, " result=", f->result);
	put_place(sink, f);
	put_number(sink, " first=", f->first_ns);
	put_number(sink, " last=", f->last_ns);
	put_number(sink, " times=", f->times);
	put_number(sink, " coarse=", f->coarse);
}

int dg_ledger_record_format(const struct dg_ledger_record *record, char *buffer, size_t size)
{
	struct sink sink = {.buffer = buffer, .size = size, .n = HEAD_LEN};
	const struct dg_failure *f = &record->failure;
	char head[HEAD_LEN + 1];

	if (record->kind >= _DG_LEDGER_KIND_MAX || size <= HEAD_LEN)
		return -ENOBUFS;
	put(&sink, kinds[record->kind]);
	put_number(&sink, " seq=", f->seq);
	if (record->kind != DG_LEDGER_SNAPSHOT) {
		put_text(&sink, " ns=", f->ns);
		put_number(&sink, " offset=", f->offset);
		put_number(&sink, " length=", f->length);
		put_number(&sink, " repaired=", f->repaired_ns);
		put_number(&sink, " told=", f->told);
	}
	if (record->kind == DG_LEDGER_BAD || record->kind == DG_LEDGER_IS ||
	    record->kind == DG_LEDGER_WAS)
		put_failure(&sink, f);
	if (record->kind == DG_LEDGER_PLACE)
		put_place(&sink, f);
	if (size - sink.n < 2)
		return -ENOBUFS;
	snprintf(head, sizeof(head), VERSION " %08" PRIx32 " ",
		 dg_crc32c(buffer + HEAD_LEN, sink.n - HEAD_LEN));
	memcpy(buffer, head, HEAD_LEN);
	memcpy(buffer + sink.n, "\n", 2);
	return (int)sink.n + 1;
}

static bool take_number(const char *text, uint64_t *ret)
{
	uint64_t value = 0;
	const char *p = text;

	for (; *p >= '0' && *p <= '9'; p++) {
		uint64_t digit = (uint64_t)(*p - '0');

		if (value > (UINT64_MAX - digit) / 10)
			return false;
		value = value * 10 + digit;
	}
	if (p == text || *p)
		return false;
	*ret = value;
	return true;
}

static bool take_text(const char *text, char *to, size_t size)
{
	if (strlen(text) >= size)
		return false;
	memcpy(to, text, strlen(text) + 1);
	return true;
}

static bool take_source(const char *text, uint32_t *sources)
{
	for (uint32_t source = 1; source <= _DG_SOURCE_ALL; source <<= 1)
		if (strcmp(text, dg_source_name(source)) == 0) {
			*sources |= source;
			return true;
		}
	return false;
}

static bool take_content(const char *text, enum dg_content *ret)
{
	for (unsigned content = 0; content < _DG_CONTENT_MAX; content++)
		if (strcmp(text, dg_content_name(content)) == 0) {
			*ret = content;
			return true;
		}
	return false;
}

static bool take_numbers(const char *key, const char *value, struct dg_failure *f)
{
	uint64_t coarse = f->coarse;
	const struct {
		const char *key;
		uint64_t *to;
	} numbers[] = {
		{"seq", &f->seq},        {"offset", &f->offset},
		{"length", &f->length},  {"repaired", &f->repaired_ns},
		{"told", &f->told},      {"dev", &f->fs_dev},
		{"inode", &f->ino},      {"at", &f->file_offset},
		{"first", &f->first_ns}, {"last", &f->last_ns},
		{"times", &f->times},    {"coarse", &coarse},
	};

	for (size_t i = 0; i < sizeof(numbers) / sizeof(*numbers); i++)
		if (strcmp(key, numbers[i].key) == 0) {
			bool taken = take_number(value, numbers[i].to);

			f->coarse = coarse != 0;
			return taken;
		}
	return true;
}

static bool take_pair(const char *key, const char *value, struct dg_failure *f)
{
	if (strcmp(key, "ns") == 0)
		return take_text(value, f->ns, sizeof(f->ns));
	if (strcmp(key, "type") == 0)
		return take_text(value, f->type, sizeof(f->type));
	if (strcmp(key, "result") == 0)
		return take_text(value, f->result, sizeof(f->result));
	if (strcmp(key, "source") == 0)
		return take_source(value, &f->sources);
	if (strcmp(key, "content") == 0)
		return take_content(value, &f->content);
	if (strcmp(key, "path") == 0) {
		f->path = value;
		return true;
	}
	return take_numbers(key, value, f);
}

static bool take_kind(const char *word, enum dg_ledger_kind *ret)
{
	for (unsigned kind = 0; kind < _DG_LEDGER_KIND_MAX; kind++)
		if (word && strcmp(word, kinds[kind]) == 0) {
			*ret = kind;
			return true;
		}
	return false;
}

/* Of a line that is as it was written. */
static const char *parse_body(char *body, struct dg_ledger_record *record)
{
	char *word = strsep(&body, " ");

	if (!take_kind(word, &record->kind))
		return "of a kind that is not known";
	while ((word = strsep(&body, " "))) {
		char *value = strchr(word, '=');

		if (!value)
			return "a key without a value";
		*value++ = '\0';
		if (!dg_unescape(value) || !take_pair(word, value, &record->failure))
			return "a value that is none";
	}
	return NULL;
}

const char *dg_ledger_record_parse(char *line, struct dg_ledger_record *ret)
{
	struct dg_ledger_record record = {};
	size_t n = strlen(line);
	char sum[HEAD_LEN + 1];
	const char *why;

	if (strncmp(line, VERSION " ", 2) != 0)
		return "of no version that is known";
	if (n < HEAD_LEN)
		return "not whole";
	snprintf(sum, sizeof(sum), VERSION " %08" PRIx32 " ",
		 dg_crc32c(line + HEAD_LEN, n - HEAD_LEN));
	if (strncmp(line, sum, HEAD_LEN) != 0)
		return "not as it was written (checksum)";
	why = parse_body(line + HEAD_LEN, &record);
	if (why)
		return why;
	record.failure.repaired = record.kind == DG_LEDGER_WAS;
	*ret = record;
	return NULL;
}

int dg_ledger_apply(struct dg_ledger *ledger, const struct dg_ledger_record *record)
{
	switch (record->kind) {
	case DG_LEDGER_BAD:
		return dg_ledger_add(ledger, &record->failure);
	case DG_LEDGER_REPAIRED:
		return dg_ledger_repair(ledger, &record->failure);
	case DG_LEDGER_TOLD:
		return dg_ledger_tell(ledger, &record->failure);
	case DG_LEDGER_PLACE:
		return dg_ledger_place(ledger, &record->failure);
	case DG_LEDGER_IS:
	case DG_LEDGER_WAS:
		return dg_ledger_restore(ledger, &record->failure);
	case DG_LEDGER_SNAPSHOT:
		return 0;
	case _DG_LEDGER_KIND_MAX:
		break;
	}
	return -EINVAL;
}
