/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the step that makes a checkpoint is told, see daxguard-step(8). */
#include <limits.h>
#include <stdio.h>

#include "manager-dumps.h"
#include "names.h"

static void put_dev(struct dg_record_writer *w, const char *key, dg_dev_t dev)
{
	if (dev > 0)
		dg_record_field_dev(w, key, dev);
}

/* Where the images may not lie: on what is guarded, of which this goes away. */
static void put_guarded(struct dg_record_writer *w, const struct incident *incident)
{
	const struct dg_request *request = &incident->core.request;
	const struct manager *m = incident->m;
	const struct dg_story *story = incident->story;

	for (size_t i = 0; i < m->n_devices; i++) {
		const struct manager_device *device = &m->devices[i];

		if (device->mode == DG_MODE_DEVDAX)
			continue;
		put_dev(w, "GUARDED", device->dev);
		for (size_t k = 0; k < device->n_layers; k++)
			put_dev(w, "GUARDED", device->layers[k].dev);
		for (size_t k = 0; k < device->n_mounts; k++)
			put_dev(w, "GUARDED", device->mounts[k].dev);
	}
	for (size_t i = 0; i < request->n_targets; i++) {
		const struct dg_target *target = &request->targets[i];

		if (target->mode != DG_MODE_DEVDAX)
			put_dev(w, "GUARDED", target->dev);
		for (size_t k = 0; k < target->n_layers; k++)
			put_dev(w, "GUARDED", target->layers[k].dev);
	}
	for (size_t i = 0; i < story->n_mounts; i++)
		put_dev(w, "GUARDED", story->mounts[i].dev);
}

/* The disk below a file system; of one whose number says nothing, if there is one only. */
static const struct dg_target *target_of(const struct dg_request *request, dg_dev_t dev)
{
	for (size_t i = 0; i < request->n_targets; i++) {
		const struct dg_target *target = &request->targets[i];

		if (target->dev == dev)
			return target;
		for (size_t k = 0; k < target->n_layers; k++)
			if (target->layers[k].dev == dev)
				return target;
	}
	return request->n_targets == 1 ? &request->targets[0] : NULL;
}

static void put_namespace(struct dg_record_writer *w, struct manager *m,
			  const struct dg_target *target)
{
	const struct manager_device *device =
		devices_find(m, target->dev, target->mode == DG_MODE_DEVDAX);
	char uuid[DG_BOOT_ID_LEN] = "";

	if (target->has_uuid)
		dg_uuid_text(target->uuid, uuid);
	dg_record_field(w, "DEVICE", target->name);
	/* As it is known at rest, which is how it will be known again. */
	dg_record_field(w, "NS_UUID", device && *device->uuid ? device->uuid : uuid);
}

/* What must be there again for it to go on. */
static int put_mounts(struct dg_record_writer *w, const struct incident *incident)
{
	const struct dg_story *story = incident->story;
	int r = 0;

	for (size_t i = 0; i < story->n_mounts && r >= 0; i++) {
		const struct dg_story_mount *mount = &story->mounts[i];
		const struct dg_target *target = target_of(&incident->core.request, mount->dev);

		if (!mount->host)
			continue;
		dg_record_field(w, "MOUNT", mount->path);
		dg_record_field(w, "TYPE", mount->type);
		if (target)
			put_namespace(w, incident->m, target);
		put_dev(w, "FS_DEV", mount->dev);
		r = dg_record_end(w);
	}
	return r;
}

/* Whoever has one of them in his tree is not dumped. */
static void put_protected(struct dg_record_writer *w, const struct incident *incident)
{
	const struct manager *m = incident->m;

	dg_record_field_u64(w, "PROTECTED", (uint64_t)m->self.pid);
	if (incident->core.request.unbinder_pid > 0)
		dg_record_field_u64(w, "PROTECTED", (uint64_t)incident->core.request.unbinder_pid);
	for (size_t i = 0; i < m->n_protected; i++)
		dg_record_field_u64(w, "PROTECTED", (uint64_t)m->protected[i].process.pid);
}

int dump_write_request(const struct dump *dump, uint64_t timeout_us, struct dg_record_writer *w)
{
	const struct incident *incident = dump->incident;
	const struct manager *m = incident->m;
	const struct whose *whose = &dump->whose;
	char dir[PATH_MAX], run[PATH_MAX];
	int r;

	snprintf(dir, sizeof(dir), "%s/" DG_CHECKPOINTS_NAME, m->paths->state_dir);
	snprintf(run, sizeof(run), "%s/" DG_CHECKPOINTS_NAME, m->paths->run_dir);
	dg_record_field(w, "ID", dump->id);
	dg_record_field(w, "DIR", dir);
	dg_record_field(w, "RUN", run);
	dg_record_field_u64(w, "PID", (uint64_t)whose->root.pid);
	dg_record_field_u64(w, "START_NS", whose->root.start_ns);
	dg_record_field(w, "COMM", whose->comm);
	dg_record_field_u64(w, "UID", whose->uid);
	dg_record_field_u64(w, "TRUSTED", whose->trusted);
	dg_record_field(w, "SCOPE", dg_scope_name(whose->scope));
	if (*whose->unit)
		dg_record_field(w, "UNIT", whose->unit);
	dg_record_field_u64(w, "TIMEOUT_MSEC", timeout_us / 1000);
	dg_record_field_u64(w, "INCIDENT", incident->core.request.id);
	dg_record_field(w, "BOOT_ID", incident->core.request.boot_id);
	dg_record_field(w, "RULE", dump->rule);
	dg_record_field_u64(w, "RESTORE", incident->story->restore);
	dg_record_field_u64(w, "MAX_BYTES", m->config.settings.checkpoint_max_bytes);
	dg_record_field_u64(w, "KEEP_FREE", m->config.settings.checkpoint_keep_free);
	dg_record_field(w, "ADDRESS", m->paths->systemd);
	put_guarded(w, incident);
	put_protected(w, incident);
	for (size_t i = 0; i < dump->n_members; i++)
		dg_record_field_u64(w, "HOLDER", (uint64_t)dump->members[i].process.pid);
	r = dg_record_end(w);
	return r < 0 ? r : put_mounts(w, incident);
}
