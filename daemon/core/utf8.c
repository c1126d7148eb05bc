/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "core/utf8.h"

size_t dg_utf8_decode(const void *bytes, size_t n, uint32_t *ret_code)
{
	static const uint32_t smallest[] = {0, 0, 0x80, 0x800, 0x10000};
	const unsigned char *p = bytes;
	uint32_t code;
	size_t len;

	if (p[0] < 0x80) {
		*ret_code = p[0];
		return 1;
	}

	len = p[0] >= 0xf0 ? 4 : p[0] >= 0xe0 ? 3 : 2;
	if (p[0] < 0xc2 || p[0] > 0xf4 || len > n)
		return 0;

	code = p[0] & (0x7fU >> len);
	for (size_t i = 1; i < len; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
		code = code << 6 | (p[i] & 0x3f);
	}
	if (code < smallest[len] || code > 0x10ffff || (code >= 0xd800 && code < 0xe000))
		return 0;

	*ret_code = code;
	return len;
}

bool dg_utf8_is_valid(const void *bytes, size_t n)
{
	const unsigned char *p = bytes;
	uint32_t code;

	for (size_t i = 0, len; i < n; i += len) {
		len = dg_utf8_decode(p + i, n - i, &code);
		if (len == 0)
			return false;
	}
	return true;
}
