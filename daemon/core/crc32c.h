/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* CRC-32C (Castagnoli), as in RFC 3720, appendix B.4. */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* Of n bytes. */
uint32_t dg_crc32c(const void *bytes, size_t n);
