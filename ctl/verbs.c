/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>

#include "ctl.h"
#include "text.h"

const struct ctl_verb *verb_find(const struct ctl_verb *verbs, size_t n_verbs, const char *name,
				 const char **ret_near)
{
	size_t nearest = strlen(name) / 3 + 2; /* farther than this is another word */

	*ret_near = NULL;
	for (size_t i = 0; i < n_verbs; i++) {
		size_t distance = text_distance(name, verbs[i].name);

		if (distance == 0)
			return &verbs[i];
		if (distance < nearest) {
			nearest = distance;
			*ret_near = verbs[i].name;
		}
	}
	return NULL;
}
