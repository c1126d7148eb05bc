/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What daxguardd.conf says.
 *
 *	[Daemon]
 *	ReserveSec=6
 *
 * Lines are `Key=Value`, `[Section]`, empty, or comments of '#' or ';' in the
 * first column. Space around key and value is ignored. A time is a number and
 * an optional "ms", "s" or "min"; without a unit it is seconds. A key that is
 * named twice has its last value; an empty value is the default again.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct dg_settings {
	uint64_t reserve_us;      /* ReserveSec=: kept for kill, sync and unmount */
	uint64_t step_timeout_us; /* StepTimeoutSec=: the longest a step may take */
	uint64_t holders_log_max; /* HoldersLogMax=: journal entries about holders, per incident */
	uint64_t incidents_max;   /* IncidentsMax=: records that are kept */
};

struct dg_settings_error {
	unsigned line, column; /* from 1; the column in bytes */
	char reason[128];
};

void dg_settings_default(struct dg_settings *settings);

/*
 * Changes what the text sets, all or nothing. -EINVAL: *ret_error says where
 * and why, and settings are as they were.
 */
int dg_settings_parse(const char *text, size_t n_text, struct dg_settings *settings,
		      struct dg_settings_error *ret_error);
