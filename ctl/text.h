/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Text for people: bytes of unknown origin made harmless, and numbers made
 * short. Nothing here prints; returned strings are the caller's to free, and
 * NULL means out of memory.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

/*
 * What a process calls itself and what a file is called is written by others.
 * Control characters, characters that reorder the line, invalid UTF-8 and the
 * backslash itself become \n, \t, \\ or \xNN; everything else is kept.
 */
char *text_escape(const void *bytes, size_t n);

/* Would text_escape() leave it alone, but for backslashes? */
bool text_is_safe(const char *text);

/* Columns on a terminal. text must be valid UTF-8 without control characters. */
size_t text_width(const char *text);

/* At most columns wide; what was cut shows as "…". Same demand as text_width(). */
char *text_fit(const char *text, size_t columns);

char *text_format(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* list, separator, item. Frees both; NULL in either, or no memory, gives NULL. */
char *text_append(char *list, const char *separator, char *item);

/* "0.3 ms", "17 ms", "2.104 s", "3 min 12 s" */
char *text_duration(uint64_t us);

/* "512 B", "16.0 KiB", "1.0 TiB" */
char *text_size(uint64_t bytes);

/* Local time: "2031-02-03 04:05:06"; realtime_us since the epoch. */
char *text_time(uint64_t realtime_us);
