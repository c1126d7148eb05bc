/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Bytes of others that may be text. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Length of the character that the n bytes, at least one, begin with, and its code
 * point; 0: it is none, overlong, a surrogate, or beyond the last one.
 */
size_t dg_utf8_decode(const void *bytes, size_t n, uint32_t *ret_code);

bool dg_utf8_is_valid(const void *bytes, size_t n);
