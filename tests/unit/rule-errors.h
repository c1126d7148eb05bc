/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a reader of rules finds wrong: a line for each, "LINE:COLUMN: why". */
#pragma once

#include "core/rule.h"

extern char errors[8192];

/* To be handed to the reader; whoever calls that empties errors. */
void note(void *userdata, const struct dg_text_error *error);
