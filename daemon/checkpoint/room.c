/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "checkpoint/room.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "step/checkpoint-store.h"
#include "step/proc.h"

#define MIB (1024U * 1024)
#define PROBE_BYTES (8 * MIB) /* what is less tells of seeks, not of speed */
#define THROUGHPUT "throughput"

/* Bytes of "Anonymous:     12 kB". */
static uint64_t field_of(const char *text, const char *key)
{
	const char *at = strstr(text, key);

	return at ? strtoull(at + strlen(key), NULL, 10) * 1024 : 0;
}

/*
 * What CRIU writes of it: what is no file's, wherever it is now; and one for the rest.
 *
 * Of memory that is shared each has his share, so that a tree that maps it has it once.
 * Too much: files that are still in a tmpfs, which are not written; and what of shared
 * memory is swapped out, which everybody has entirely (SwapPss has none of it).
 * Too little: what is shared with others than the tree; what nobody of it has touched,
 * also of a memfd or a removed file that is only open; huge pages of hugetlbfs.
 */
static uint64_t estimate(int proc_fd, const struct tree *tree)
{
	uint64_t bytes = 0;

	for (size_t i = 0; i < tree->n_items; i++) {
		char task[PROC_TASK_MAX], text[4096];

		snprintf(task, sizeof(task), "%d", tree->items[i].pid);
		bytes += MIB;
		if (proc_read(proc_fd, task, "smaps_rollup", text, sizeof(text)) >= 0)
			bytes += field_of(text, "\nAnonymous:") + field_of(text, "\nSwap:") +
				 field_of(text, "\nPss_Shmem:");
	}
	return bytes;
}

/* -ENOSPC: it does not even take that. */
static int probe(int store_fd, uint64_t *ret_speed)
{
	char *bytes = malloc(MIB);
	uint64_t began = checkpoint_now_us(), took;
	int fd, r = 0;

	if (!bytes)
		return -ENOMEM;
	/* Not all the same: what is compressed or left out would be quick. */
	for (size_t i = 0; i < MIB; i++)
		bytes[i] = (char)(i * 2654435761U >> 13);
	fd = openat(store_fd, ".", O_WRONLY | O_TMPFILE | O_CLOEXEC, 0600);
	if (fd < 0)
		r = -errno;
	for (size_t i = 0; r >= 0 && i < PROBE_BYTES / MIB; i++)
		if (write(fd, bytes, MIB) != MIB)
			r = -ENOSPC;
	if (r >= 0 && fsync(fd) < 0)
		r = -errno;
	if (fd >= 0)
		close(fd);
	free(bytes);
	took = checkpoint_now_us() - began;
	if (r >= 0)
		*ret_speed = PROBE_BYTES * UINT64_C(1000000) / (took ?: 1);
	return r;
}

static void keep_speed(int store_fd, uint64_t speed)
{
	char text[32];
	int n = snprintf(text, sizeof(text), "%" PRIu64 "\n", speed);

	(void)store_replace_file(store_fd, THROUGHPUT, text, (size_t)n);
}

void room_learn(int store_fd, uint64_t bytes, uint64_t took_us)
{
	if (bytes >= PROBE_BYTES)
		keep_speed(store_fd, bytes * 1000000 / (took_us ?: 1));
}

static int find_speed(int store_fd, uint64_t *ret)
{
	uint64_t speed = 0;
	char *text;
	size_t n;
	int r = 0;

	if (store_read_file(store_fd, THROUGHPUT, &text, &n) >= 0) {
		speed = strtoull(text, NULL, 10);
		free(text);
	}
	if (speed == 0) {
		r = probe(store_fd, &speed);
		if (r >= 0)
			keep_speed(store_fd, speed ?: 1);
	}
	if (r >= 0)
		*ret = speed ?: 1;
	return r;
}

struct sum {
	int store_fd;
	uint64_t bytes;
};

static int each_kept(void *userdata, const struct dg_checkpoint_id *id, bool part)
{
	struct sum *sum = userdata;
	struct dg_manifest manifest;

	if (part || store_read_manifest(sum->store_fd, id, &manifest) < 0)
		return 0;
	sum->bytes += manifest.bytes;
	dg_manifest_done(&manifest);
	return 0;
}

/* bytes: to be written. */
static int check_free(const struct request *request, int store_fd, uint64_t bytes,
		      struct result *result)
{
	struct statvfs fs;
	uint64_t room;

	if (fstatvfs(store_fd, &fs) < 0)
		return result_end_error(result, request->dir, -errno);
	room = (uint64_t)fs.f_bavail * fs.f_frsize;
	if (room >= request->keep_free && bytes <= room - request->keep_free)
		return 0;
	return result_end(result, "too-big",
			  "space: about %" PRIu64 " bytes to be written, %" PRIu64
			  " are free in %s, %" PRIu64 " are to be kept free",
			  bytes, room, request->dir, request->keep_free);
}

/* bytes: written or not. */
static int check_sum(const struct request *request, int store_fd, uint64_t bytes,
		     struct result *result)
{
	struct sum sum = {.store_fd = store_fd};
	int r;

	if (request->max_bytes == 0)
		return 0;
	r = store_foreach(store_fd, each_kept, &sum);
	if (r < 0)
		return result_end_error(result, request->dir, r);
	if (sum.bytes + bytes > request->max_bytes)
		return result_end(result, "too-big",
				  "space: about %" PRIu64 " bytes, the checkpoints that there are "
				  "have %" PRIu64 " of the %" PRIu64 " that they may have",
				  bytes, sum.bytes, request->max_bytes);
	return 0;
}

int room_check_written(const struct request *request, int store_fd, uint64_t bytes,
		       struct result *result)
{
	int r = check_free(request, store_fd, 0, result);

	return r < 0 ? r : check_sum(request, store_fd, bytes, result);
}

int room_check(const struct request *request, int store_fd, int proc_fd, const struct tree *tree,
	       struct result *result)
{
	uint64_t bytes = estimate(proc_fd, tree), speed, now, left_us;
	int r;

	r = check_free(request, store_fd, bytes, result);
	if (r >= 0)
		r = check_sum(request, store_fd, bytes, result);
	if (r < 0)
		return r;
	r = find_speed(store_fd, &speed);
	if (r < 0)
		return result_end_error(result, request->dir, r);
	now = checkpoint_now_us();
	left_us = request->deadline_us > now ? request->deadline_us - now : 0;
	if ((double)bytes / (double)speed <= (double)left_us / 1e6 * 0.8)
		return 0;
	/* That may have been a bad moment of the medium: whoever is next measures it. */
	(void)unlinkat(store_fd, THROUGHPUT, 0);
	return result_end(result, "too-big",
			  "time: about %" PRIu64 " bytes at %" PRIu64 " bytes/s, and %" PRIu64
			  " ms are left",
			  bytes, speed, left_us / 1000);
}
