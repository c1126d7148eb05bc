/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "names.h"
#include "trusted-file.h"

static const char *const usual_paths[] = {
	DAXGUARD_SYSCONFDIR "/" DG_CONFIG_NAME,
	"/run/" DG_CONFIG_NAME,
	DAXGUARD_VENDORLIBDIR "/" DG_CONFIG_NAME,
};

static int set_error(struct config *config, const char *path, unsigned line, unsigned column,
		     const char *reason)
{
	int n;

	if (line > 0)
		n = asprintf(&config->errors[0], "%s:%u:%u: %s", path, line, column, reason);
	else
		n = asprintf(&config->errors[0], "%s: %s", path, reason);
	if (n < 0) {
		config->errors[0] = NULL;
		return -ENOMEM;
	}
	config->builtin = true;
	return 0;
}

/* 1: there is no such file. */
static int load_path(struct config *config, const char *path)
{
	struct dg_text_error error;
	struct trusted_file file;
	int r = trusted_file_read(path, DG_CONFIG_MAX, 0, &file);

	if (r == -ENOENT)
		return 1;
	if (r < 0)
		return r;
	config->files[0] = strdup(path);
	if (!config->files[0])
		r = -ENOMEM;
	else if (file.error)
		r = set_error(config, path, 0, 0, file.error);
	else if (dg_settings_parse(file.text, file.n_text, &config->settings, &error) < 0)
		r = set_error(config, path, error.line, error.column, error.reason);
	free(file.text);
	return r;
}

int config_load(const char *path, struct config *ret)
{
	struct config config = {};
	int r = 1;

	dg_settings_default(&config.settings);
	if (path) {
		r = load_path(&config, path);
		if (r == 1)
			r = set_error(&config, path, 0, 0, strerror(ENOENT));
	}
	for (size_t i = 0; !path && r == 1 && i < sizeof(usual_paths) / sizeof(*usual_paths); i++)
		r = load_path(&config, usual_paths[i]);
	if (r < 0) {
		config_done(&config);
		return r;
	}
	*ret = config;
	return 0;
}

void config_done(struct config *config)
{
	free(config->files[0]);
	free(config->errors[0]);
	*config = (struct config){};
}
