/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Rules that a test writes, and that must be right. */
#pragma once

#include "core/policy.h"

/* match: lines of [Match]; what: those of the other section. name: of the file. */
void add_rule(struct dg_policy *policy, const char *name, const char *match, const char *what);
void add_device_rule(struct dg_policy *policy, const char *name, const char *match,
		     const char *what);
