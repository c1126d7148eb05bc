/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Hearing the manager's signals over an open connection, until somebody has heard enough. */
#pragma once

#include <json-c/json.h>
#include <stdbool.h>
#include <systemd/sd-bus.h>

#include "ctl.h"

/* Takes signal: one flat object, with Signal, TimeUsec and Id. False: that is enough. */
typedef bool (*watch_func)(void *userdata, json_object *signal);

/* From now on SIGINT and SIGTERM end a watch, and nothing else. */
void watch_block_signals(void);

/*
 * CTL_OK when func has had enough, or the reader of stdout has gone; interrupted when
 * somebody has interrupted it; else what went wrong, said on stderr.
 */
enum ctl_exit watch_signals(sd_bus *bus, watch_func func, void *userdata,
			    enum ctl_exit interrupted);
