/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "core/failure.h"

#include <stdlib.h>

const char *dg_failure_source_name(enum dg_failure_source source)
{
	static const char *const names[_DG_FAILURE_SOURCE_MAX] = {
		[DG_FAILURE_HANDLED] = "memory-failure",
		[DG_FAILURE_BADBLOCKS] = "badblocks",
	};

	return (unsigned)source < _DG_FAILURE_SOURCE_MAX ? names[source] : "unknown";
}

static void clean(char *word)
{
	for (; *word; word++)
		if (*word < ' ' || *word > '~')
			*word = '?';
}

void dg_failure_clean_words(struct dg_failure_record *record)
{
	clean(record->type);
	clean(record->result);
}

void dg_failure_record_done(struct dg_failure_record *record)
{
	free(record->told);
	*record = (struct dg_failure_record){};
}
