/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the service manager is told: READY=1, STATUS=…, WATCHDOG=1.
 *
 * As sd_notify(3), but it never waits: pid 1 may be the one that waits for a
 * held device, and it is asked for its patience in the middle of a hold.
 */
#pragma once

/* 0 also when nobody wants to know. -EAGAIN: the queue is full. Other errors of sendto(2). */
int notify_send(const char *state);
