/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Any text as one word of a line: every byte that is not printable ASCII, and
 * space and backslash, is \xHH.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* As snprintf(3): NUL-terminated if size > 0; returns the length that it takes. */
size_t dg_escape(const char *text, char *buffer, size_t size);

/* In place. False: it is no such word; then it may be half done. */
bool dg_unescape(char *text);
