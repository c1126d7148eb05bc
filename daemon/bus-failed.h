/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Failed pages as dictionaries. Offsets and inodes are not names: everybody may see them; paths are
 * root's. */
#pragma once

#include "bus-call.h"
#include "bus-dict.h"
#include "core/story.h"

/* How much has failed; and, of the story of a memory failure, what, and what was done. */
void bus_put_failed(struct dict *d, const struct dg_story *story);
void bus_put_failures(struct dict *d, struct viewer viewer, const struct dg_story *story);
