/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A manager that is none, for what stands on it: it has a device, pmem0, and
 * two incidents, 3 that is over and 4 that is not.
 */
#pragma once

#include "manager.h"

struct manager {
	sd_event *event;
	struct manager_paths paths;
	const struct manager_observer *observer;
	void *userdata;
	struct dg_ledger *ledger;
};
