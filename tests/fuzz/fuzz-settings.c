/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* daxguardd.conf. An error names a place in the text, and changes nothing. */
#include <stdlib.h>
#include <string.h>

#include "core/settings.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct dg_settings settings, before;
	struct dg_text_error error = {};

	dg_settings_default(&settings);
	before = settings;
	if (dg_settings_parse((const char *)data, size, &settings, &error) >= 0) {
		if (settings.reserve_us < 1000000 || settings.incidents_max == 0)
			abort();
		return 0;
	}
	if (memcmp(&settings, &before, sizeof(before)) != 0)
		abort();
	if (error.line == 0 || error.column == 0 || error.column > size + 1 || !error.reason[0])
		abort();
	return 0;
}
