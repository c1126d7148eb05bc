/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "core/crc32c.h"

/*
 * What four bits do to the remainder; the polynomial with its bits reversed is the one
 * of 8. One of 256 would be faster, and a failure is no hurry of nanoseconds.
 */
static const uint32_t table[16] = {
	0x00000000, 0x105ec76f, 0x20bd8ede, 0x30e349b1, 0x417b1dbc, 0x5125dad3,
	0x61c69362, 0x7198540d, 0x82f63b78, 0x92a8fc17, 0xa24bb5a6, 0xb21572c9,
	0xc38d26c4, 0xd3d3e1ab, 0xe330a81a, 0xf36e6f75,
};

uint32_t dg_crc32c(const void *bytes, size_t n)
{
	const unsigned char *p = bytes;
	uint32_t rest = UINT32_MAX;

	for (size_t i = 0; i < n; i++) {
		rest ^= p[i];
		rest = rest >> 4 ^ table[rest & 15];
		rest = rest >> 4 ^ table[rest & 15];
	}
	return ~rest;
}
