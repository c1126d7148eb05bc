/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * An incident in a world that a test makes: inputs are calls, effects become
 * words of a log that is compared as a whole.
 *
 *	>state  +job  holder:PID  action:PID  action:PID!skipped  freed:PID=how
 *	rule=NAME  extend:MS  mark=name  note  cancel  take  ack  release  pending end:state=outcome
 */
#pragma once

#include "test.h"

#include "core/incident.h"

#define BEGIN (1000 * SEC)
#define LIVE (DG_FS_LIVE | DG_FS_MOUNTED)

struct world {
	struct dg_incident incident;
	struct dg_effects effects;
	char log[8192];
	uint64_t now;
	struct dg_target target;
	struct dg_request request;
	const struct dg_policy *policy; /* NULL: the built-in one */
};
extern struct world world;

int world_setup(void **state);
int world_teardown(void **state);
#define WORLD_TEST(name) cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)
void world_init(void); /* again, after request was changed */
void world_start(const struct dg_story *story);
void expect(const char *log);
void ended(enum dg_job job, enum dg_job_end end);
void ok(enum dg_job job);
void answered(int error);
void seen(uint32_t deadline_ms);
void after(uint64_t us); /* time passes, the timer fires when it is due */
void scanned(const struct dg_holder *holders, size_t n, uint32_t fs_flags);
void scanned_by(enum dg_job job, const struct dg_holder *holders, size_t n, uint32_t fs_flags,
		bool truncated);
void mounts(enum dg_job job, size_t n_system, size_t n_locked, size_t n_kernel);
void no_mounts(enum dg_job job); /* the step found none */
void kernel_done(enum dg_result result, enum dg_revoke revoke);
struct dg_holder mapper(pid_t pid, bool catches);
struct dg_holder opener(pid_t pid);
/* From the start to the first scan, nothing special. */
void to_scanning(void);
/* To unmounting, with nobody there. */
void to_unmounting(void);
#define NO_FS UINT32_MAX
