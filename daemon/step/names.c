/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>

#include "step/step.h"

/* What getpwnam(3) leaves in errno for a name that nobody has, whoever was asked. */
static bool is_unknown(int error)
{
	return error == 0 || error == ENOENT || error == ESRCH || error == EBADF || error == EPERM;
}

static int look_up(struct step *step, const char *field, const char *name)
{
	const struct passwd *user = NULL;
	const struct group *group = NULL;

	errno = 0;
	if (strcmp(field, "USER") == 0)
		user = getpwnam(name);
	else
		group = getgrnam(name);
	if (!user && !group) {
		if (is_unknown(errno))
			return STEP_EXIT_OK;
		fprintf(stderr, "daxguard-step: %s: %s\n", name, strerror(errno));
		return STEP_EXIT_LEFT;
	}
	dg_record_field(&step->writer, field, name);
	dg_record_field_u64(&step->writer, "ID", user ? user->pw_uid : group->gr_gid);
	return step_emit(step);
}

int verb_names(struct step *step)
{
	int r, status = STEP_EXIT_OK;

	for (size_t i = 0; i < step->n_words; i++) {
		const char *word = step->words[i];

		if (strncmp(word, "user:", 5) == 0)
			r = look_up(step, "USER", word + 5);
		else if (strncmp(word, "group:", 6) == 0)
			r = look_up(step, "GROUP", word + 6);
		else
			return STEP_EXIT_USAGE;
		if (r < 0)
			return r;
		if (r != STEP_EXIT_OK)
			status = r;
	}
	return status;
}
