/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "core/escape.h"

static void put(char *buffer, size_t size, size_t *n, char c)
{
	if (*n + 1 < size)
		buffer[*n] = c;
	++*n;
}

size_t dg_escape(const char *text, char *buffer, size_t size)
{
	static const char digits[] = "0123456789abcdef";
	size_t n = 0;

	for (; *text; text++) {
		unsigned char c = (unsigned char)*text;

		if (c > ' ' && c < 0x7f && c != '\\') {
			put(buffer, size, &n, (char)c);
			continue;
		}
		put(buffer, size, &n, '\\');
		put(buffer, size, &n, 'x');
		put(buffer, size, &n, digits[c >> 4]);
		put(buffer, size, &n, digits[c & 15]);
	}
	if (size > 0)
		buffer[n < size ? n : size - 1] = '\0';
	return n;
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return -1;
}

/* In place: what is written is never longer than what was read. */
bool dg_unescape(char *text)
{
	char *to = text;

	for (const char *from = text; *from; from++) {
		int high, low;

		if (*from != '\\') {
			*to++ = *from;
			continue;
		}
		if (from[1] != 'x')
			return false;
		high = hex_digit(from[2]);
		low = high < 0 ? -1 : hex_digit(from[3]);
		if (low < 0 || (high == 0 && low == 0))
			return false;
		*to++ = (char)(high << 4 | low);
		from += 3;
	}
	*to = '\0';
	return true;
}
