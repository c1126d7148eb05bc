/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * An answer as daxguardctl writes it for people: the first byte, a digit, chooses
 * the verb, the rest is JSON. Whatever it says, no line of the output may move a
 * cursor or be broken by it.
 */
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "ctl/print.h"
#include "core/utf8.h"
#include "fuzz.h"

static int (*const prints[])(FILE *, const struct table_style *, json_object *) = {
	print_status,  print_devices,  print_holders,       print_incidents,
	print_story,   print_signal,   print_check,         print_simulation,
	print_process, print_failures, print_failures_each,
};
#define N_PRINTS (sizeof(prints) / sizeof(*prints))

static json_object *parse(const char *text, size_t size)
{
	struct json_tokener *tokener = json_tokener_new();
	json_object *value;

	if (!tokener)
		abort();
	value = json_tokener_parse_ex(tokener, text, (int)size);
	json_tokener_free(tokener);
	return value;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct table_style style = {.legend = true};
	char *text = NULL;
	json_object *value;
	size_t n = 0;
	FILE *f;

	if (size < 2 || size > INT_MAX)
		return 0;
	value = parse((const char *)data + 1, size - 1);
	if (!value)
		return 0;
	f = open_memstream(&text, &n);
	if (!f)
		abort();
	if (data[0] & 0x40)
		style.width = 40;
	(void)prints[(data[0] & 0xf) % N_PRINTS](f, &style, value);
	fclose(f);
	for (size_t i = 0; i < n; i++)
		if ((unsigned char)text[i] < 0x20 ? text[i] != '\n' : text[i] == 0x7f)
			abort();
	if (!dg_utf8_is_valid(text, n))
		abort();
	free(text);
	json_object_put(value);
	return 0;
}
