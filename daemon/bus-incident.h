/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Incidents as D-Bus values: a summary for lists and signals, and the story. */
#pragma once

#include "bus-dict.h"
#include "core/story.h"

void bus_put_summary(struct dict *d, const struct dg_story *story);
void bus_put_story(struct dict *d, const struct dg_story *story);

/* {Pid, Comm, Action, Outcome, AtUsec} */
void bus_put_action(struct dict *d, const struct dg_story *story,
		    const struct dg_story_holder *holder, const struct dg_story_action *action);
