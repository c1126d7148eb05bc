/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "text.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <wchar.h>

#include "core/utf8.h"

/* Would it move the cursor, or make the rest of the line lie? */
static bool is_unsafe(uint32_t code)
{
	return code < 0x20 || (code >= 0x7f && code < 0xa0) || /* C0, DEL, C1 */
	       code == 0x061c || (code >= 0x200b && code <= 0x200f) ||
	       (code >= 0x2028 && code <= 0x202e) || (code >= 0x2060 && code <= 0x206f) ||
	       code == 0xfeff;
}

bool text_is_safe(const char *text)
{
	size_t left = strlen(text), len;
	uint32_t code;

	for (; left > 0; text += len, left -= len) {
		len = dg_utf8_decode(text, left, &code);
		if (len == 0 || is_unsafe(code))
			return false;
	}
	return true;
}

char *text_escape(const void *bytes, size_t n)
{
	static const char hex[] = "0123456789abcdef";
	const unsigned char *p = bytes;
	char *escaped, *out;

	out = escaped = malloc(n * 4 + 1);
	if (!escaped)
		return NULL;

	for (size_t i = 0; i < n;) {
		uint32_t code = 0;
		size_t len = dg_utf8_decode(p + i, n - i, &code);

		if (len > 0 && !is_unsafe(code) && code != '\\') {
			memcpy(out, p + i, len);
			out += len;
			i += len;
			continue;
		}
		if (code == '\n' || code == '\t' || code == '\\') {
			*out++ = '\\';
			*out++ = code == '\n' ? 'n' : code == '\t' ? 't' : '\\';
			i++;
			continue;
		}
		for (size_t end = i + (len > 0 ? len : 1); i < end; i++) {
			*out++ = '\\';
			*out++ = 'x';
			*out++ = hex[p[i] >> 4];
			*out++ = hex[p[i] & 0xf];
		}
	}
	*out = '\0';
	return escaped;
}

static size_t code_width(uint32_t code)
{
	int width = wcwidth((wchar_t)code);

	return width < 0 ? 1 : (size_t)width; /* the C locale knows ASCII only */
}

size_t text_width(const char *text)
{
	size_t left = strlen(text), width = 0;
	uint32_t code = 0;

	for (size_t len; left > 0; text += len, left -= len) {
		len = dg_utf8_decode(text, left, &code);
		if (len == 0)
			len = 1;
		width += code_width(code);
	}
	return width;
}

char *text_fit(const char *text, size_t columns)
{
	size_t n = strlen(text), kept = 0, width = 0;
	uint32_t code = 0;

	if (text_width(text) <= columns)
		return strdup(text);
	if (columns == 0)
		return strdup("");

	while (kept < n) {
		size_t len = dg_utf8_decode(text + kept, n - kept, &code);

		if (len == 0)
			len = 1;
		if (width + code_width(code) > columns - 1)
			break;
		width += code_width(code);
		kept += len;
	}

	return text_format("%.*s…", (int)kept, text);
}

char *text_format(const char *format, ...)
{
	va_list ap;
	char *text;
	int r;

	va_start(ap, format);
	r = vasprintf(&text, format, ap);
	va_end(ap);
	return r < 0 ? NULL : text;
}

char *text_append(char *list, const char *separator, char *item)
{
	char *longer = NULL;

	if (list && item)
		longer = text_format("%s%s%s", list, *list ? separator : "", item);
	free(list);
	free(item);
	return longer;
}

char *text_duration(uint64_t us)
{
	if (us < 10 * 1000)
		return text_format("%" PRIu64 ".%" PRIu64 " ms", us / 1000, us % 1000 / 100);
	if (us < 1000 * 1000)
		return text_format("%" PRIu64 " ms", us / 1000);
	if (us < 60 * 1000 * 1000)
		return text_format("%" PRIu64 ".%03" PRIu64 " s", us / 1000000, us / 1000 % 1000);
	return text_format("%" PRIu64 " min %" PRIu64 " s", us / 60000000, us / 1000000 % 60);
}

char *text_size(uint64_t bytes)
{
	static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
	double value = (double)bytes;
	size_t unit = 0;

	while (value >= 1024 && unit + 1 < sizeof(units) / sizeof(units[0])) {
		value /= 1024;
		unit++;
	}
	return text_format("%.*f %s", unit == 0 ? 0 : 1, value, units[unit]);
}

char *text_time(uint64_t realtime_us)
{
	time_t seconds = (time_t)(realtime_us / 1000000);
	char buffer[64];
	struct tm tm;

	if (!localtime_r(&seconds, &tm) || strftime(buffer, sizeof(buffer), "%F %T", &tm) == 0)
		return strdup("-");
	return strdup(buffer);
}
