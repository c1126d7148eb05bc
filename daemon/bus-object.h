/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * org.daxguard1.Device and org.daxguard1.Incident: an object for each device
 * and each incident that is known, below an ObjectManager.
 *
 * All that is in them may be seen by everybody, as a property is read without
 * a look at who reads it; the rest is for methods of the Manager.
 */
#pragma once

#include "bus-call.h"

int bus_objects_add(struct bus_link *link);

/* InterfacesAdded, InterfacesRemoved, PropertiesChanged. */
int bus_send_incident_added(struct bus_link *link, const struct dg_story *story);
int bus_send_incident_changed(struct bus_link *link, const struct dg_story *story);
int bus_send_incident_removed(struct bus_link *link, uint64_t id);
/* Of its devices, which incident takes them away. */
int bus_send_targets_changed(struct bus_link *link, const struct dg_story *story);
/* What is no longer as it was in old. */
int bus_send_devices_changed(struct bus_link *link, const struct manager_device *old, size_t n_old);
