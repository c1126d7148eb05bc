/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * org.daxguard1.Manager: the methods and signals, on whatever connection they
 * are put: a client of the control socket, or the system bus.
 *
 * Methods answer at once from what the manager knows; ListHolders, which has
 * to ask the kernel, answers when that has, or at its deadline. Everything is
 * written with sd_bus_send(): queued, never waited for.
 */
#pragma once

#include "bus-call.h"

/* Put the object on link->conn. link must outlive it. */
int bus_manager_add(struct bus_link *link);

/*
 * The signals. On the system bus they go to everybody who listens, so
 * nothing in them is about one process.
 */
int bus_send_began(struct bus_link *link, const struct dg_story *story);
int bus_send_changed(struct bus_link *link, const struct dg_story *story, enum dg_state old);
int bus_send_acted(struct bus_link *link, const struct dg_story *story,
		   const struct dg_story_holder *holder, const struct dg_story_action *action);
int bus_send_failure(struct bus_link *link, const struct dg_story *story);
int bus_send_repaired(struct bus_link *link, const char *device, uint64_t n_ranges,
		      uint64_t n_bytes);
int bus_send_restored(struct bus_link *link, const struct manager_restored *restored);
int bus_send_ended(struct bus_link *link, const struct dg_story *story);
