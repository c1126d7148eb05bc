/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "rule-errors.h"

#include <stdio.h>
#include <string.h>

char errors[8192];

void note(void *userdata, const struct dg_text_error *error)
{
	size_t n = strlen(errors);

	snprintf(errors + n, sizeof(errors) - n, "%u:%u: %s\n", error->line, error->column,
		 error->reason);
}
