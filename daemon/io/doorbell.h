/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Uevents: that something happened, never what.
 *
 * Owns: two libudev monitors. Must not own: conclusions. Both are hints:
 *
 *	hold	  the module rang, on its misc device, for a removal or for
 *		  memory that has failed. Straight from the
 *		  kernel, since udevd may be stopped, or wait for the very
 *		  device that is held. The netlink EVENT says the same; ask
 *		  klink_get_pending() and klink_get_failures().
 *	topology  an nd, dax or block device came, went or changed. From udevd,
 *		  after its rules, so that links and names are there when the
 *		  topology step looks. Many come at once: wait a little.
 *
 * No sysfs is read here (an nd device's may block while it is held).
 */
#pragma once

#include <systemd/sd-event.h>

struct doorbell;

struct doorbell_ops {
	void (*hold)(void *userdata);
	void (*topology)(void *userdata);
};

/* Callbacks come from the event loop. -ENOMEM and socket errors. */
int doorbell_new(sd_event *event, const struct doorbell_ops *ops, void *userdata,
		 struct doorbell **ret);
struct doorbell *doorbell_free(struct doorbell *doorbell); /* NULL is fine; returns NULL */
