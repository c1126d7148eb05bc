/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Incidents as D-Bus values: a summary for lists and signals, and the story. */
#pragma once

#include "bus-call.h"
#include "bus-dict.h"
#include "core/mount.h"
#include "core/story.h"

/* What happened on the way: bits of enum dg_mark. */
void bus_put_marks(struct dict *d, uint32_t marks);

/* Mounts; OtherMounts, how many of them who does not see all is not shown. */
typedef bool (*bus_mount_func)(const void *from, size_t i, struct dg_mount *ret); /* false: none */
void bus_put_mounts(struct dict *d, struct viewer viewer, bus_mount_func at, const void *from);

/* The entries, without the dictionary around them. */
void bus_put_summary(struct dict *d, const struct dg_story *story);

/* Users get what is their own of it, and numbers. */
void bus_put_story(struct dict *d, struct viewer viewer, const struct dg_story *story);

/* {Action, Outcome, AtUsec}, and for who sees him {Pid, Comm} */
void bus_put_action(struct dict *d, struct viewer viewer, const struct dg_story *story,
		    const struct dg_story_holder *holder, const struct dg_story_action *action);
