/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "checkpoint/restore.h"
#include "checkpoint/uses.h"
#include "names.h"
#include "step/checkpoint-store.h"
#include "step/criu.h"
#include "step/proc.h"

#define LAYERS_MAX 8 /* of devices on top of each other */

/* False: it is inactive, failed, or unknown. */
static bool is_active(struct restore *restore, const char *unit)
{
	char *state;
	bool active;

	/* Who does not answer may know of one. */
	if (service_manager_state(restore->manager, unit, &state) < 0)
		return true;
	active = state[0] && strcmp(state, "inactive") != 0 && strcmp(state, "failed") != 0;
	free(state);
	return active;
}

static int open_checkpoint(struct restore *restore)
{
	const struct request *request = restore->request;
	int r;

	r = store_open(request->dir, false, &restore->store_fd);
	if (r >= 0)
		r = store_lock(restore->store_fd, &request->id, false, &restore->checkpoint_fd);
	if (r == -EBUSY)
		return result_end(restore->result, "running", "somebody is at %s",
				  request->id_text);
	if (r == -ENOENT && is_active(restore, restore->scope))
		return result_end(restore->result, "running", "it was restored, see %s",
				  restore->scope);
	if (r == -ENOENT)
		return result_end(restore->result, "unknown", "there is no checkpoint %s",
				  request->id_text);
	if (r < 0)
		return result_end_error(restore->result, request->dir, r);
	r = store_read_manifest(restore->store_fd, &request->id, &restore->manifest);
	if (r == -EPROTONOSUPPORT)
		return result_end(restore->result, "not-whole",
				  "%s was made by a later version, and is not understood",
				  request->id_text);
	if (r < 0)
		return result_end(restore->result, "not-whole", "%s is not as it was written: %s",
				  request->id_text, strerror(-r));
	return 0;
}

int restore_check_unit(struct restore *restore)
{
	const char *unit = restore->manifest.unit;
	bool queued = true;

	if (!unit)
		return 0;
	if (is_active(restore, unit))
		return result_end(restore->result, "unit-active", "%s is active again", unit);
	/* At boot it may be a while until it is its turn. */
	if (service_manager_has_job(restore->manager, unit, &queued) < 0 || queued)
		return result_end(restore->result, "unit-active", "%s is about to be started",
				  unit);
	return 0;
}

static int check_units(struct restore *restore)
{
	if (is_active(restore, restore->scope))
		return result_end(restore->result, "running", "it was restored, see %s",
				  restore->scope);
	return restore_check_unit(restore);
}

static int check_pids(struct restore *restore)
{
	for (size_t i = 0; i < restore->manifest.n_processes; i++) {
		char path[32];

		/* Also of a thread: it is looked up, though it is not listed. */
		snprintf(path, sizeof(path), "%d", restore->manifest.processes[i].pid);
		if (faccessat(restore->proc_fd, path, F_OK, 0) == 0)
			return result_end(restore->result, "pid-taken",
					  "another process has the number %s of %s", path,
					  restore->manifest.processes[i].comm);
	}
	return 0;
}

/* 1: below this device is the namespace. 0: it is not. -ENOENT: nothing is known of any. */
static int has_namespace(const char *device, const char *uuid, unsigned depth)
{
	char path[512], text[64], *found = text;
	const struct dirent *entry;
	int r = -ENOENT;
	ssize_t n;
	DIR *dir;
	int fd;

	/* The disk's own; a partition's disk is the directory above. */
	for (int i = 0; i < 2; i++) {
		snprintf(path, sizeof(path), "%s%s/device/uuid", device, i ? "/.." : "");
		fd = open(path, O_RDONLY | O_CLOEXEC);
		n = fd < 0 ? -1 : read(fd, found, sizeof(text) - 1);
		if (fd >= 0)
			close(fd);
		if (n > 0) {
			text[n] = '\0';
			text[strcspn(text, "\n")] = '\0';
			return strcasecmp(text, uuid) == 0;
		}
	}
	snprintf(path, sizeof(path), "%s/slaves", device);
	dir = depth < LAYERS_MAX ? opendir(path) : NULL;
	while (dir && r <= 0 && (entry = readdir(dir))) {
		int below;

		if (entry->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "%s/slaves/%.255s", device, entry->d_name);
		below = has_namespace(path, uuid, depth + 1);
		r = below > r ? below : r;
	}
	if (dir)
		closedir(dir);
	return r;
}

static int check_mount(struct restore *restore, const struct dg_manifest_mount *mount)
{
	char device[64];
	struct statx status;

	if (statx(AT_FDCWD, mount->path, AT_SYMLINK_NOFOLLOW, STATX_TYPE | STATX_INO, &status) < 0)
		return result_end(restore->result, "not-mounted", "%s: %s", mount->path,
				  strerror(errno));
	if (!(status.stx_attributes_mask & STATX_ATTR_MOUNT_ROOT) ||
	    !(status.stx_attributes & STATX_ATTR_MOUNT_ROOT))
		return result_end(restore->result, "not-mounted", "nothing is mounted at %s",
				  mount->path);
	snprintf(device, sizeof(device), DG_SYS_BLOCK_DIR "/%u:%u", status.stx_dev_major,
		 status.stx_dev_minor);
	/* Of a file system with a number that is no device's only its files tell. */
	if (mount->ns_uuid[0] && has_namespace(device, mount->ns_uuid, 0) == 0)
		return result_end(restore->result, "not-mounted",
				  "what is mounted at %s is not on the namespace %s", mount->path,
				  mount->ns_uuid);
	return 0;
}

static bool has_changed(const struct dg_manifest_file *file)
{
	struct stat status;

	if (lstat(file->path, &status) < 0 || !S_ISREG(status.st_mode))
		return true;
	return status.st_ino != file->ino || (uint64_t)status.st_size != file->size ||
	       (uint64_t)status.st_mtim.tv_sec * 1000000000 + (uint64_t)status.st_mtim.tv_nsec !=
		       file->mtime_ns;
}

/* CRIU maps a page cache as well, in which what is flushed from the CPU's caches does not stay. */
static bool is_dax(const char *path)
{
	struct statx status;

	return statx(AT_FDCWD, path, AT_SYMLINK_NOFOLLOW, STATX_TYPE, &status) == 0 &&
	       (status.stx_attributes_mask & status.stx_attributes & STATX_ATTR_DAX);
}

static int check_file(struct restore *restore, const struct dg_manifest_file *file)
{
	if (has_changed(file))
		return result_end(restore->result, "file-changed", "%s is not as it was then",
				  file->path);
	if (file->sync && !is_dax(file->path))
		return result_end(
			restore->result, "file-changed",
			"%s is not mounted with DAX, as it was when it was mapped with MAP_SYNC",
			file->path);
	return 0;
}

static int check_files(struct restore *restore)
{
	int r = 0;

	for (size_t i = 0; r >= 0 && i < restore->manifest.n_files && !restore->request->force; i++)
		r = check_file(restore, &restore->manifest.files[i]);
	return r;
}

struct held {
	struct restore *restore;
	struct stat *files; /* as they are now */
	const char *path;
	pid_t pid;
};

static int each_use(void *userdata, const struct stat *status, int dir_fd, const char *link)
{
	struct held *held = userdata;

	for (size_t i = 0; i < held->restore->manifest.n_files; i++)
		if (held->files[i].st_ino == status->st_ino &&
		    held->files[i].st_dev == status->st_dev) {
			held->path = held->restore->manifest.files[i].path;
			return 1;
		}
	return 0;
}

static int each_process(void *userdata, pid_t pid)
{
	struct held *held = userdata;

	held->pid = pid;
	return pid == getpid() ? 0 : uses_foreach(held->restore->proc_fd, pid, each_use, held);
}

/* Whoever has it now would share it with those who had it for themselves. */
static int check_holders(struct restore *restore)
{
	struct held held = {.restore = restore};
	int r;

	if (restore->manifest.n_files == 0)
		return 0;
	held.files = calloc(restore->manifest.n_files, sizeof(*held.files));
	if (!held.files)
		return result_end_error(restore->result, "memory", -ENOMEM);
	for (size_t i = 0; i < restore->manifest.n_files; i++)
		(void)lstat(restore->manifest.files[i].path, &held.files[i]);
	r = proc_foreach(restore->proc_fd, ".", each_process, &held);
	free(held.files);
	if (r > 0)
		return result_end(restore->result, "file-held", "process %d uses %s", held.pid,
				  held.path);
	return 0;
}

int restore_check(struct restore *restore)
{
	int r;

	r = open_checkpoint(restore);
	if (r < 0)
		return r;
	restore->criu = criu_find();
	if (!restore->criu)
		return result_end(restore->result, "no-criu", "CRIU is not installed");
	r = check_units(restore);
	if (r >= 0)
		r = check_pids(restore);
	for (size_t i = 0; r >= 0 && i < restore->manifest.n_mounts; i++)
		r = check_mount(restore, &restore->manifest.mounts[i]);
	if (r >= 0)
		r = check_files(restore);
	if (r >= 0)
		r = check_holders(restore);
	return r;
}
