/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Bytes of unknown origin, on their way to a terminal. */
#include <locale.h>
#include <stdlib.h>
#include <string.h>

#include "ctl/json.h"
#include "ctl/text.h"
#include "core/utf8.h"
#include "fuzz.h"

static void check_shown(const char *text)
{
	if (!dg_utf8_is_valid(text, strlen(text)))
		abort();
	for (const unsigned char *p = (const unsigned char *)text; *p; p++)
		/* C0 and DEL; C1 controls are c2 80…9f; what reorders a line e2 80 ae. */
		if (*p < 0x20 || *p == 0x7f || (*p == 0xc2 && p[1] < 0xa0) ||
		    (*p == 0xe2 && p[1] == 0x80 && p[2] >= 0xaa && p[2] <= 0xae))
			abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *escaped, *fitted;
	size_t columns = size > 0 ? data[0] % 40 : 0;
	json_object *value;

	setlocale(LC_CTYPE, size % 2 ? "C.UTF-8" : "C");
	escaped = text_escape(data, size);
	if (!escaped)
		abort();
	check_shown(escaped);
	fitted = text_fit(escaped, columns);
	if (!fitted || text_width(fitted) > columns)
		abort();
	check_shown(fitted);
	/* As JSON: text, or a number for each byte. */
	value = json_bytes(data, size);
	if (json_object_is_type(value, json_type_array) && json_length(value) != size)
		abort();
	json_object_put(value);
	free(fitted);
	free(escaped);
	return 0;
}
