/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "step/checkpoint-store.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define MANIFEST "manifest"
#define PART_SUFFIX ".part"
#define DEPTH_MAX 8 /* of directories in one; CRIU makes none */
#define TRIES_MAX 16

static void parent_name(const struct dg_checkpoint_id *id, char name[static DG_CHECKPOINT_ID_MAX])
{
	snprintf(name, DG_CHECKPOINT_ID_MAX, "%.8s-%" PRIu64, id->boot, id->incident);
}

static void own_name(const struct dg_checkpoint_id *id, bool part,
		     char name[static DG_CHECKPOINT_ID_MAX])
{
	snprintf(name, DG_CHECKPOINT_ID_MAX, part ? ".%d" PART_SUFFIX : "%d", id->pid);
}

static int open_dir(int at_fd, const char *name)
{
	int fd = openat(at_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);

	return fd < 0 ? -errno : fd;
}

static int sync_parent(int fd)
{
	int parent_fd = open_dir(fd, ".."), r = 0;

	if (parent_fd < 0)
		return parent_fd;
	if (fsync(parent_fd) < 0)
		r = -errno;
	close(parent_fd);
	return r;
}

int store_open(const char *path, bool make, int *ret_fd)
{
	bool made = make && mkdir(path, 0700) == 0;
	struct stat status;
	int fd, r = 0;

	if (make && !made && errno != EEXIST)
		return -errno;
	fd = open_dir(AT_FDCWD, path);
	if (fd < 0)
		return fd;
	if (fstat(fd, &status) < 0)
		r = -errno;
	/* What somebody else may have put there is not restored by root. */
	else if (status.st_uid != geteuid() || status.st_mode & (S_IWGRP | S_IWOTH))
		r = -EPERM;
	/* What is kept in it is not lost with its name. */
	else if (made)
		r = sync_parent(fd);
	if (r < 0)
		close(fd);
	else
		*ret_fd = fd;
	return r;
}

static int open_parent(int store_fd, const struct dg_checkpoint_id *id)
{
	char name[DG_CHECKPOINT_ID_MAX];

	parent_name(id, name);
	return open_dir(store_fd, name);
}

/* Has the lock, and it is still what has the name. */
static int lock_dir(int parent_fd, const char *name, int *ret_fd)
{
	struct stat ours, theirs;
	int fd, r = 0;

	fd = open_dir(parent_fd, name);
	if (fd < 0)
		return fd;
	if (flock(fd, LOCK_EX | LOCK_NB) < 0)
		r = errno == EWOULDBLOCK ? -EBUSY : -errno;
	else if (fstat(fd, &ours) < 0 || fstatat(parent_fd, name, &theirs, AT_SYMLINK_NOFOLLOW) < 0)
		r = -errno;
	else if (ours.st_ino != theirs.st_ino)
		r = -EBUSY;
	if (r < 0)
		close(fd);
	else
		*ret_fd = fd;
	return r;
}

int store_lock(int store_fd, const struct dg_checkpoint_id *id, bool part, int *ret_fd)
{
	char name[DG_CHECKPOINT_ID_MAX];
	int parent_fd, r;

	parent_fd = open_parent(store_fd, id);
	if (parent_fd < 0)
		return parent_fd;
	own_name(id, part, name);
	r = lock_dir(parent_fd, name, ret_fd);
	close(parent_fd);
	return r;
}

/* The last one of an incident to go takes this directory with it, also from under us. */
static int make_parent(int store_fd, const struct dg_checkpoint_id *id)
{
	char name[DG_CHECKPOINT_ID_MAX];
	int fd;

	parent_name(id, name);
	if (mkdirat(store_fd, name, 0700) < 0 && errno != EEXIST)
		return -errno;
	fd = open_dir(store_fd, name);
	if (fd >= 0 && fsync(store_fd) < 0) {
		int r = -errno;

		close(fd);
		return r;
	}
	return fd;
}

static int begin_in(int parent_fd, const char *name, int *ret_fd)
{
	int fd, r;

	if (mkdirat(parent_fd, name, 0700) < 0)
		return -errno;
	r = lock_dir(parent_fd, name, &fd);
	if (r < 0)
		return r;
	if (mkdirat(fd, STORE_IMAGES, 0700) < 0) {
		r = -errno;
		close(fd);
		return r;
	}
	*ret_fd = fd;
	return 0;
}

int store_begin(int store_fd, const struct dg_checkpoint_id *id, int *ret_fd)
{
	char name[DG_CHECKPOINT_ID_MAX];
	int left_fd, r = -EBUSY;

	own_name(id, true, name);
	if (store_lock(store_fd, id, true, &left_fd) >= 0) {
		(void)store_remove(store_fd, id, true);
		close(left_fd);
	}
	for (int i = 0; i < TRIES_MAX; i++) {
		int parent_fd = make_parent(store_fd, id);

		r = parent_fd < 0 ? parent_fd : begin_in(parent_fd, name, ret_fd);
		if (parent_fd >= 0)
			close(parent_fd);
		if (r != -ENOENT)
			break;
	}
	return r;
}

static int begin_sync(int fd, uint64_t *bytes)
{
	(void)sync_file_range(fd, 0, 0, SYNC_FILE_RANGE_WRITE);
	return 0;
}

static int end_sync(int fd, uint64_t *bytes)
{
	struct stat status;

	if (fstat(fd, &status) < 0 || fsync(fd) < 0)
		return -errno;
	*bytes += (uint64_t)status.st_size;
	return 0;
}

static int each_image(DIR *dir, int (*func)(int fd, uint64_t *bytes), uint64_t *bytes)
{
	const struct dirent *entry;
	int r = 0;

	rewinddir(dir);
	while (r >= 0 && (entry = readdir(dir))) {
		int fd;

		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		fd = openat(dirfd(dir), entry->d_name,
			    O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
		/* A link to nowhere that CRIU has left. */
		if (fd < 0) {
			r = errno == ELOOP ? 0 : -errno;
			continue;
		}
		r = func(fd, bytes);
		close(fd);
	}
	return r;
}

int store_sync_images(int part_fd, uint64_t *ret_bytes)
{
	uint64_t bytes = 0;
	int fd, r;
	DIR *dir;

	fd = open_dir(part_fd, STORE_IMAGES);
	dir = fd < 0 ? NULL : fdopendir(fd);
	if (!dir)
		return fd < 0 ? fd : -ENOMEM;
	/* All are under way before one is waited for: a journal then has one commit for them. */
	r = each_image(dir, begin_sync, &bytes);
	if (r >= 0)
		r = each_image(dir, end_sync, &bytes);
	if (r >= 0 && fsync(fd) < 0)
		r = -errno;
	closedir(dir);
	if (r >= 0)
		*ret_bytes = bytes;
	return r;
}

int store_write_manifest(int part_fd, const struct dg_manifest *manifest)
{
	struct dg_record_writer writer = DG_RECORD_WRITER_INIT;
	int r;

	r = dg_manifest_write(manifest, &writer);
	if (r >= 0)
		r = store_replace_file(part_fd, MANIFEST, writer.data, writer.n);
	dg_record_writer_done(&writer);
	return r;
}

/* From the one name to the other, on the medium. */
static int rename_one(int store_fd, const struct dg_checkpoint_id *id, bool part)
{
	char from[DG_CHECKPOINT_ID_MAX], to[DG_CHECKPOINT_ID_MAX];
	int parent_fd, r = 0;

	parent_fd = open_parent(store_fd, id);
	if (parent_fd < 0)
		return parent_fd;
	own_name(id, part, from);
	own_name(id, !part, to);
	if (renameat2(parent_fd, from, parent_fd, to, RENAME_NOREPLACE) < 0 || fsync(parent_fd) < 0)
		r = -errno;
	close(parent_fd);
	return r;
}

int store_commit(int store_fd, const struct dg_checkpoint_id *id)
{
	return rename_one(store_fd, id, true);
}

bool store_has(int store_fd, const struct dg_checkpoint_id *id)
{
	char path[3 * DG_CHECKPOINT_ID_MAX], name[DG_CHECKPOINT_ID_MAX];

	parent_name(id, name);
	snprintf(path, sizeof(path), "%s/%d", name, id->pid);
	return faccessat(store_fd, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

int store_read_manifest(int store_fd, const struct dg_checkpoint_id *id, struct dg_manifest *ret)
{
	char path[3 * DG_CHECKPOINT_ID_MAX], name[DG_CHECKPOINT_ID_MAX], own[DG_CHECKPOINT_ID_MAX];
	char *text = NULL;
	size_t n = 0;
	int r;

	parent_name(id, name);
	own_name(id, false, own);
	snprintf(path, sizeof(path), "%s/%s/" MANIFEST, name, own);
	r = store_read_file(store_fd, path, &text, &n);
	if (r < 0)
		return r;
	r = dg_manifest_read(text, n, ret);
	free(text);
	return r;
}

static int remove_tree(int at_fd, const char *name, unsigned depth);

static int empty_dir(int fd, unsigned depth)
{
	const struct dirent *entry;
	int copy = dup(fd), r = 0;
	DIR *dir = copy < 0 ? NULL : fdopendir(copy);

	if (!dir) {
		if (copy >= 0)
			close(copy);
		return -ENOMEM;
	}
	rewinddir(dir);
	while (r >= 0 && (entry = readdir(dir)))
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			r = remove_tree(fd, entry->d_name, depth + 1);
	closedir(dir);
	return r;
}

static int remove_tree(int at_fd, const char *name, unsigned depth)
{
	int fd, r;

	if (unlinkat(at_fd, name, 0) == 0 || errno == ENOENT)
		return 0;
	if (errno != EISDIR && errno != EPERM)
		return -errno;
	if (depth > DEPTH_MAX)
		return -ELOOP;
	fd = open_dir(at_fd, name);
	if (fd < 0)
		return fd;
	r = empty_dir(fd, depth);
	close(fd);
	if (r >= 0 && unlinkat(at_fd, name, AT_REMOVEDIR) < 0)
		r = -errno;
	return r;
}

int store_unname(int store_fd, const struct dg_checkpoint_id *id)
{
	return rename_one(store_fd, id, false);
}

int store_remove(int store_fd, const struct dg_checkpoint_id *id, bool part)
{
	char name[DG_CHECKPOINT_ID_MAX];
	int parent_fd, r = part ? 0 : store_unname(store_fd, id);

	if (r < 0)
		return r;
	parent_fd = open_parent(store_fd, id);
	if (parent_fd < 0)
		return parent_fd;
	own_name(id, true, name);
	r = remove_tree(parent_fd, name, 0);
	close(parent_fd);
	parent_name(id, name);
	/* Only if it was the last one. */
	(void)unlinkat(store_fd, name, AT_REMOVEDIR);
	return r;
}

/* "4711" and ".4711.part" below "0123abcd-17". */
static bool parse_names(const char *parent, const char *name, struct dg_checkpoint_id *ret,
			bool *ret_part)
{
	char text[2 * NAME_MAX + 2];
	size_t n = strlen(name), n_suffix = strlen(PART_SUFFIX);
	bool part = name[0] == '.';

	if (part && (n <= n_suffix + 1 || strcmp(name + n - n_suffix, PART_SUFFIX) != 0))
		return false;
	snprintf(text, sizeof(text), "%.255s-%.255s", parent, name + part);
	if (part)
		text[strlen(text) - n_suffix] = '\0';
	*ret_part = part;
	return dg_checkpoint_id_parse(text, ret) >= 0;
}

struct each {
	int (*func)(void *userdata, const struct dg_checkpoint_id *id, bool part);
	void *userdata;
};

static int each_of_incident(int parent_fd, const char *parent, const struct each *each)
{
	DIR *dir = fdopendir(parent_fd);
	const struct dirent *entry;
	struct dg_checkpoint_id id;
	bool part;
	int r = 0;

	if (!dir) {
		close(parent_fd);
		return -ENOMEM;
	}
	while (r == 0 && (entry = readdir(dir)))
		if (parse_names(parent, entry->d_name, &id, &part))
			r = each->func(each->userdata, &id, part);
	closedir(dir);
	return r;
}

int store_foreach(int store_fd,
		  int (*func)(void *userdata, const struct dg_checkpoint_id *id, bool part),
		  void *userdata)
{
	const struct each each = {func, userdata};
	const struct dirent *entry;
	int r = 0, fd = open_dir(store_fd, ".");
	DIR *dir;

	dir = fd < 0 ? NULL : fdopendir(fd);
	if (!dir)
		return fd < 0 ? fd : -ENOMEM;
	while (r == 0 && (entry = readdir(dir))) {
		int parent_fd = entry->d_name[0] == '.' ? -1 : open_dir(fd, entry->d_name);

		if (parent_fd >= 0)
			r = each_of_incident(parent_fd, entry->d_name, &each);
	}
	closedir(dir);
	return r;
}
