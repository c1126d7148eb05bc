/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "io/store.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define DIRECTORY "incidents"
#define NAME_SIZE 24
#define TAIL_SIZE 8192 /* the longest line of a record */

struct store {
	int dir_fd;
};

struct store_record {
	int fd;
	size_t n, limit;
};

static int make_dir(int at_fd, const char *path, mode_t mode)
{
	int fd;

	if (mkdirat(at_fd, path, mode) < 0 && errno != EEXIST)
		return -errno;
	fd = openat(at_fd, path, O_DIRECTORY | O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	return fd < 0 ? -errno : fd;
}

int store_new(const char *run_dir, struct store **ret)
{
	struct store *store;
	int run_fd, fd;

	run_fd = make_dir(AT_FDCWD, run_dir, 0755);
	if (run_fd < 0)
		return run_fd;
	fd = make_dir(run_fd, DIRECTORY, 0700);
	close(run_fd);
	if (fd < 0)
		return fd;
	store = calloc(1, sizeof(*store));
	if (!store) {
		close(fd);
		return -ENOMEM;
	}
	store->dir_fd = fd;
	*ret = store;
	return 0;
}

struct store *store_free(struct store *store)
{
	if (!store)
		return NULL;
	close(store->dir_fd);
	free(store);
	return NULL;
}

static const char *name_of(uint64_t id, char buffer[static NAME_SIZE])
{
	snprintf(buffer, NAME_SIZE, "%" PRIu64, id);
	return buffer;
}

/* Half a line, of a daemon that was killed while it wrote: the next one would be glued to it. */
static int cut_half_line(struct store_record *record)
{
	size_t size = record->n < TAIL_SIZE ? record->n : TAIL_SIZE;
	off_t start = (off_t)(record->n - size), end;
	char tail[TAIL_SIZE];
	const char *newline;
	ssize_t n;

	n = pread(record->fd, tail, size, start);
	if (n < 0)
		return -errno;
	newline = memrchr(tail, '\n', (size_t)n);
	end = newline ? start + (newline - tail) + 1 : start;
	if (ftruncate(record->fd, end) < 0)
		return -errno;
	record->n = (size_t)end;
	return 0;
}

int store_record_open(struct store *store, uint64_t id, size_t limit, struct store_record **ret)
{
	struct store_record *record;
	char name[NAME_SIZE];
	struct stat status;
	int r;

	record = calloc(1, sizeof(*record));
	if (!record)
		return -ENOMEM;
	record->limit = limit;
	record->fd =
		openat(store->dir_fd, name_of(id, name),
		       O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
	if (record->fd < 0 || fstat(record->fd, &status) < 0) {
		r = -errno;
		store_record_close(record);
		return r;
	}
	record->n = (size_t)status.st_size;
	r = cut_half_line(record);
	if (r < 0) {
		store_record_close(record);
		return r;
	}
	*ret = record;
	return 0;
}

struct store_record *store_record_close(struct store_record *record)
{
	if (!record)
		return NULL;
	if (record->fd >= 0)
		close(record->fd);
	free(record);
	return NULL;
}

int store_record_append(struct store_record *record, const char *line, size_t n_line)
{
	ssize_t n;

	if (n_line > record->limit || record->n > record->limit - n_line)
		return -EFBIG;
	n = write(record->fd, line, n_line);
	if (n < 0)
		return -errno;
	if ((size_t)n == n_line) {
		record->n += n_line;
		return 0;
	}
	/* Half a line would break the next one too. */
	return ftruncate(record->fd, (off_t)record->n) < 0 ? -errno : -ENOSPC;
}

static int read_all(int fd, size_t limit, char **ret_text, size_t *ret_n)
{
	struct stat status;
	size_t n = 0, size;
	char *text;

	if (fstat(fd, &status) < 0)
		return -errno;
	size = (size_t)status.st_size < limit ? (size_t)status.st_size : limit;
	text = malloc(size + 1);
	if (!text)
		return -ENOMEM;
	while (n < size) {
		ssize_t k = read(fd, text + n, size - n);

		if (k < 0 && errno == EINTR)
			continue;
		if (k < 0) {
			free(text);
			return -errno;
		}
		if (k == 0)
			break;
		n += (size_t)k;
	}
	*ret_text = text;
	*ret_n = n;
	return 0;
}

int store_read(struct store *store, uint64_t id, size_t limit, char **ret_text, size_t *ret_n)
{
	char name[NAME_SIZE];
	int fd, r;

	fd = openat(store->dir_fd, name_of(id, name),
		    O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0)
		return -errno;
	r = read_all(fd, limit, ret_text, ret_n);
	close(fd);
	return r;
}

static int compare_ids(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

/* False: not a file of ours. */
static bool id_of(const char *name, uint64_t *ret)
{
	char again[NAME_SIZE];

	*ret = strtoull(name, NULL, 10);
	return strcmp(name_of(*ret, again), name) == 0;
}

int store_list(struct store *store, uint64_t **ret_ids, size_t *ret_n)
{
	uint64_t *ids = NULL, *grown, id;
	struct dirent *entry;
	size_t n = 0;
	int fd, r = 0;
	DIR *dir;

	/* A descriptor of its own: closedir() closes it. */
	fd = openat(store->dir_fd, ".", O_DIRECTORY | O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	dir = fdopendir(fd);
	if (!dir) {
		r = -errno;
		close(fd);
		return r;
	}
	while (r >= 0 && (entry = readdir(dir))) {
		if (!id_of(entry->d_name, &id))
			continue;
		grown = reallocarray(ids, n + 1, sizeof(*ids));
		if (!grown) {
			r = -ENOMEM;
			break;
		}
		ids = grown;
		ids[n++] = id;
	}
	closedir(dir);
	if (r < 0) {
		free(ids);
		return r;
	}
	if (n > 0)
		qsort(ids, n, sizeof(*ids), compare_ids);
	*ret_ids = ids;
	*ret_n = n;
	return 0;
}

int store_remove(struct store *store, uint64_t id)
{
	char name[NAME_SIZE];

	return unlinkat(store->dir_fd, name_of(id, name), 0) < 0 ? -errno : 0;
}
