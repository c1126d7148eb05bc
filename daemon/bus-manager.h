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

#include <systemd/sd-bus.h>

#include "manager.h"

struct bus_api;

int bus_api_new(struct manager *m, struct bus_api **ret); /* -ENOMEM */
struct bus_api *bus_api_free(struct bus_api *api);        /* NULL is fine; returns NULL */

/* Put the objects on conn. api must outlive it. */
int bus_api_add(struct bus_api *api, sd_bus *conn);
/* conn goes: what it still waits for is dropped. */
void bus_api_forget(struct bus_api *api, sd_bus *conn);

/* The four signals, to one connection. */
int bus_send_began(sd_bus *conn, const struct dg_story *story);
int bus_send_changed(sd_bus *conn, const struct dg_story *story, enum dg_state old);
int bus_send_acted(sd_bus *conn, const struct dg_story *story, const struct dg_story_holder *holder,
		   const struct dg_story_action *action);
int bus_send_ended(sd_bus *conn, const struct dg_story *story);
