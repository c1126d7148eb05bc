/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "step/files.h"
#include "step/foreign.h"

/* What a search may keep in mind, and go through; the time is usually over before. */
#define PENDING_MAX 100000U
#define NAMES_MAX 5000000U

/* Directories that are still to be read, by their paths below the mount's root. */
struct search {
	struct files *files;
	uint64_t until_us;
	char **pending;
	size_t n_pending, size;
	size_t n_names;
	size_t n_wanted;
	bool cut; /* something was left out */
};

static bool is_wanted(const struct file *file)
{
	return file->n_paths == 0 && !file->deleted && file->error != -ESTALE;
}

static int put_off(struct search *search, const char *path)
{
	char **grown, *copy;

	if (search->n_pending >= PENDING_MAX) {
		search->cut = true;
		return 0;
	}
	if (search->n_pending == search->size) {
		size_t size = search->size ? search->size * 2 : 64;

		grown = reallocarray(search->pending, size, sizeof(*grown));
		if (!grown)
			return -ENOMEM;
		search->pending = grown;
		search->size = size;
	}
	copy = strdup(path);
	if (!copy)
		return -ENOMEM;
	search->pending[search->n_pending++] = copy;
	return 0;
}

static int open_directory(const struct search *search, const char *path)
{
	struct open_how how = {
		.flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC | O_NOATIME,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV,
	};
	const char *name = *path ? path : ".";
	long fd;

	fd = syscall(SYS_openat2, search->files->fd, name, &how, sizeof(how));
	/* Of somebody else's that takes a capability, which the service does without. */
	if (fd < 0 && errno == EPERM) {
		how.flags &= ~(uint64_t)O_NOATIME;
		fd = syscall(SYS_openat2, search->files->fd, name, &how, sizeof(how));
	}
	return fd < 0 ? -errno : (int)fd;
}

static int each_name(struct search *search, const char *directory, const struct dirent *entry)
{
	struct file *file = files_find(search->files, entry->d_ino);
	char path[PATH_MAX];
	int r = 0;

	if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
		return 0;
	if (!file && entry->d_type != DT_DIR && entry->d_type != DT_UNKNOWN)
		return 0;
	if (snprintf(path, sizeof(path), "%s%s%s", directory, *directory ? "/" : "",
		     entry->d_name) >= (int)sizeof(path)) {
		search->cut = true;
		return 0;
	}
	if (file) {
		bool was_wanted = is_wanted(file);

		r = file_add_path(search->files, file, path);
		if (r == -E2BIG)
			r = 0;
		search->n_wanted -= was_wanted && !is_wanted(file);
	}
	if (r >= 0 && (entry->d_type == DT_DIR || entry->d_type == DT_UNKNOWN))
		r = put_off(search, path);
	return r;
}

static bool has_time(const struct search *search)
{
	return search->n_names < NAMES_MAX && foreign_now_us() < search->until_us;
}

static int read_directory(struct search *search, const char *path)
{
	const struct dirent *entry;
	int fd, r = 0;
	DIR *opened;

	fd = open_directory(search, path);
	if (fd < 0) {
		/* Removed, no directory, or another file system's root; else it is a loss. */
		search->cut |= fd != -ENOENT && fd != -ENOTDIR && fd != -EXDEV && fd != -ELOOP;
		return 0;
	}
	opened = fdopendir(fd);
	if (!opened) {
		close(fd);
		return -ENOMEM;
	}
	errno = 0;
	while (r >= 0 && search->n_wanted > 0 && (entry = readdir(opened))) {
		r = each_name(search, path, entry);
		if (++search->n_names % 1024 == 0 && !has_time(search))
			break;
		errno = 0;
	}
	search->cut |= errno != 0;
	closedir(opened);
	return r;
}

int files_search(struct files *files, uint64_t until_us)
{
	struct search search = {.files = files, .until_us = until_us};
	int r = 0;

	for (size_t i = 0; i < files->n_items; i++)
		search.n_wanted += is_wanted(files->items[i]);
	if (search.n_wanted > 0)
		r = put_off(&search, "");
	while (r >= 0 && search.n_pending > 0 && search.n_wanted > 0 && has_time(&search)) {
		char *path = search.pending[--search.n_pending];

		r = read_directory(&search, path);
		free(path);
	}
	files->searched =
		search.n_wanted == 0 || (search.n_pending == 0 && !search.cut && has_time(&search));
	while (search.n_pending > 0)
		free(search.pending[--search.n_pending]);
	free(search.pending);
	return r;
}
