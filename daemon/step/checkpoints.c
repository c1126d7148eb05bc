/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the store has, and what of it has to go. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "core/grow.h"
#include "step/checkpoint-store.h"
#include "step/step.h"

struct kept {
	struct dg_checkpoint_id id;
	uint64_t time_us, bytes;
};

struct sweep {
	struct step *step;
	int store_fd;
	struct kept *kept;
	size_t n_kept;
	struct dg_checkpoint_id *parts;
	size_t n_parts;
	bool left;
};

static void field_id(struct step *step, const char *key, const struct dg_checkpoint_id *id)
{
	char text[DG_CHECKPOINT_ID_MAX];

	dg_checkpoint_id_format(id, text);
	dg_record_field(&step->writer, key, text);
}

static int each_listed(void *userdata, const struct dg_checkpoint_id *id, bool part)
{
	struct sweep *sweep = userdata;
	struct dg_record_writer *writer = &sweep->step->writer;
	struct dg_manifest manifest;
	int r = 0;

	if (!part)
		r = store_read_manifest(sweep->store_fd, id, &manifest);
	/* It has gone meanwhile. */
	if (r == -ENOENT && !store_has(sweep->store_fd, id))
		return 0;
	if (part || r < 0) {
		field_id(sweep->step, "ID", id);
		dg_record_field(writer, "STATE", part ? "part" : "broken");
		return step_emit(sweep->step);
	}
	dg_record_field(writer, "STATE", "whole");
	dg_manifest_write_head(&manifest, writer);
	for (size_t i = 0; i < manifest.n_mounts; i++) {
		dg_record_field(writer, "MOUNT", manifest.mounts[i].path);
		dg_record_field(writer, "NS_UUID", manifest.mounts[i].ns_uuid);
	}
	r = step_emit(sweep->step);
	dg_manifest_done(&manifest);
	return r;
}

int verb_checkpoints(struct step *step)
{
	struct sweep sweep = {.step = step};
	int r;

	if (step->n_words != 1)
		return STEP_EXIT_USAGE;
	r = store_open(step->words[0], false, &sweep.store_fd);
	if (r == -ENOENT)
		return STEP_EXIT_OK;
	if (r < 0)
		return r;
	r = store_foreach(sweep.store_fd, each_listed, &sweep);
	close(sweep.store_fd);
	return r < 0 ? r : STEP_EXIT_OK;
}

static int each_kept(void *userdata, const struct dg_checkpoint_id *id, bool part)
{
	struct sweep *sweep = userdata;
	struct dg_manifest manifest;

	if (part) {
		if (DG_GROW(sweep->parts, sweep->n_parts) < 0)
			return -ENOMEM;
		sweep->parts[sweep->n_parts++] = *id;
		return 0;
	}
	/* What cannot be read may be of a version to come: it goes if it is named. */
	if (store_read_manifest(sweep->store_fd, id, &manifest) < 0)
		return 0;
	if (DG_GROW(sweep->kept, sweep->n_kept) < 0) {
		dg_manifest_done(&manifest);
		return -ENOMEM;
	}
	sweep->kept[sweep->n_kept++] = (struct kept){*id, manifest.time_us, manifest.bytes};
	dg_manifest_done(&manifest);
	return 0;
}

/* 1: it is gone. */
static int remove_one(struct sweep *sweep, const struct dg_checkpoint_id *id, bool part,
		      uint64_t bytes)
{
	const char *key = "REMOVED";
	int fd, r;

	r = store_lock(sweep->store_fd, id, part, &fd);
	if (r >= 0) {
		r = store_remove(sweep->store_fd, id, part);
		close(fd);
	}
	/* One that is being made is nobody's business. */
	if (r == -ENOENT || (part && r == -EBUSY))
		return 0;
	if (r < 0) {
		key = r == -EBUSY ? "BUSY" : "FAILED";
		sweep->left = true;
	}
	field_id(sweep->step, key, id);
	if (r >= 0)
		dg_record_field_u64(&sweep->step->writer, "BYTES", bytes);
	else if (r != -EBUSY)
		dg_record_field(&sweep->step->writer, "RESULT", step_result(r));
	return step_emit(sweep->step) < 0 ? -EPIPE : r >= 0;
}

static uint64_t now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static int by_time(const void *a, const void *b)
{
	const struct kept *x = a, *y = b;

	return (x->time_us > y->time_us) - (x->time_us < y->time_us);
}

static int remove_old(struct sweep *sweep, uint64_t max_bytes, uint64_t max_age_s)
{
	uint64_t bytes = 0, now = now_us();
	int r = 0;

	if (sweep->n_kept > 0)
		qsort(sweep->kept, sweep->n_kept, sizeof(*sweep->kept), by_time);
	for (size_t i = 0; i < sweep->n_kept; i++)
		bytes += sweep->kept[i].bytes;
	for (size_t i = 0; r >= 0 && i < sweep->n_kept; i++) {
		const struct kept *kept = &sweep->kept[i];
		uint64_t age_s = now > kept->time_us ? (now - kept->time_us) / 1000000 : 0;

		if ((max_bytes == 0 || bytes <= max_bytes) &&
		    (max_age_s == 0 || age_s <= max_age_s))
			continue;
		r = remove_one(sweep, &kept->id, false, kept->bytes);
		if (r > 0)
			bytes -= kept->bytes;
	}
	return r;
}

static int remove_named(struct sweep *sweep)
{
	struct dg_checkpoint_id id;
	int r = 0;

	for (size_t i = 3; r >= 0 && i < sweep->step->n_words; i++) {
		struct dg_manifest manifest = {};

		if (dg_checkpoint_id_parse(sweep->step->words[i], &id) < 0)
			return -EINVAL;
		(void)store_read_manifest(sweep->store_fd, &id, &manifest);
		r = remove_one(sweep, &id, false, manifest.bytes);
		dg_manifest_done(&manifest);
	}
	return r;
}

static int forget(struct sweep *sweep, uint64_t max_bytes, uint64_t max_age_s)
{
	int r;

	r = remove_named(sweep);
	if (r >= 0)
		r = store_foreach(sweep->store_fd, each_kept, sweep);
	for (size_t i = 0; r >= 0 && i < sweep->n_parts; i++)
		r = remove_one(sweep, &sweep->parts[i], true, 0);
	if (r >= 0)
		r = remove_old(sweep, max_bytes, max_age_s);
	return r;
}

static bool words_are_right(const struct step *step, uint64_t numbers[static 2])
{
	struct dg_checkpoint_id id;

	if (step->n_words < 3)
		return false;
	for (size_t i = 0; i < 2; i++) {
		char *end;

		errno = 0;
		numbers[i] = strtoull(step->words[i + 1], &end, 10);
		if (errno || *end || step->words[i + 1][0] < '0' || step->words[i + 1][0] > '9')
			return false;
	}
	for (size_t i = 3; i < step->n_words; i++)
		if (dg_checkpoint_id_parse(step->words[i], &id) < 0)
			return false;
	return true;
}

int verb_forget(struct step *step)
{
	struct sweep sweep = {.step = step};
	uint64_t numbers[2];
	int r;

	if (!words_are_right(step, numbers))
		return STEP_EXIT_USAGE;
	r = store_open(step->words[0], false, &sweep.store_fd);
	if (r == -ENOENT)
		return STEP_EXIT_OK;
	if (r < 0)
		return r;
	r = forget(&sweep, numbers[0], numbers[1]);
	close(sweep.store_fd);
	free(sweep.kept);
	free(sweep.parts);
	if (r < 0)
		return r;
	return sweep.left ? STEP_EXIT_LEFT : STEP_EXIT_OK;
}
