/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>

#include "core/nearest.h"
#include "ctl.h"

const struct ctl_verb *verb_find(const struct ctl_verb *verbs, size_t n_verbs, const char *name,
				 const char **ret_near)
{
	struct dg_nearest search = {.word = dg_piece(name)};

	for (size_t i = 0; i < n_verbs; i++) {
		if (strcmp(name, verbs[i].name) == 0)
			return &verbs[i];
		dg_nearest_try(&search, verbs[i].name);
	}
	*ret_near = search.nearest;
	return NULL;
}
