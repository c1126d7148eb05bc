/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The configuration file: found, checked for its owner, read, parsed.
 *
 * The first that exists of /etc, /run and /usr/lib is read, and no other. One
 * that is not root's, or that others may write, is refused. On any error the
 * built-in default is in force, all of it, and the error is kept to be shown.
 */
#pragma once

#include <stdbool.h>

#include "core/settings.h"

struct config {
	struct dg_settings settings;
	bool builtin;    /* an error: settings are the default */
	char *files[2];  /* what was read, NULL at the end */
	char *errors[2]; /* "file:line:column: reason", NULL at the end */
};

/* path: read this one; NULL: the usual ones. Only -ENOMEM fails. */
int config_load(const char *path, struct config *ret);
void config_done(struct config *config);
