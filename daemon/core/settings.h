/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What daxguardd.conf says.
 *
 *	[Daemon]
 *	ReserveSec=6
 *
 * Lines are as in core/ini.h. A time is a number and an optional "ms", "s" or
 * "min"; without a unit it is seconds. Bytes are a number and an optional
 * K, M, G or T, powers of 1024. A key that is named twice has its last
 * value; an empty value is the default again.
 */
#pragma once

#include "core/ini.h"

struct dg_settings {
	uint64_t reserve_us;      /* ReserveSec=: kept for kill, sync and unmount */
	uint64_t step_timeout_us; /* StepTimeoutSec=: the longest a step may take */
	uint64_t holders_log_max; /* HoldersLogMax=: journal entries about holders, per incident */
	uint64_t incidents_max;   /* IncidentsMax=: records that are kept */
	/* CheckpointMaxBytes=, of all of them, CheckpointKeepFree=, of the disk; 0: no limit */
	uint64_t checkpoint_max_bytes, checkpoint_keep_free;
	uint64_t checkpoint_max_age_us;  /* CheckpointMaxAgeSec=; 0: no limit */
	uint64_t restore_wait_us;        /* RestoreWaitSec=: for the mounts of what has returned */
	uint64_t registrations_user_max; /* RegistrationsPerUser=: but root */
};

void dg_settings_default(struct dg_settings *settings);

/*
 * Changes what the text sets, all or nothing. -EINVAL: *ret_error says where
 * and why, and settings are as they were.
 */
int dg_settings_parse(const char *text, size_t n_text, struct dg_settings *settings,
		      struct dg_text_error *ret_error);
