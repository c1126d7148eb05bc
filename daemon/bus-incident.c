/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bus-incident.h"

#include "bus-device.h"
#include "bus-failed.h"
#include "core/incident.h"

/* Since the hold began; what came before our clock did counts as its begin. */
static uint64_t since(const struct dg_story *story, uint64_t at_us)
{
	return at_us > story->began_us ? at_us - story->began_us : 0;
}

void bus_put_marks(struct dict *d, uint32_t marks)
{
	const char *names[_DG_MARK_MAX];

	for (size_t i = 0; i < _DG_MARK_MAX; i++)
		names[i] = dg_mark_name(i);
	dict_flags(d, "Marks", marks, names, _DG_MARK_MAX);
}

void bus_put_summary(struct dict *d, const struct dg_story *story)
{
	const struct dg_done *done = story->has_done ? &story->done : NULL;
	enum dg_result result = DG_RESULT_NONE;

	/* Nothing is held for failed memory. */
	if (story->kind == DG_STORY_REMOVAL)
		result = dg_result(story->state, story->marks, done);
	dict_u64(d, "Id", story->id);
	dict_word(d, "Kind", dg_story_kind_name(story->kind));
	dict_word(d, "Device", story->device);
	dict_word(d, "Source", story->by_user ? "user" : "kernel");
	dict_word(d, "State", dg_state_name(story->state));
	dict_word(d, "Outcome", story->outcome);
	dict_word(d, "Result", dg_result_name(result));
	dict_word(d, "Revoke", dg_revoke_name(story->done.revoke));
	dict_u64(d, "BeganUsec", story->began_wall_us);
	dict_u64(d, "EndedUsec", story->ended_wall_us);
	dict_u64(d, "HeldUsec", story->done.held_us);
	dict_u32(d, "HolderCount", (uint32_t)story->n_holders);
	bus_put_marks(d, story->marks);
}

static void put_targets(struct dict *d, const struct dg_story *story)
{
	dict_list_begin(d, "Targets");
	for (size_t i = 0; i < story->n_targets; i++) {
		const struct dg_story_target *target = &story->targets[i];

		dict_begin(d);
		dict_word(d, "Name", target->name);
		dict_word(d, "Device", target->ns_device);
		dict_dev(d, "DevNum", target->dev);
		dict_word(d, "Mode", dg_mode_name(target->mode));
		dict_word(d, "Uuid", target->uuid);
		dict_end(d);
	}
	dict_list_end(d);
}

static void put_states(struct dict *d, const struct dg_story *story)
{
	dict_list_begin(d, "States");
	for (size_t i = 0; i < story->n_states; i++) {
		dict_begin(d);
		dict_word(d, "State", dg_state_name(story->states[i].state));
		dict_u64(d, "AtUsec", since(story, story->states[i].at_us));
		dict_u64(d, "TookUsec", story->states[i].took_us);
		dict_end(d);
	}
	dict_list_end(d);
}

static void put_steps(struct dict *d, struct viewer viewer, const struct dg_story *story)
{
	dict_list_begin(d, "Steps");
	for (size_t i = 0; i < story->n_jobs; i++) {
		const struct dg_story_job *job = &story->jobs[i];

		dict_begin(d);
		dict_word(d, "Step", job->name);
		dict_u64(d, "AtUsec", since(story, job->at_us));
		dict_u64(d, "TookUsec", job->took_us);
		dict_word(d, "End", job->over ? job->end : "running");
		dict_i32(d, "Status", job->status);
		if (viewer.all) /* it may name files */
			dict_bytes(d, "Error", job->error);
		dict_end(d);
	}
	dict_list_end(d);
}

static void put_actions(struct dict *d, struct viewer viewer, const struct dg_story *story,
			const struct dg_story_holder *holder)
{
	dict_list_begin(d, "Actions");
	for (size_t i = 0; i < holder->n_actions; i++) {
		const struct dg_story_action *action = &holder->actions[i];

		dict_begin(d);
		dict_word(d, "Action", dg_action_name(action->action));
		dict_word(d, "Outcome", action->outcome);
		dict_u64(d, "AtUsec", since(story, action->at_us));
		dict_u32(d, "GraceMsec", action->grace_ms);
		if (viewer.all && action->addr > 0)
			dict_u64(d, "Address", action->addr);
		if (action->unit)
			dict_bytes(d, "Unit", action->unit);
		if (action->checkpoint)
			dict_word(d, "Checkpoint", action->checkpoint);
		if (action->took_us > 0) {
			dict_u64(d, "TookUsec", action->took_us);
			dict_i32(d, "Status", action->status);
		}
		if (viewer.all && action->output) /* what a program of root's has to say */
			dict_bytes(d, "Output", action->output);
		dict_end(d);
	}
	dict_list_end(d);
}

/* Of what decided; what is built in has no file. */
static void put_rule(struct dict *d, const struct dg_story *story, const char *name)
{
	const struct dg_story_rule *rule = dg_story_find_rule(story, name);

	dict_bytes(d, "Rule", name);
	dict_bytes(d, "RulePath", rule ? rule->path : "");
	dict_u32(d, "RuleLine", rule ? rule->line : 0);
}

static void put_holder(struct dict *d, struct viewer viewer, const struct dg_story *story,
		       const struct dg_story_holder *holder)
{
	dict_begin(d);
	dict_u32(d, "Pid", (uint32_t)holder->process.pid);
	dict_u64(d, "StartNsec", holder->process.start_ns);
	dict_bytes(d, "Comm", holder->comm);
	dict_u32(d, "Uid", holder->uid);
	bus_put_uses(d, holder->counts, holder->mapped_bytes);
	if (viewer.all)
		dict_u64(d, "Address", holder->addr);
	dict_dev(d, "DevNum", holder->fs_dev);
	put_rule(d, story, holder->rule);
	dict_word(d, "Exempt", holder->exempt);
	bus_put_shared(d, holder->shared_with);
	dict_u32(d, "GracePermille", holder->permille);
	dict_u64(d, "AtUsec", since(story, holder->at_us));
	put_actions(d, viewer, story, holder);
	if (story->kind == DG_STORY_FAILURE)
		dict_u64(d, "TimesTold", holder->n_told);
	if (holder->cooperation[0])
		dict_word(d, "Cooperation", holder->cooperation);
	dict_word(d, "End", holder->how);
	dict_u64(d, "EndUsec", holder->how[0] ? since(story, holder->over_us) : 0);
	dict_end(d);
}

static void put_holders(struct dict *d, struct viewer viewer, const struct dg_story *story)
{
	struct others others = {};

	dict_list_begin(d, "Holders");
	for (size_t i = 0; i < story->n_holders; i++) {
		const struct dg_story_holder *holder = &story->holders[i];

		if (viewer_sees(viewer, holder->uid))
			put_holder(d, viewer, story, holder);
		else
			others_add(&others, holder->counts, holder->mapped_bytes);
	}
	dict_list_end(d);
	bus_put_others(d, viewer, &others);
}

/* Those of the host can be read by everybody in /proc/self/mountinfo. */
void bus_put_mounts(struct dict *d, struct viewer viewer, bus_mount_func at, const void *from)
{
	uint32_t n_others = 0;
	struct dg_mount mount;

	dict_list_begin(d, "Mounts");
	for (size_t i = 0; at(from, i, &mount); i++) {
		if (!viewer.all && !mount.host) {
			n_others++;
			continue;
		}
		dict_begin(d);
		dict_bytes(d, "Path", mount.path);
		dict_word(d, "Type", mount.type);
		dict_u64(d, "Namespace", mount.ns);
		dict_bool(d, "Host", mount.host);
		dict_bool(d, "Locked", mount.locked);
		dict_u32(d, "Pid", (uint32_t)mount.pid);
		dict_word(d, "Result", mount.result);
		dict_end(d);
	}
	dict_list_end(d);
	if (!viewer.all)
		dict_u32(d, "OtherMounts", n_others);
}

static bool mount_at(const void *from, size_t i, struct dg_mount *ret)
{
	const struct dg_story *story = from;
	const struct dg_story_mount *mount;

	if (i >= story->n_mounts)
		return false;
	mount = &story->mounts[i];
	*ret = (struct dg_mount){
		.path = mount->path,
		.type = mount->type,
		.result = mount->result,
		.ns = mount->ns,
		.pid = mount->pid,
		.host = mount->host,
		.locked = mount->locked,
	};
	return true;
}

static void put_done(struct dict *d, const struct dg_done *done)
{
	dict_u64(d, "RevokeUsec", done->revoke_us);
	dict_u64(d, "Inodes", done->inodes);
	dict_u64(d, "Entries", done->entries);
	dict_u64(d, "LeftMappings", done->vmas);
	dict_u64(d, "PinnedPages", done->pages_pinned);
	dict_u32(d, "Shutdowns", done->shutdowns);
}

void bus_put_story(struct dict *d, struct viewer viewer, const struct dg_story *story)
{
	bus_put_summary(d, story);
	dict_word(d, "BootId", story->boot_id);
	dict_word(d, "Bus", story->bus);
	dict_word(d, "Driver", story->driver);
	dict_bool(d, "Surprise", story->surprise);
	dict_bool(d, "Forced", story->forced);
	if (viewer.all)
		dict_u32(d, "UnbinderPid", (uint32_t)story->unbinder_pid);
	dict_u32(d, "CapMsec", story->cap_ms);
	dict_u64(d, "DeadlineUsec", since(story, story->deadline_us));
	dict_u64(d, "ReserveUsec", story->reserve_us);
	dict_bool(d, "TakenOver", story->taken_over || story->resumes > 0);
	dict_u32(d, "Resumes", story->resumes);
	dict_bytes(d, "DeviceRule", story->device_rule);
	dict_word(d, "OnBusy", *story->device_rule ? dg_on_busy_name(story->on_busy) : "");
	dict_u32(d, "BudgetMsec", story->budget_ms);
	dict_bool(d, "Unrecorded", story->unrecorded);
	dict_u64(d, "LeftOut", story->n_left_out);
	if (story->has_done)
		put_done(d, &story->done);
	put_targets(d, story);
	bus_put_failures(d, viewer, story);
	put_states(d, story);
	put_steps(d, viewer, story);
	put_holders(d, viewer, story);
	bus_put_mounts(d, viewer, mount_at, story);
	if (viewer.all)
		dict_texts(d, "Notes", (const char *const *)story->notes, story->n_notes);
}

void bus_put_action(struct dict *d, struct viewer viewer, const struct dg_story *story,
		    const struct dg_story_holder *holder, const struct dg_story_action *action)
{
	if (viewer_sees(viewer, holder->uid)) {
		dict_u32(d, "Pid", (uint32_t)holder->process.pid);
		dict_bytes(d, "Comm", holder->comm);
	}
	dict_word(d, "Action", dg_action_name(action->action));
	dict_word(d, "Outcome", action->outcome);
	dict_u64(d, "AtUsec", since(story, action->at_us));
}
