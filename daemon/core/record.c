/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/record.h"

const char *dg_record_next(const char **cursor, const char *end, size_t *ret_len)
{
	const char *record = *cursor, *field = record;

	while (field < end) {
		const char *nul = memchr(field, 0, (size_t)(end - field));

		if (!nul)
			return NULL;
		if (nul == field) {
			/* The empty field; before any other it would be an empty record. */
			if (field == record)
				return NULL;
			*ret_len = (size_t)(field - record);
			*cursor = nul + 1;
			return record;
		}
		field = nul + 1;
	}
	return NULL;
}

const char *dg_record_get(const char *record, size_t len, const char *key)
{
	size_t n_key = strlen(key);

	for (const char *field = record; field < record + len; field += strlen(field) + 1)
		if (strncmp(field, key, n_key) == 0 && field[n_key] == '=')
			return field + n_key + 1;
	return NULL;
}

/* Digits up to one of stop (or NUL); strtoull would take signs and spaces. */
static int parse_digits(const char *text, uint64_t max, const char **ret_end, uint64_t *ret)
{
	const char *p = text;
	uint64_t value = 0;

	for (; *p >= '0' && *p <= '9'; p++) {
		uint64_t digit = (uint64_t)(*p - '0');

		if (value > (max - digit) / 10)
			return -ERANGE;
		value = value * 10 + digit;
	}
	if (p == text)
		return -EINVAL;
	*ret_end = p;
	*ret = value;
	return 0;
}

int dg_record_get_u64(const char *record, size_t len, const char *key, uint64_t *ret)
{
	const char *text = dg_record_get(record, len, key), *end;
	uint64_t value;
	int r;

	if (!text)
		return -ENOENT;
	r = parse_digits(text, UINT64_MAX, &end, &value);
	if (r < 0)
		return r;
	if (*end)
		return -EINVAL;
	*ret = value;
	return 0;
}

bool dg_record_is_set(const char *record, size_t len, const char *key)
{
	uint64_t value;

	return dg_record_get_u64(record, len, key, &value) >= 0 && value != 0;
}

int dg_dev_parse(const char *text, dg_dev_t *ret)
{
	uint64_t major, minor;
	const char *end;
	int r;

	r = parse_digits(text, UINT32_MAX, &end, &major);
	if (r < 0)
		return r;
	if (*end != ':')
		return -EINVAL;
	r = parse_digits(end + 1, UINT32_MAX, &end, &minor);
	if (r < 0)
		return r;
	if (*end)
		return -EINVAL;
	*ret = DG_DEV(major, minor);
	return 0;
}

int dg_record_get_dev(const char *record, size_t len, const char *key, dg_dev_t *ret)
{
	const char *text = dg_record_get(record, len, key);

	return text ? dg_dev_parse(text, ret) : -ENOENT;
}

static void append(struct dg_record_writer *writer, const char *data, size_t len)
{
	size_t used = writer->n + writer->n_open;

	if (writer->error < 0)
		return;
	if (len > writer->size - used) {
		size_t size = writer->size ? writer->size : 256;
		char *grown;

		while (size - used < len)
			size *= 2;
		grown = realloc(writer->data, size);
		if (!grown) {
			writer->error = -ENOMEM;
			return;
		}
		writer->data = grown;
		writer->size = size;
	}
	memcpy(writer->data + used, data, len);
	writer->n_open += len;
}

void dg_record_field(struct dg_record_writer *writer, const char *key, const char *value)
{
	size_t n_key = strspn(key, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_");

	if (n_key == 0 || key[n_key]) {
		if (writer->error == 0)
			writer->error = -EINVAL;
		return;
	}
	append(writer, key, n_key);
	append(writer, "=", 1);
	append(writer, value, strlen(value) + 1);
}

void dg_record_field_u64(struct dg_record_writer *writer, const char *key, uint64_t value)
{
	char text[24];

	snprintf(text, sizeof(text), "%llu", (unsigned long long)value);
	dg_record_field(writer, key, text);
}

void dg_record_field_dev(struct dg_record_writer *writer, const char *key, dg_dev_t value)
{
	char text[24];

	snprintf(text, sizeof(text), "%u:%u", DG_DEV_MAJOR(value), DG_DEV_MINOR(value));
	dg_record_field(writer, key, text);
}

int dg_record_end(struct dg_record_writer *writer)
{
	int error;

	if (writer->n_open == 0 && writer->error == 0)
		writer->error = -EINVAL;
	append(writer, "", 1);
	error = writer->error;
	if (error == 0)
		writer->n += writer->n_open;
	writer->n_open = 0;
	writer->error = 0;
	return error;
}

void dg_record_writer_done(struct dg_record_writer *writer)
{
	free(writer->data);
	*writer = DG_RECORD_WRITER_INIT;
}
