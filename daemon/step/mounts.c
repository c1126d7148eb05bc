/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>

#include "step/foreign.h"
#include "step/mount-table.h"
#include "step/namespaces.h"
#include "step/nested.h"
#include "step/step.h"
#include "step/system-device.h"

/* Of the keys and the short values. */
#define RECORD_SIZE 256

static int emit_mount(struct step *step, const struct mount *mount,
		      const struct mount_namespace *space)
{
	struct dg_record_writer *writer = &step->writer;

	if (space->foreign && !foreign_may_tell(RECORD_SIZE + strlen(mount->path) +
						strlen(mount->root) + strlen(mount->options)))
		return 0;
	dg_record_field_dev(writer, "DEV", mount->dev);
	dg_record_field(writer, "TYPE", mount->type);
	dg_record_field(writer, "PATH", mount->path);
	dg_record_field_u64(writer, "NS", space->inode);
	dg_record_field_u64(writer, "PID", (uint64_t)space->pid);
	dg_record_field_u64(writer, "HOST", space->host);
	dg_record_field_u64(writer, "LOCKED", space->foreign);
	dg_record_field_u64(writer, "ID", (uint64_t)mount->id);
	dg_record_field_u64(writer, "PARENT", (uint64_t)mount->parent_id);
	dg_record_field(writer, "ROOT", mount->root);
	dg_record_field(writer, "OPTIONS", mount->options);
	dg_record_field(writer, "PROPAGATION", mount->propagation);
	dg_record_field_u64(writer, "OVERMOUNTED", mount->covered);
	return step_emit(step);
}

static int emit_reason(struct step *step, const char *reason, void *userdata)
{
	dg_record_field(&step->writer, "SYSTEM", reason);
	return step_emit(step);
}

static int each_namespace(struct step *step, const struct mount_namespace *space)
{
	struct mount_table table;
	int r;

	/* Its last task may have left. */
	if (mount_namespace_table(step->proc_fd, space, &table) < 0)
		return 0;
	/* Where anybody may mount, names of layers prove nothing for other namespaces. */
	r = space->foreign ? 0 : nested_add_overlays(step, &table);
	if (r >= 0 && space->host)
		r = system_device_reasons(step, &table, emit_reason, NULL);
	for (size_t i = 0; i < table.n_items && r >= 0 && mount_namespace_has_time(space); i++)
		if (step_has_dev(step, table.items[i].dev))
			r = emit_mount(step, &table.items[i], space);
	mount_table_done(&table);
	return r;
}

int verb_mounts(struct step *step)
{
	struct mount_namespaces namespaces;
	int r;

	r = nested_add_loops(step);
	if (r >= 0)
		r = mount_namespaces_read(step->proc_fd, &namespaces);
	if (r < 0)
		return r;
	for (size_t i = 0; i < namespaces.n_items && r >= 0; i++)
		if (mount_namespace_has_time(&namespaces.items[i]))
			r = each_namespace(step, &namespaces.items[i]);
	mount_namespaces_done(&namespaces);
	return r < 0 ? r : STEP_EXIT_OK;
}
