/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "step/files.h"

#ifndef XFS_SUPER_MAGIC
#define XFS_SUPER_MAGIC 0x58465342
#endif

/* Forms of a handle: FILEID_INO32_GEN, and with XFS_FILEID_TYPE_64FLAG. */
#define HANDLE_INO32_GEN 1
#define HANDLE_XFS_INO64_GEN 0x81
#define DELETED " (deleted)"

/* xfs_bulkstat_req with one xfs_bulkstat; in no header of the kernel's. */
struct bulkstat_one {
	struct {
		uint64_t ino;
		uint32_t flags, icount, ocount, agno;
		uint64_t reserved[5];
	} request;
	struct {
		uint64_t ino, size, blocks, xflags;
		int64_t times[4];
		uint32_t generation;
		uint32_t others[11];
		uint32_t links;
		uint32_t extents[2];
		uint16_t version[2], sick[2], mode, pad;
		uint64_t rest[7];
	} stat;
};
_Static_assert(sizeof(struct bulkstat_one) == 64 + 192, "as in xfs_fs.h");
/* The kernel's number has the size of the request alone. */
#define IOC_BULKSTAT _IOC(_IOC_READ, 'X', 127, 64)

void files_init(struct files *files, int proc_fd, const struct mount *mount, int fd)
{
	struct statfs st;

	*files = (struct files){.proc_fd = proc_fd, .fd = fd, .mount = mount};
	files->is_xfs = fstatfs(fd, &st) == 0 && st.f_type == XFS_SUPER_MAGIC;
}

void files_done(struct files *files)
{
	for (size_t i = 0; i < files->n_items; i++) {
		for (size_t p = 0; p < files->items[i]->n_paths; p++)
			free(files->items[i]->paths[p]);
		free(files->items[i]->paths);
		free(files->items[i]);
	}
	free(files->items);
	*files = (struct files){.proc_fd = -1, .fd = -1};
}

/* Of the first whose inode is not less. */
static size_t place_of(const struct files *files, uint64_t ino)
{
	size_t low = 0, high = files->n_items;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (files->items[middle]->ino < ino)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

struct file *files_find(const struct files *files, uint64_t ino)
{
	size_t at = place_of(files, ino);

	return at < files->n_items && files->items[at]->ino == ino ? files->items[at] : NULL;
}

int file_add_path(struct files *files, struct file *file, const char *relative)
{
	const char *root = strcmp(files->mount->path, "/") == 0 ? "" : files->mount->path;
	size_t n = strlen(root) + strlen(relative) + 2;
	char **grown, *path;

	if (file->n_paths >= FILE_PATHS_MAX || files->n_bytes + n > FILES_PATHS_BYTES)
		return -E2BIG;
	path = malloc(n);
	if (!path)
		return -ENOMEM;
	snprintf(path, n, "%s%s%s", root, *relative || !*root ? "/" : "", relative);
	for (size_t i = 0; i < file->n_paths; i++)
		if (strcmp(file->paths[i], path) == 0) {
			free(path);
			return 0;
		}
	grown = reallocarray(file->paths, file->n_paths + 1, sizeof(*grown));
	if (!grown) {
		free(path);
		return -ENOMEM;
	}
	grown[file->n_paths++] = path;
	file->paths = grown;
	files->n_bytes += n;
	return 0;
}

/* Its generation, without which XFS knows no handle. */
static int ask_xfs(const struct files *files, struct file *file)
{
	struct bulkstat_one one = {.request = {.ino = file->ino, .icount = 1}};

	if (ioctl(files->fd, IOC_BULKSTAT, &one) < 0)
		return -errno;
	/* It tells of the next one if there is none of this number. */
	if (one.request.ocount != 1 || one.stat.ino != file->ino)
		return -ESTALE;
	file->generation = one.stat.generation;
	file->mode = one.stat.mode;
	file->links = one.stat.links;
	return 0;
}

static int open_by_handle(const struct files *files, const struct file *file)
{
	union {
		struct file_handle handle;
		char room[sizeof(struct file_handle) + MAX_HANDLE_SZ];
	} name = {};
	uint32_t ino32 = (uint32_t)file->ino;
	unsigned char *at = name.handle.f_handle;
	size_t n_ino = files->is_xfs ? sizeof(file->ino) : sizeof(ino32);
	int fd;

	if (!files->is_xfs && file->ino > UINT32_MAX)
		return -ESTALE;
	name.handle.handle_type = files->is_xfs ? HANDLE_XFS_INO64_GEN : HANDLE_INO32_GEN;
	name.handle.handle_bytes = (unsigned)(n_ino + sizeof(file->generation));
	memcpy(at, files->is_xfs ? (const void *)&file->ino : &ino32, n_ino);
	memcpy(at + n_ino, &file->generation, sizeof(file->generation));
	fd = open_by_handle_at(files->fd, &name.handle, O_PATH | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

static int stat_it(int fd, struct statx *ret)
{
	if (statx(fd, "", AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW | AT_STATX_DONT_SYNC,
		  STATX_TYPE | STATX_NLINK | STATX_INO, ret) < 0)
		return -errno;
	return 0;
}

/* 0: the path, from the mount's root on, leads to the file. -ENOENT: it does not. */
static int check_path(const struct files *files, const struct file *file, const char *relative)
{
	struct open_how how = {
		.flags = O_PATH | O_NOFOLLOW | O_CLOEXEC,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV,
	};
	struct statx stx;
	long fd;
	int r;

	if (!*relative) {
		r = stat_it(files->fd, &stx);
		return r < 0 ? r : stx.stx_ino == file->ino ? 0 : -ENOENT;
	}
	fd = syscall(SYS_openat2, files->fd, relative, &how, sizeof(how));
	if (fd < 0)
		return -errno;
	r = stat_it((int)fd, &stx);
	close((int)fd);
	return r < 0 ? r : stx.stx_ino == file->ino ? 0 : -ENOENT;
}

/* What of an absolute path is below the mount; NULL: it is not. */
static const char *below_mount(const struct mount *mount, const char *path)
{
	size_t n = strcmp(mount->path, "/") == 0 ? 0 : strlen(mount->path);

	if (strncmp(path, mount->path, n) != 0 || (path[n] != '/' && path[n]))
		return NULL;
	return path[n] ? path + n + 1 : path + n;
}

/*
 * The name that the kernel has in memory. For a file that nobody has looked up by
 * a name it shows "/", and outside a bind mount what is the path from the file
 * system's root on: so what it shows is only believed if it leads there. Not past
 * what is mounted on the way: then it is believed.
 */
static int read_name(struct files *files, struct file *file, int fd)
{
	char link[40], path[PATH_MAX];
	const char *relative;
	size_t n_tail = strlen(DELETED);
	ssize_t n;
	int r;

	snprintf(link, sizeof(link), "thread-self/fd/%d", fd);
	n = readlinkat(files->proc_fd, link, path, sizeof(path) - 1);
	if (n < 0)
		return -errno;
	path[n] = '\0';
	relative = below_mount(files->mount, path);
	if (!relative)
		return 0;
	r = check_path(files, file, relative);
	if (r == 0 || r == -EXDEV)
		return file_add_path(files, file, relative);
	if (!file->deleted || (size_t)n <= n_tail || strcmp(path + n - n_tail, DELETED) != 0)
		return 0;
	path[(size_t)n - n_tail] = '\0';
	relative = below_mount(files->mount, path);
	return relative && *relative ? file_add_path(files, file, relative) : 0;
}

static int look(struct files *files, struct file *file, bool has_generation)
{
	struct statx stx;
	int fd, r = 0;

	if (files->is_xfs && !has_generation)
		r = ask_xfs(files, file);
	if (r < 0)
		return r;
	fd = open_by_handle(files, file);
	if (fd < 0)
		return fd;
	r = stat_it(fd, &stx);
	if (r >= 0) {
		file->mode = stx.stx_mode;
		file->links = stx.stx_nlink;
		file->deleted = stx.stx_nlink == 0;
		r = read_name(files, file, fd);
	}
	close(fd);
	return r;
}

int files_get(struct files *files, uint64_t ino, const uint32_t *generation,
	      const struct file **ret)
{
	struct file **grown, *file = files_find(files, ino);
	size_t at = place_of(files, ino);

	if (file) {
		*ret = file;
		return 0;
	}
	if (files->n_items >= FILES_MAX)
		return -E2BIG;
	grown = reallocarray(files->items, files->n_items + 1, sizeof(struct file *));
	if (!grown)
		return -ENOMEM;
	files->items = grown;
	file = calloc(1, sizeof(*file));
	if (!file)
		return -ENOMEM;
	file->ino = ino;
	file->generation = generation ? *generation : 0;
	memmove(grown + at + 1, grown + at, (files->n_items++ - at) * sizeof(struct file *));
	grown[at] = file;
	file->error = look(files, file, generation != NULL);
	if (file->error == -ENOMEM)
		return -ENOMEM;
	*ret = file;
	return 0;
}

static const char *why_no_path(const struct files *files, const struct file *file)
{
	if (file->deleted)
		return "deleted";
	if (file->error == -ESTALE)
		return "stale";
	if (!files->searched)
		return "not-searched";
	return file->error < 0 ? step_result(file->error) : "not-found";
}

int files_report(const struct files *files, struct step *step, bool here)
{
	struct dg_record_writer *writer = &step->writer;
	int r = 0;

	for (size_t i = 0; i < files->n_items && r >= 0; i++) {
		const struct file *file = files->items[i];

		dg_record_field_u64(writer, "FILE", file->ino);
		dg_record_field_dev(writer, "FS_DEV", files->mount->dev);
		dg_record_field_u64(writer, "GENERATION", file->generation);
		if (file->mode != 0)
			dg_record_field_u64(writer, "LINKS", file->links);
		if (file->deleted)
			dg_record_field_u64(writer, "DELETED", 1);
		if (file->n_paths == 0)
			dg_record_field(writer, "NO_PATH", why_no_path(files, file));
		else if (!here)
			dg_record_field_u64(writer, "ELSEWHERE", 1);
		for (size_t p = 0; p < file->n_paths; p++)
			dg_record_field(writer, "PATH", file->paths[p]);
		r = step_emit(step);
	}
	return r;
}
