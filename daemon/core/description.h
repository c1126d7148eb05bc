/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What goes away in a removal, as rules may ask for it. A removal that takes
 * several devices is described by all of them that are in use: their rules are
 * the same.
 */
#pragma once

#include "core/facts.h"

struct dg_words {
	char **items;
	size_t n_items;
};

struct dg_description {
	struct dg_device_facts facts; /* refers to what follows */
	struct dg_words names, drivers, file_systems, mount_points;
};

/* By what the kernel has said. Zeroed is empty. -ENOMEM: there may be a part of it. */
int dg_description_init(struct dg_description *description, const struct dg_request *request);
void dg_description_done(struct dg_description *description);

/* Each once; "" and NULL are none. by-path links without their directory. -ENOMEM. */
int dg_description_add_name(struct dg_description *description, const char *name);
int dg_description_add_driver(struct dg_description *description, const char *name);
int dg_description_add_mount(struct dg_description *description, const char *type, const char *path,
			     bool host);

/* Whether those are all. */
void dg_description_complete(struct dg_description *description, bool names, bool mounts);
