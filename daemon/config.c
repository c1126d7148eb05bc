/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "names.h"

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

/* NULL: it may be trusted. */
static const char *why_refused(const struct stat *status)
{
	if (!S_ISREG(status->st_mode))
		return "not a regular file";
	if (status->st_uid != 0)
		return "refused: it is not owned by root";
	if (status->st_mode & (S_IWGRP | S_IWOTH))
		return "refused: others than its owner may write to it";
	if (status->st_size > (off_t)DG_CONFIG_MAX)
		return "refused: it is too large";
	return NULL;
}

/* Reading is bounded by one more than may be, so that growth meanwhile shows. */
static ssize_t read_whole(int fd, char *text, size_t size)
{
	size_t n = 0;

	while (n < size) {
		ssize_t k = read(fd, text + n, size - n);

		if (k < 0)
			return -errno;
		if (k == 0)
			break;
		n += (size_t)k;
	}
	return (ssize_t)n;
}

static int load_open(struct config *config, const char *path, int fd)
{
	struct dg_text_error error;
	const char *refused;
	struct stat status;
	ssize_t n;
	char *text;
	int r = 0;

	if (fstat(fd, &status) < 0)
		return set_error(config, path, 0, 0, strerror(errno));
	refused = why_refused(&status);
	if (refused)
		return set_error(config, path, 0, 0, refused);
	text = malloc(DG_CONFIG_MAX + 1);
	if (!text)
		return -ENOMEM;
	n = read_whole(fd, text, DG_CONFIG_MAX + 1);
	if (n < 0)
		r = set_error(config, path, 0, 0, strerror((int)-n));
	else if (n > (ssize_t)DG_CONFIG_MAX)
		r = set_error(config, path, 0, 0, "refused: it is too large");
	else if (dg_settings_parse(text, (size_t)n, &config->settings, &error) < 0)
		r = set_error(config, path, error.line, error.column, error.reason);
	free(text);
	return r;
}

/* 1: there is no such file. */
static int load_path(struct config *config, const char *path)
{
	int fd, r;

	/* Non-blocking: somebody may have put a pipe there. */
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (fd < 0 && errno == ENOENT)
		return 1;
	config->files[0] = strdup(path);
	if (!config->files[0])
		r = -ENOMEM;
	else if (fd < 0)
		r = set_error(config, path, 0, 0, strerror(errno));
	else
		r = load_open(config, path, fd);
	if (fd >= 0)
		close(fd);
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
