/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "step/criu.h"

#include <stdlib.h>
#include <unistd.h>

#include "names.h"
#include "step/step.h"

const char *criu_find(void)
{
	/* Of tests. */
	const char *path = getenv("DAXGUARD_CRIU") ?: DG_CRIU;

	return access(path, X_OK) == 0 ? path : NULL;
}

int verb_criu(struct step *step)
{
	const char *path = criu_find();

	if (!path)
		return STEP_EXIT_OK;
	dg_record_field(&step->writer, "CRIU", path);
	return step_emit(step);
}
