/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "incident-world.h"

struct world world;

void world_init(void)
{
	const struct dg_incident_limits limits = {6 * SEC, 10 * SEC};

	dg_incident_done(&world.incident);
	assert_int_equal(dg_incident_init(&world.incident, &world.request,
					  world.policy ?: dg_policy_builtin(), &limits, world.now),
			 0);
}

int world_setup(void **state)
{
	world = (struct world){
		.now = BEGIN,
		.target = {.name = "pmem0", .mode = DG_MODE_FSDAX, .dev = DG_DEV(259, 0)},
		.request = {.id = 7, .boot_id = "boot", .device = "pfn0.0", .deadline_ms = 20000},
	};
	world.request.targets = &world.target;
	world.request.n_targets = 1;
	world_init();
	return 0;
}

int world_teardown(void **state)
{
	dg_incident_done(&world.incident);
	return 0;
}

static pid_t pid_of(size_t entry)
{
	return world.incident.plan.entries[entry].holder.process.pid;
}

static int describe(const struct dg_effect *e, char *text, size_t size)
{
	switch (e->kind) {
	case DG_EFFECT_ENTER:
		return snprintf(text, size, ">%s", dg_state_name(e->state));
	case DG_EFFECT_MARK:
		return snprintf(text, size, "mark=%s", dg_mark_name(e->mark));
	case DG_EFFECT_NOTE:
		return snprintf(text, size, "note");
	case DG_EFFECT_HOLDER:
		return snprintf(text, size, "holder:%d", pid_of(e->entry));
	case DG_EFFECT_DEED:
		return snprintf(text, size, "%s:%d%s%s", dg_action_name(e->deed.action),
				pid_of(e->entry), e->deed.skipped ? "!" : "",
				e->deed.skipped ?: "");
	case DG_EFFECT_FREED:
		return snprintf(text, size, "freed:%d=%s", pid_of(e->entry), e->note);
	case DG_EFFECT_JOB:
		return snprintf(text, size, "+%s", dg_job_name(e->job));
	case DG_EFFECT_CANCEL:
		return snprintf(text, size, "cancel");
	case DG_EFFECT_TAKE:
		return snprintf(text, size, "take");
	case DG_EFFECT_ACK:
		return snprintf(text, size, "ack");
	case DG_EFFECT_RELEASE:
		return snprintf(text, size, "release");
	case DG_EFFECT_DEVICE_RULE:
		return snprintf(text, size, "rule=%s", world.incident.device_rule->name);
	case DG_EFFECT_EXTEND:
		return snprintf(text, size, "extend:%llu",
				(unsigned long long)e->timeout_us / 1000);
	case DG_EFFECT_PENDING:
		return snprintf(text, size, "pending");
	case DG_EFFECT_END:
		return snprintf(text, size, "end:%s=%s", dg_state_name(e->state), e->note);
	}
	return -1;
}

static void tell(const struct dg_effect *effect)
{
	size_t n = strlen(world.log);

	if (n > 0 && n + 1 < sizeof(world.log))
		world.log[n++] = ' ';
	describe(effect, world.log + n, sizeof(world.log) - n);
}

/* Of those whose end came with no effect. */
static void tell_ends(void)
{
	for (size_t n = 0; n < world.incident.plan.n_entries; n++) {
		const char *how = dg_incident_end_of(&world.incident, n);

		if (how)
			tell(&(struct dg_effect){.kind = DG_EFFECT_FREED, .entry = n, .note = how});
	}
}

static void drain(void)
{
	for (size_t i = 0; i < world.effects.n_items; i++) {
		if (world.effects.items[i].kind == DG_EFFECT_END)
			tell_ends();
		tell(&world.effects.items[i]);
	}
	world.effects.n_items = 0;
}

void expect(const char *log)
{
	drain();
	assert_string_equal(world.log, log);
	world.log[0] = '\0';
}

void world_start(const struct dg_story *story)
{
	assert_int_equal(dg_incident_start(&world.incident, story, world.now, &world.effects), 0);
	drain();
}

void ended(enum dg_job job, enum dg_job_end end)
{
	dg_incident_job_ended(&world.incident, job, end, world.now, &world.effects);
	drain();
}

void ok(enum dg_job job)
{
	ended(job, DG_JOB_OK);
}

void answered(int error)
{
	dg_incident_answered(&world.incident, error, world.now, &world.effects);
	drain();
}

void seen(uint32_t deadline_ms)
{
	struct dg_request again = world.request;

	again.state = DG_KSTATE_TAKEN;
	again.deadline_ms = deadline_ms;
	dg_incident_seen(&world.incident, &again, world.now);
	after(0);
}

void after(uint64_t us)
{
	uint64_t until = world.now + us;

	while (world.incident.wake_us <= until) {
		if (world.incident.wake_us > world.now)
			world.now = world.incident.wake_us;
		dg_incident_timer(&world.incident, world.now, &world.effects);
		drain();
		/* A timer that is due again at once would never let time pass. */
		assert_true(world.incident.wake_us > world.now);
	}
	world.now = until;
}

void scanned_by(enum dg_job job, const struct dg_holder *holders, size_t n, uint32_t fs_flags,
		bool truncated)
{
	struct dg_holder_list list = {(struct dg_holder *)holders, n, truncated};
	struct dg_fs fs = {.flags = fs_flags};
	struct dg_fs_list fs_list = {&fs, fs_flags != 0, false};

	assert_int_equal(dg_incident_scanned(&world.incident, job, &list,
					     fs_flags == NO_FS ? NULL : &fs_list, world.now,
					     &world.effects),
			 0);
	drain();
}

void scanned(const struct dg_holder *holders, size_t n, uint32_t fs_flags)
{
	scanned_by(DG_JOB_SCAN, holders, n, fs_flags, false);
}

void mounts(enum dg_job job, size_t n_system, size_t n_locked, size_t n_kernel)
{
	struct dg_mount one = {.path = "/mnt", .type = "", .result = ""};
	struct dg_mount_list list = {.items = &one,
				     .n_items = 1,
				     .n_system = n_system,
				     .n_locked = n_locked,
				     .n_failed = n_locked,
				     .n_kernel = n_kernel};

	dg_incident_mounts(&world.incident, job, &list, &world.effects);
	drain();
}

void no_mounts(enum dg_job job)
{
	struct dg_mount_list list = {.n_items = 0};

	dg_incident_mounts(&world.incident, job, &list, &world.effects);
	drain();
}

void kernel_done(enum dg_result result, enum dg_revoke revoke)
{
	struct dg_done done = {.id = 7, .result = result, .revoke = revoke};

	dg_incident_ended(&world.incident, &done, world.now, &world.effects);
	drain();
}

struct dg_holder mapper(pid_t pid, bool catches)
{
	return (struct dg_holder){
		.process = {pid, 1},
		.counts[DG_USE_MAPPED] = 1,
		.sig_caught = catches ? SIG(SIGBUS) : 0,
	};
}

struct dg_holder opener(pid_t pid)
{
	return (struct dg_holder){.process = {pid, 1}, .counts[DG_USE_OPEN] = 1};
}

void to_scanning(void)
{
	world_start(NULL);
	answered(0);
	seen(20000);
	mounts(DG_JOB_MOUNTS, 0, 0, 0);
	ok(DG_JOB_MOUNTS);
	ok(DG_JOB_PROTECTED);
	ok(DG_JOB_SYNC);
	world.log[0] = '\0';
}

void to_unmounting(void)
{
	to_scanning();
	scanned(NULL, 0, LIVE);
	ok(DG_JOB_SYNC);
	scanned(NULL, 0, LIVE);
	expect(">acting >settling +sync +scan >unmounting +claim +unmount");
}
